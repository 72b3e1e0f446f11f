"""Where deployments stand today. How they came there is in the ledger.

A placement and a rollout are each read and written whole, so they are kept as JSON beside the columns that are searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.errors import Conflict, NotFound
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode_text, time_text
from modelwright.deployments import verdict
from modelwright.deployments.records import Deployment, Placement, Rollout
from modelwright.serving.records import Intake
from modelwright.store import Transaction
from modelwright.store.tables import metadata

deployments_deployments = sa.Table(
    "deployments_deployments",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("intake", sa.Text, nullable=False),
    sa.Column("slow_after", sa.Float, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("changed_at", sa.String(27), nullable=False, index=True),
    sa.Column("retired_at", sa.String(27)),
    sa.Column("successor", sa.String(300)),
)

deployments_placements = sa.Table(
    "deployments_placements",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("environment", sa.String(60), primary_key=True),
    sa.Column("record", sa.Text, nullable=False),  # a Placement, its rollout left out
    sa.Column("rollout", sa.String(26)),  # the active one, else the last
)

deployments_rollouts = sa.Table(
    "deployments_rollouts",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, index=True),
    sa.Column("environment", sa.String(60), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # a Rollout
    sa.Column("engine", sa.Text, nullable=False),  # the verdict engine's state
)

_d, _p, _r = deployments_deployments.c, deployments_placements.c, deployments_rollouts.c


def insert_deployment(tx: Transaction, made: Deployment) -> None:
    """Write a new deployment; `Conflict` if the name is taken."""
    if tx.execute(sa.select(_d.name).where(_d.name == made.name)).first() is not None:
        raise Conflict(f"There is a deployment named {made.name!r} already.")
    tx.execute(
        deployments_deployments.insert().values(
            name=made.name,
            description=made.description,
            intake=encode_text(made.intake),
            slow_after=made.slow_after,
            created_at=time_text(made.created_at),
            created_by=made.created_by,
            changed_at=tx.stamp,
        )
    )


def find_deployment(tx: Transaction, name: str) -> Deployment | None:
    """A deployment with its placements and their rollouts, or None."""
    row = tx.execute(sa.select(deployments_deployments).where(_d.name == name)).first()
    return None if row is None else deployments_of(tx, [row])[0]


def get_deployment(tx: Transaction, name: str) -> Deployment:
    """The same, or `NotFound`."""
    found = find_deployment(tx, name)
    if found is None:
        raise NotFound(f"There is no deployment named {name!r}.", mend="See what there is: mw list deployment")
    return found


def deployments_of(tx: Transaction, rows: Sequence[Any]) -> list[Deployment]:
    """Rows of deployments made into records, with one query more for all of their placements and rollouts."""
    query = (
        sa.select(_p.name, _p.record, _r.record.label("rollout"))
        .select_from(deployments_placements.outerjoin(deployments_rollouts, _p.rollout == _r.id))
        .where(_p.name.in_([row.name for row in rows]))
        .order_by(_p.environment)
    )
    placements: dict[str, list[Placement]] = {}
    for found in tx.execute(query):
        placement = decode(found.record, Placement)
        rollout = decode(found.rollout, Rollout) if found.rollout else None
        placements.setdefault(found.name, []).append(msgspec.structs.replace(placement, rollout=rollout))
    return [
        Deployment(
            name=row.name,
            description=row.description,
            intake=decode(row.intake, Intake),
            slow_after=row.slow_after,
            created_at=parse_time(row.created_at),
            created_by=row.created_by,
            retired_at=parse_time(row.retired_at) if row.retired_at else None,
            successor=Ref.parse(row.successor) if row.successor else None,
            placements=placements.get(row.name, []),
        )
        for row in rows
    ]


def put_placement(tx: Transaction, name: str, placement: Placement) -> None:
    """Write how a deployment stands in an environment."""
    tx.execute(deployments_placements.delete().where(_p.name == name, _p.environment == placement.environment))
    tx.execute(
        deployments_placements.insert().values(
            name=name,
            environment=placement.environment,
            record=encode_text(msgspec.structs.replace(placement, rollout=None)),
            rollout=placement.rollout.id if placement.rollout else None,
        )
    )
    touch(tx, name)


def touch(tx: Transaction, name: str, **values: Any) -> None:
    """Note that a deployment changed."""
    tx.execute(deployments_deployments.update().where(_d.name == name).values(changed_at=tx.stamp, **values))


def insert_rollout(tx: Transaction, rollout: Rollout) -> None:
    """Write a new rollout that has seen nothing yet."""
    tx.execute(
        deployments_rollouts.insert().values(
            id=rollout.id,
            name=rollout.deployment.name,
            environment=rollout.environment,
            state=rollout.state,
            revision=rollout.revision,
            record=encode_text(rollout),
            engine=encode_text(verdict.State()),
        )
    )


def get_rollout(tx: Transaction, identity: str) -> tuple[Rollout, verdict.State]:
    """A rollout and what its verdict engine knows, or `NotFound`."""
    row = tx.execute(sa.select(deployments_rollouts).where(_r.id == identity)).first()
    if row is None:
        raise NotFound(f"There is no rollout {identity!r}.")
    return decode(row.record, Rollout), decode(row.engine, verdict.State)


def rollouts_of(tx: Transaction, name: str, environment: str) -> list[Rollout]:
    """Every rollout of a deployment in an environment, newest first."""
    query = sa.select(_r.record).where(_r.name == name, _r.environment == environment).order_by(_r.id.desc())
    return [decode(text, Rollout) for text in tx.execute(query).scalars()]


def update_rollout(tx: Transaction, rollout: Rollout, engine: verdict.State | None = None) -> Rollout:
    """Write a rollout's next revision; `Conflict` if another writer came between."""
    after = msgspec.structs.replace(rollout, revision=rollout.revision + 1)
    values = {"state": after.state, "revision": after.revision, "record": encode_text(after)}
    if engine is not None:
        values["engine"] = encode_text(engine)
    known = (_r.id == rollout.id, _r.revision == rollout.revision)
    if tx.execute(deployments_rollouts.update().where(*known).values(**values)).rowcount != 1:
        raise Conflict(f"{rollout.ref} was changed by somebody else.", mend="Look again and repeat.")
    return after
