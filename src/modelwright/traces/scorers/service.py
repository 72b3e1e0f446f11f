"""The service: what can be done with scorers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.names import path_for
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiment, Experiments
from modelwright.store import Transaction
from modelwright.traces.queries import readable
from modelwright.traces.scorers.records import MAX_NAME, MAX_SCORER, Scorer
from modelwright.traces.scorers.tables import scorer_of, scorers, versions

_s, _v = scorers.c, versions.c


class Scorers(Room):
    """Scorers of experiments, in versions counted from 1. The right to one is asked on its experiment."""

    room: ClassVar[str] = "scorers"
    kind: ClassVar[Kind] = Kind.RUN

    def __init__(self, caller: Caller, *, experiments: Experiments) -> None:
        super().__init__(caller)
        self._experiments = experiments

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment stands for its scorers."""
        return self._experiments.resource_of(tx, ref)

    @operation("write", event="scorers.version.registered")
    def register(self, tx: Transaction, ref: Ref, scorer: str, serialized: str, *, reason: str = "") -> Scorer:
        """Add the next version of a scorer of an experiment. `serialized` is JSON, kept as it is and never run here."""
        if not scorer.strip() or len(scorer) > MAX_NAME or "\x00" in scorer:
            raise Invalid(f"The name of a scorer has 1 to {MAX_NAME} characters.")
        if len(serialized) > MAX_SCORER:
            raise Invalid(f"A scorer has at most {MAX_SCORER} characters, not {len(serialized)}.")
        try:
            msgspec.json.decode(serialized)
        except (msgspec.MsgspecError, RecursionError):
            raise Invalid("A scorer is kept as JSON, and this is none.") from None
        experiment = self._experiments.experiment(ref)
        fresh = {"id": str(uuid.uuid4()), "experiment": experiment.id, "name": scorer, "versions": 1}
        counted = (
            tx.insert(scorers)
            .values(**fresh)
            .on_conflict_do_update(index_elements=[_s.experiment, _s.name], set_={"versions": _s.versions + 1})
            .returning(_s.key, _s.versions)
        )
        made = tx.execute(counted).one()
        stamps = {"created": int(tx.now.timestamp() * 1000), "created_by": tx.principal.id}
        tx.execute(versions.insert().values(scorer=made.key, version=made.versions, serialized=serialized, **stamps))
        digest = digest_bytes(serialized.encode())
        tx.note(resource=_ref(experiment, scorer, made.versions), inputs=[ref], after={"name": scorer, "digest": digest})
        return self._found(tx, experiment, scorer, made.versions)

    @operation("read", on="")
    def latest(self, tx: Transaction, experiments: Sequence[Ref]) -> list[Scorer]:
        """The newest version of every scorer of experiments, by name; experiments that are not yours have none."""
        newest = sa.select(_v.scorer, sa.func.max(_v.version).label("version")).group_by(_v.scorer).subquery()
        query = _both().join(newest, sa.and_(newest.c.scorer == _v.scorer, newest.c.version == _v.version))
        query = query.where(_s.experiment.in_(readable(tx, experiments))).order_by(_s.experiment, _s.name)
        return [scorer_of(row) for row in tx.execute(query)]

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, scorer: str) -> list[Scorer]:
        """Every version of a scorer, the oldest first."""
        number = self._experiments.experiment(ref).id
        query = _both().where(_s.experiment == number, _s.name == scorer).order_by(_v.version)
        return [scorer_of(row) for row in tx.execute(query)]

    @operation("read")
    def show(self, tx: Transaction, ref: Ref, scorer: str, *, version: int | None = None) -> Scorer:
        """One version of a scorer: by default the newest."""
        return self._found(tx, self._experiments.experiment(ref), scorer, version)

    @operation("write", event="scorers.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, scorer: str, *, version: int | None = None, reason: str = "") -> None:
        """Delete one version of a scorer, or all of them; their numbers are not given again."""
        experiment = self._experiments.experiment(ref)
        held = self._found(tx, experiment, scorer, version)
        key = tx.execute(sa.select(_s.key).where(_s.experiment == experiment.id, _s.name == scorer)).scalar_one()
        mine = (_v.scorer == key,) if version is None else (_v.scorer == key, _v.version == version)
        tx.execute(versions.delete().where(*mine))
        tx.note(resource=_ref(experiment, scorer, version), before={"name": held.name})

    def _found(self, tx: Transaction, experiment: Experiment, scorer: str, version: int | None) -> Scorer:
        query = _both().where(_s.experiment == experiment.id, _s.name == scorer)
        if version is not None:
            query = query.where(_v.version == version)
        row = tx.execute(query.order_by(_v.version.desc()).limit(1)).first()
        if row is None:
            which = "" if version is None else f" version {version} of"
            raise NotFound(f"There is no{which} scorer {scorer[:MAX_NAME]!r} in the experiment {experiment.title!r}.")
        return scorer_of(row)


def _both() -> Any:
    return sa.select(_s.id, _s.experiment, _s.name, versions).join_from(scorers, versions, _v.scorer == _s.key)


def _ref(experiment: Experiment, scorer: str, version: int | None) -> Ref:
    return Ref(Kind.SCORER, path_for(f"{experiment.name}/{path_for(scorer)}"), version)
