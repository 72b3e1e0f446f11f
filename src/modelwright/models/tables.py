"""Where versions stand today, and what belongs to a model as a whole. How they came there is in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelwright.core.refs import Ref
from modelwright.models.records import Profile, Stage
from modelwright.store import Transaction
from modelwright.store.tables import metadata

models_stages = sa.Table(
    "models_stages",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("stage", sa.String(12), nullable=False, index=True),
    sa.Column("since", sa.String(27), nullable=False),
)

models_profiles = sa.Table(
    "models_profiles",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
)

_s, _p = models_stages.c, models_profiles.c


def stages_of(tx: Transaction, refs: Sequence[Ref]) -> dict[Ref, Stage]:
    """The stage of each pinned ref; a version that was never moved is a candidate."""
    names = {ref.name for ref in refs}
    rows = tx.execute(sa.select(models_stages).where(_s.name.in_(names))).all()
    moved = {(row.name, row.version): Stage(row.stage) for row in rows}
    return {ref: moved.get((ref.name, ref.version), Stage.CANDIDATE) for ref in refs}


def set_stage(tx: Transaction, ref: Ref, stage: Stage | None) -> None:
    """Put a version on a stage, or with None forget that it had one."""
    tx.execute(models_stages.delete().where(_s.name == ref.name, _s.version == ref.version))
    if stage is not None:
        row = {"name": ref.name, "version": ref.version, "stage": stage, "since": tx.stamp}
        tx.execute(models_stages.insert().values(row))


def profiles_of(tx: Transaction, names: Sequence[str]) -> dict[str, Profile]:
    """The profile of each model; the default one where nothing was said yet."""
    rows = tx.execute(sa.select(models_profiles).where(_p.name.in_(set(names)))).all()
    said = {row.name: Profile(owner=row.owner, purpose=row.purpose) for row in rows}
    return {name: said.get(name, Profile()) for name in names}


def set_profile(tx: Transaction, name: str, profile: Profile) -> None:
    """Replace a model's profile."""
    tx.execute(models_profiles.delete().where(_p.name == name))
    row = {"name": name, "owner": profile.owner, "purpose": profile.purpose}
    tx.execute(models_profiles.insert().values(row))
