"""The data path of the room: functions on an open transaction that write, without an event.

They take the number of a row. Whoever calls them holds the write lock, and has looked whether the run takes anything.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.names import path_for
from modelwright.core.refs import Ref
from modelwright.core.wire import encode_text
from modelwright.experiments import queries
from modelwright.experiments.filenames import check_file_name
from modelwright.experiments.records import (
    CONTEXT_TAG,
    DEFAULT,
    NAME_TAG,
    Artifact,
    DatasetRead,
    ModelUse,
    RunStatus,
)
from modelwright.experiments.tables import (
    artifacts,
    blocks,
    cut,
    datasets,
    datasets_read,
    experiment_tags,
    experiments,
    from_micros,
    metrics,
    models_used,
    names,
    params,
    runs,
    tags,
    tails,
    to_micros,
    writers,
)
from modelwright.experiments.values import MAX_PARAM, MAX_TAG, check_name
from modelwright.experiments.views.tables import views
from modelwright.store import Database, Transaction
from modelwright.store.driver import Prepared

FEW = 500  # values that stand in one statement
_known: weakref.WeakKeyDictionary[Database, dict[str, int]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def name_ids(tx: Transaction, wanted: Iterable[str], *, make: bool = False) -> dict[str, int]:
    """The numbers of names; one that nobody has used is left out, or with `make` gets one.

    A number is given once and never taken back, so it is remembered; but not before a transaction that read it has
    ended well, since the one that gave it may still be undone.
    """
    with _lock:
        known = _known.setdefault(tx.database, {})
    found = {name: known[name] for name in wanted if name in known}
    missing = [name for name in dict.fromkeys(wanted) if name not in found]
    if not missing:
        return found
    read = _read_names(tx, missing)
    if read:
        tx.committed.append(lambda: known.update(read))
    found |= read
    fresh = [{"name": name} for name in missing if name not in read]
    if fresh and make:
        for each in fresh:
            check_name(each["name"])
        tx.execute(tx.insert(names).on_conflict_do_nothing(index_elements=[names.c.name]), fresh)
        found |= _read_names(tx, [each["name"] for each in fresh])
    return found


def _read_names(tx: Transaction, wanted: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(wanted), FEW):
        rows = tx.execute(sa.select(names.c.name, names.c.id).where(names.c.name.in_(wanted[start : start + FEW])))
        found |= {row.name: row.id for row in rows}
    return found


def add_experiment(
    tx: Transaction, title: str, *, description: str = "", artifact_location: str = "", wanted: int | None = None
) -> Any:
    """Add an experiment; its row. The one that is called Default is the first, whenever it comes: number 0.

    `wanted` is the number that it gets if that is free. Any other gets the one after the highest: a sequence of
    PostgreSQL's would know nothing of those that were wanted, and run into them.
    """
    number = 0 if title == DEFAULT else wanted
    if number is None or queries.experiment_numbered(tx, number) is not None:
        number = max(0, tx.execute(sa.select(sa.func.max(experiments.c.id))).scalar() or 0) + 1
    moment = now(tx)
    made = experiments.insert().values(
        id=number,
        name=path_for(title),
        title=title,
        description=description,
        artifact_location=artifact_location,
        created=moment,
        created_by=tx.principal.id,
        updated=moment,
    )
    return tx.execute(made.returning(*experiments.c)).one()


def now(tx: Transaction) -> int:
    """The time of a transaction as it is stored."""
    return to_micros(tx.now)


def change_experiment(tx: Transaction, number: int, **values: Any) -> None:
    """Change columns of an experiment, and when it was changed."""
    tx.execute(experiments.update().where(experiments.c.id == number).values(updated=now(tx), **values))


def rename_experiment(tx: Transaction, row: Any, *, title: str, name: str) -> None:
    """Give an experiment another title and name; its saved views go along."""
    change_experiment(tx, row.id, title=title, name=name)
    tx.execute(views.update().where(views.c.experiment == row.name).values(experiment=name))


def set_experiment_tags(tx: Transaction, number: int, new: Mapping[str, str | None]) -> None:
    """Set tags of an experiment; None takes one away."""
    t = experiment_tags.c
    for key, value in new.items():
        check_name(key)
        tx.execute(experiment_tags.delete().where(t.experiment == number, t.key == key))
        if value is not None:
            tx.execute(experiment_tags.insert().values(experiment=number, key=key, value=value))


def discard_experiment(tx: Transaction, number: int) -> None:
    """Put an experiment away, with those of its runs that are not away yet."""
    moment = now(tx)
    change_experiment(tx, number, deleted=moment)
    tx.execute(runs.update().where(runs.c.experiment == number, runs.c.deleted.is_(None)).values(deleted=moment))


def restore_experiment(tx: Transaction, row: Any) -> None:
    """Bring an experiment back, with the runs that were put away along with it."""
    change_experiment(tx, row.id, deleted=None)
    tx.execute(runs.update().where(runs.c.experiment == row.id, runs.c.deleted == row.deleted).values(deleted=None))


def add_run(
    tx: Transaction,
    experiment: int,
    identity: str,
    *,
    name: str,
    user: str = "",
    status: RunStatus = RunStatus.RUNNING,
    started: int | None = None,
    inputs: str = "[]",
    capture: str = "{}",
) -> int:
    """Add a run; the number of its row. `started` is in microseconds since 1970, by default now."""
    values = {
        "id": identity,
        "experiment": experiment,
        "name": name,
        "user_id": user,
        "status": status.value,
        "started": now(tx) if started is None else started,
        "created_by": tx.principal.id,
        "inputs": inputs,
        "outputs": "[]",
        "capture": capture,
        "error": "",
    }
    return int(_RUN.run(tx.connection, **values).fetchone()[0])


_RUN = Prepared(
    runs.insert().returning(runs.c.key),
    *("id", "experiment", "name", "user_id", "status", "started", "created_by", "inputs", "outputs", "capture", "error"),
)


def change_run(tx: Transaction, run: int, **values: Any) -> None:
    """Change columns of a run."""
    tx.execute(runs.update().where(runs.c.key == run).values(**values))


class Place(NamedTuple):
    """What a new run must know of its experiment."""

    id: int
    name: str
    title: str
    artifact_location: str
    deleted: int | None


_PLACE = Prepared(
    sa.select(*(experiments.c[name] for name in Place._fields)).where(experiments.c.id == sa.bindparam("number")), "number"
)


def place_for(tx: Transaction, number: int) -> Place | None:
    """The experiment with that number, discarded or not."""
    if not -(1 << 31) <= number < 1 << 31:
        return None
    row = _PLACE.run(tx.connection, number=number).fetchone()
    return None if row is None else Place(*row)


class Target(NamedTuple):
    """A run that something is to be written to."""

    key: int
    experiment: int
    experiment_name: str
    name: str
    status: str
    deleted: int | None


_TARGET = Prepared(
    sa.select(
        runs.c.key, runs.c.experiment, experiments.c.name.label("of"), runs.c.name, runs.c.status, runs.c.deleted
    ).where(runs.c.id == sa.bindparam("id"), experiments.c.id == runs.c.experiment),
    "id",
)


def target(tx: Transaction, identity: str) -> Target | None:
    """The run with that id, discarded or not."""
    row = _TARGET.run(tx.connection, id=identity).fetchone()
    return None if row is None else Target(*row)


def add_params(tx: Transaction, run: int, new: Mapping[str, Any]) -> None:
    """Add parameters; one that is there with another value is a `Conflict`. Their text is what is compared."""
    if not new:
        return
    ids = name_ids(tx, list(new), make=True)
    p = params.c
    mine = sa.select(p.name, p.head, p.tail).where(p.run == run)
    few = len(ids) <= FEW  # of more, no statement can name each
    found = tx.execute(mine.where(p.name.in_(list(ids.values()))) if few else mine)
    held = {row.name: (row.head, row.tail) for row in found}
    rows = []
    for name, value in new.items():
        text, json = as_text(value)
        if len(text) > MAX_PARAM:
            raise Invalid(f"Parameter {name!r} has {len(text)} characters.", mend="Log it as an artifact.")
        head, tail = cut(text)
        there = held.get(ids[name])
        if there is None:
            rows.append({"run": run, "name": ids[name], "head": head, "tail": tail, "json": json})
        elif there != (head, tail):
            raise ParamTaken(name, old=there[0] + (there[1] or ""), new=text)
    if rows:
        _PARAM.many(tx.connection, rows)


_PARAM = Prepared(params.insert(), "run", "name", "head", "tail", "json")


class ParamTaken(Conflict):
    """A parameter has another value already."""

    def __init__(self, name: str, *, old: str, new: str) -> None:
        super().__init__(
            f"Parameter {name!r} is {old[:200]} and cannot become {new[:200]}.",
            mend="What changes during a run is a metric; a run with other parameters is another run.",
            details={"name": name, "old": old, "new": new},
        )


def as_text(value: Any) -> tuple[str, str | None]:
    """A parameter's text, by which it is compared and searched; and its JSON, unless it is that text itself."""
    if isinstance(value, str):
        return value, None
    text = encode_text(value)
    return text, text


def set_tags(tx: Transaction, run: int, new: Mapping[str, str]) -> None:
    """Set tags. The one that MLflow keeps the name of a run in sets that name."""
    name = new.get(NAME_TAG)
    if name is not None:
        tx.execute(runs.update().where(runs.c.key == run).values(name=name))
    rows = []
    others = {key: value for key, value in new.items() if key != NAME_TAG}
    ids = name_ids(tx, list(others), make=True)
    for key, value in others.items():
        if len(value) > MAX_TAG:
            raise Invalid(f"The tag {key!r} has {len(value)} characters.", mend="Log it as an artifact.")
        head, tail = cut(value)
        rows.append({"run": run, "name": ids[key], "head": head, "tail": tail})
    if rows:
        _tag_upsert(tx).many(tx.connection, rows)


def _tag_upsert(tx: Transaction) -> Prepared:
    dialect = tx.connection.dialect.name
    if dialect not in _TAGS:
        insert = tx.insert(tags)
        replaced = {"head": insert.excluded.head, "tail": insert.excluded.tail}
        statement = insert.on_conflict_do_update(index_elements=[tags.c.run, tags.c.name], set_=replaced)
        _TAGS[dialect] = Prepared(statement, "run", "name", "head", "tail")
    return _TAGS[dialect]


_TAGS: dict[str, Prepared] = {}  # by the name of the dialect


def drop_tag(tx: Transaction, run: int, key: str) -> bool:
    """Take a tag away; whether it was there."""
    if key == NAME_TAG:
        return bool(tx.execute(runs.update().where(runs.c.key == run, runs.c.name != "").values(name="")).rowcount)
    ids = name_ids(tx, [key])
    if key not in ids:
        return False
    return bool(tx.execute(tags.delete().where(tags.c.run == run, tags.c.name == ids[key])).rowcount)


def add_artifacts(tx: Transaction, run: int, new: Sequence[Artifact]) -> None:
    """Name objects as artifacts of the run; one of the same name is replaced."""
    for each in new:
        check_file_name(each.name)
        same = (artifacts.c.run == run, artifacts.c.name == each.name)
        if not tx.execute(artifacts.delete().where(*same)).rowcount:
            queries.RUN_FILES.refuse_clash(tx, run, each.name)
        described = {"digest": each.digest, "size": each.size, "media_type": each.media_type}
        tx.execute(artifacts.insert().values(run=run, name=each.name, **described))


def last_delivered(tx: Transaction, ref: Ref, writer: str) -> tuple[int, datetime] | None:
    """The number of the last entry that a writer has delivered, and when it began; None of one that is new."""
    w = writers.c
    query = sa.select(w.sequence, w.began).join(runs, runs.c.key == w.run)
    row = tx.execute(query.where(runs.c.id == ref.name, w.writer == writer)).first()
    return None if row is None else (row.sequence, from_micros(row.began))


def set_delivered(tx: Transaction, run: int, writer: str, *, sequence: int, began: datetime) -> None:
    """Keep how far a writer has come."""
    values = {"run": run, "writer": writer, "sequence": sequence, "began": to_micros(began)}
    added = tx.insert(writers).values(**values)
    tx.execute(added.on_conflict_do_update(index_elements=["run", "writer"], set_={"sequence": sequence}))


def add_datasets(tx: Transaction, run: int, experiment: int, new: Sequence[DatasetRead]) -> None:
    """Note what a run read; the same name and digest a second time is the same reading, and keeps its first tags."""
    d = datasets.c
    for each in new:
        key = {"experiment": experiment, "name": each.name, "digest": each.digest}
        described = {
            "source_type": each.source_type,
            "source": each.source,
            "schema": each.schema,
            "profile": each.profile,
        }
        insert = tx.insert(datasets).values(**key, **described)
        tx.execute(insert.on_conflict_do_nothing(index_elements=[d.experiment, d.name, d.digest]))
        same = (d.experiment == experiment, d.name == each.name, d.digest == each.digest)
        dataset = tx.execute(sa.select(d.id).where(*same)).scalar_one()
        reading = tx.insert(datasets_read).values(
            run=run,
            dataset=dataset,
            context=each.tags.get(CONTEXT_TAG),
            tags=encode_text(each.tags),
        )
        r = datasets_read.c
        tx.execute(reading.on_conflict_do_nothing(index_elements=[r.run, r.dataset]))


def add_models(tx: Transaction, run: int, new: Sequence[ModelUse]) -> None:
    """Note which logged models a run took in or made. Saying it twice is the same as once."""
    if new:
        rows = [{"run": run, "role": each.role.value, "model": each.model, "step": each.step} for each in new]
        m = models_used.c
        tx.execute(tx.insert(models_used).on_conflict_do_nothing(index_elements=[m.run, m.role, m.model, m.step]), rows)


def erase(tx: Transaction, run: int) -> None:
    """Delete a run and all that belongs to it, for good."""
    for table in (tails, blocks, metrics, params, tags, artifacts, datasets_read, models_used, writers):
        tx.execute(table.delete().where(table.c.run == run))
    tx.execute(runs.delete().where(runs.c.key == run))
