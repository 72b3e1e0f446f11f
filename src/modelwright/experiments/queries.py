"""Reading experiments and runs: one, many, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.experiments.comparing import compared
from modelwright.experiments.points import Columns, by_metric, from_block, from_tails, merged
from modelwright.experiments.records import (
    Capture,
    Comparison,
    DatasetRead,
    Experiment,
    Lifecycle,
    ModelRole,
    ModelUse,
    Run,
    RunStatus,
)
from modelwright.experiments.tables import (
    artifact_of,
    artifacts,
    blocks,
    cut,
    datasets,
    datasets_read,
    experiment_tags,
    experiments,
    from_micros,
    joined,
    metric_of,
    metrics,
    models_used,
    names,
    param_of,
    params,
    runs,
    tags,
    tails,
    to_micros,
)
from modelwright.store import Transaction, scopes
from modelwright.store.driver import Prepared

_r, _e = runs.c, experiments.c


# Experiments


def experiment_row(tx: Transaction, ref: Ref) -> Any:
    """The row of one experiment, discarded or not, or `NotFound`."""
    if ref.kind is not Kind.EXPERIMENT:
        raise Invalid(f"{ref} is not an experiment.", mend="An experiment is named experiment:<name>.")
    check_whole(ref)
    found = experiment_named(tx, ref.name)
    if found is None:
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list experiment")
    return found


def check_whole(ref: Ref) -> None:
    """Raise unless a ref names a thing as a whole: experiments, runs and what they log have no versions."""
    if ref.selector is not None:
        raise Invalid(f"{ref.whole} has no versions, so there is no {ref.selector} of it.", mend=f"Say {ref.whole}")


def experiment_numbered(tx: Transaction, number: int) -> Any | None:
    """The row of the experiment with that id, discarded or not."""
    return _EXPERIMENT.first(tx.connection, number=number) if -(1 << 31) <= number < 1 << 31 else None


_EXPERIMENT = Prepared(sa.select(experiments).where(_e.id == sa.bindparam("number")), "number")


def experiment_named(tx: Transaction, name: str) -> Any | None:
    """The row of the experiment of that ref name, discarded or not."""
    return tx.execute(sa.select(experiments).where(_e.name == name)).first()


def experiment_ids(tx: Transaction, names: Iterable[str]) -> dict[str, int]:
    """The ids of experiments by the names of their refs; those that are not there are left out."""
    found = tx.execute(sa.select(_e.name, _e.id).where(_e.name.in_(list(names))))
    return {each.name: each.id for each in found}


def experiment_names(tx: Transaction, ids: Iterable[int]) -> dict[int, str]:
    """The names of the refs of experiments by their ids."""
    found = tx.execute(sa.select(_e.id, _e.name).where(_e.id.in_(list(ids))))
    return {each.id: each.name for each in found}


def experiment_titles(tx: Transaction, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """The names of the refs of experiments and their titles, by their ids."""
    found = tx.execute(sa.select(_e.id, _e.name, _e.title).where(_e.id.in_(list(ids))))
    return {each.id: (each.name, each.title) for each in found}


def experiment_titled(tx: Transaction, title: str) -> Any | None:
    """The row of the experiment with exactly that title, discarded or not."""
    return tx.execute(sa.select(experiments).where(_e.title == title)).first()


def experiment(tx: Transaction, ref: Ref) -> Experiment:
    """One experiment."""
    return experiments_of(tx, [experiment_row(tx, ref)])[0]


def list_experiments(tx: Transaction, where: Filter) -> Page[Experiment]:
    """The experiments that the caller may see, by name; `where.state` is active (as by default), deleted or all."""
    query = sa.select(experiments).where(visible(tx, _e.name), alive(_e.deleted, where.state or Lifecycle.ACTIVE))
    if where.under is not None:
        query = query.where(scopes.under(_e.name, where.under))
    if where.text:
        words = _e.name + " " + _e.title + " " + _e.description
        query = query.where(sa.func.lower(words).contains(where.text.lower(), autoescape=True))
    if where.since:
        query = query.where(_e.created >= to_micros(where.since))
    if where.until:
        query = query.where(_e.created < to_micros(where.until))
    t = experiment_tags.c
    for key, value in where.tags.items():
        query = query.where(sa.exists().where(t.experiment == _e.id, t.key == key, t.value == value))
    if where.after:
        query = query.where(_e.name > where.after)
    found = tx.execute(query.order_by(_e.name).limit(_limit(where) + 1)).all()
    shown = found[: where.limit]
    return Page(items=experiments_of(tx, shown), next=shown[-1].name if len(found) > len(shown) else None)


def experiments_of(tx: Transaction, rows: Sequence[Any]) -> list[Experiment]:
    """Rows of `experiments` as records."""
    ids = [row.id for row in rows]
    tags_of: dict[int, dict[str, str]] = {number: {} for number in ids}
    t = experiment_tags.c
    for row in tx.execute(sa.select(experiment_tags).where(t.experiment.in_(ids)).order_by(t.key)):
        tags_of[row.experiment][row.key] = row.value
    counted = (
        sa.select(_r.experiment, sa.func.count().label("runs"), sa.func.max(_r.started).label("last"))
        .where(_r.experiment.in_(ids), _r.deleted.is_(None))
        .group_by(_r.experiment)
    )
    counts = {row.experiment: row for row in tx.execute(counted)} if ids else {}
    return [
        Experiment(
            id=row.id,
            name=row.name,
            title=row.title,
            description=row.description,
            lifecycle=lifecycle(row),
            artifact_location=row.artifact_location,
            created_at=from_micros(row.created),
            created_by=row.created_by,
            updated_at=from_micros(row.updated),
            tags=tags_of[row.id],
            runs=counts[row.id].runs if row.id in counts else 0,
            last_run_at=from_micros(counts[row.id].last) if row.id in counts else None,
        )
        for row in rows
    ]


def lifecycle(row: Any) -> Lifecycle:
    """Of a row of `experiments` or `runs`."""
    return Lifecycle.ACTIVE if row.deleted is None else Lifecycle.DELETED


# Runs


def run_row(tx: Transaction, ref: Ref) -> Any:
    """The row of one run, discarded or not, with the name of its experiment; or `NotFound`."""
    if ref.kind is not Kind.RUN:
        raise Invalid(f"{ref} is not a run.", mend="A run is named run:<id>; see mw list run.")
    check_whole(ref)
    found = run_identified(tx, ref.name)
    if found is None:
        raise NotFound(f"There is no run {ref.name!r}.", mend="See what there is: mw list run")
    return found


def run_authors(tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """Who really began some runs, by the runs' ids."""
    found = tx.execute(sa.select(_r.id, _r.created_by).where(_r.id.in_(list(ids))))
    return {each.id: each.created_by for each in found}


def run_identified(tx: Transaction, identity: str) -> Any | None:
    """The row of the run with that id, discarded or not."""
    return _RUN.first(tx.connection, identity=identity)


def run_rows() -> Any:
    """The query for rows of runs, with what is needed of their experiments."""
    of = (_e.name.label("experiment_name"), _e.title.label("experiment_title"), _e.deleted.label("experiment_deleted"))
    return sa.select(runs, *of).join(experiments, _e.id == _r.experiment)


_RUN = Prepared(run_rows().where(_r.id == sa.bindparam("identity")), "identity")


_g = metrics.c
_METRICS = sa.select(_g.run, names.c.name, _g.value, _g.step, _g.time, _g.low, _g.high, _g.count).join(
    names, names.c.id == _g.name
)


def runs_keyed(tx: Transaction, keys: Sequence[int]) -> list[Any]:
    """The rows of runs by their numbers, in that order."""
    found = {row.key: row for row in tx.execute(run_rows().where(_r.key.in_(list(keys))))}
    return [found[key] for key in keys]


def run(tx: Transaction, ref: Ref) -> Run:
    """One run."""
    return runs_of(tx, [run_row(tx, ref)])[0]


def list_runs(tx: Transaction, where: Filter, experiment: str | None) -> Page[Run]:
    """The runs that the caller may see, newest first; discarded ones only where `where.state` says deleted or all."""
    state = where.state if where.state in ("deleted", "all") else "active"
    query = run_rows().where(visible(tx, _e.name), alive(_r.deleted, state))
    if experiment is not None:
        number = tx.execute(sa.select(_e.id).where(_e.name == experiment)).scalar()
        query = query.where(_r.experiment == (-1 if number is None else number))
    if where.under is not None:
        query = query.where(scopes.under(_e.name, where.under))
    if where.text:
        words = (_r.name, _r.id, _e.name, _e.title)
        matches = [sa.func.lower(each).contains(where.text.lower(), autoescape=True) for each in words]
        query = query.where(sa.or_(*matches))
    if where.state and state == "active":
        query = query.where(_r.status == where.state)
    if where.since:
        query = query.where(_r.started >= to_micros(where.since))
    if where.until:
        query = query.where(_r.started < to_micros(where.until))
    for key, value in where.tags.items():
        head, tail = cut(value)
        number_of = sa.select(names.c.id).where(names.c.name == key).scalar_subquery()
        t = tags.c
        same = (t.run == _r.key, t.name == number_of, t.head == head, t.tail.is_(None) if tail is None else t.tail == tail)
        query = query.where(sa.exists().where(*same))
    if where.after:
        at, identity = read_after(where.after)
        query = query.where(sa.or_(_r.started < at, sa.and_(_r.started == at, _r.id < identity)))
    found = tx.execute(query.order_by(_r.started.desc(), _r.id.desc()).limit(_limit(where) + 1)).all()
    shown, more = found[: where.limit], len(found) > where.limit
    return Page(items=runs_of(tx, shown), next=f"{shown[-1].started} {shown[-1].id}" if more else None)


def compare(tx: Transaction, refs: Sequence[Ref]) -> Comparison:
    """Runs side by side; one that the caller may not see is not found."""
    may = scopes.may_read(tx, Kind.RUN)
    rows = [run_row(tx, ref) for ref in refs]
    for each in rows:
        if not may(each.experiment_name):
            raise NotFound(f"There is no run {each.id!r}.")
    return compared(runs_of(tx, rows))


def runs_of(tx: Transaction, rows: Sequence[Any]) -> list[Run]:
    """Rows of runs, with what belongs to them, as records."""
    if not rows:
        return []
    keys = [row.key for row in rows]
    found: dict[int, dict[str, Any]] = {key: _empty() for key in keys}
    for table, read in ((params, param_of), (tags, lambda row: joined(row.head, row.tail))):
        query = sa.select(table, names.c.name.label("text")).join(names, names.c.id == table.c.name)
        for row in tx.execute(query.where(table.c.run.in_(keys)).order_by(names.c.name)):
            found[row.run]["params" if table is params else "tags"][row.text] = read(row)
    figures: Iterable[Any] = tx.execute(_METRICS.where(_g.run.in_(keys)).order_by(names.c.name))
    for key, *each in figures:
        found[key]["metrics"][each[0]] = metric_of(*each)
    a, m = artifacts.c, models_used.c
    for row in tx.execute(sa.select(artifacts).where(a.run.in_(keys)).order_by(a.name)):
        found[row.run]["artifacts"].append(artifact_of(row))
    for row in tx.execute(sa.select(models_used).where(m.run.in_(keys)).order_by(m.role, m.step, m.model)):
        found[row.run]["models"].append(ModelUse(model=row.model, role=ModelRole(row.role), step=row.step))
    for key, reading in datasets_of(tx, keys):
        found[key]["datasets"].append(reading)
    return [
        Run(
            id=row.id,
            experiment=row.experiment_name,
            experiment_title=row.experiment_title,
            experiment_id=row.experiment,
            name=row.name,
            status=RunStatus(row.status),
            started_at=from_micros(row.started),
            ended_at=None if row.ended is None else from_micros(row.ended),
            lifecycle=lifecycle(row),
            created_by=row.created_by,
            user=row.user_id,
            inputs=[Ref.parse(text) for text in msgspec.json.decode(row.inputs)],
            outputs=[Ref.parse(text) for text in msgspec.json.decode(row.outputs)],
            capture=decode(row.capture, Capture),
            error=row.error,
            **found[row.key],
        )
        for row in rows
    ]


def datasets_of(tx: Transaction, keys: Iterable[int]) -> list[tuple[int, DatasetRead]]:
    """What runs read, each with the number of its run, by name."""
    d, r = datasets.c, datasets_read.c
    query = sa.select(datasets, r.run, r.tags).join(datasets_read, r.dataset == d.id)
    return [
        (
            row.run,
            DatasetRead(
                name=row.name,
                digest=row.digest,
                source_type=row.source_type,
                source=row.source,
                schema=row.schema,
                profile=row.profile,
                tags=msgspec.json.decode(row.tags),
            ),
        )
        for row in tx.execute(query.where(r.run.in_(list(keys))).order_by(d.name, d.digest))
    ]


def points(tx: Transaction, run: int, name: str) -> Columns | None:
    """All points of a metric, in order of time, step and value; None if the run has none of that name."""
    number = tx.execute(sa.select(names.c.id).where(names.c.name == name)).scalar()
    if number is None:
        return None
    b, t = blocks.c, tails.c
    found = tx.execute(sa.select(b.data).where(b.run == run, b.name == number).order_by(b.id)).scalars()
    parts = [from_block(data) for data in found]
    newest = list(tx.execute(sa.select(t.data).where(t.run == run).order_by(t.seq)).scalars())
    if newest:
        rows = from_tails(newest)
        parts += by_metric(rows[rows["name"] == number]).values()
    return merged(parts) if parts else None


def tag(tx: Transaction, run: int, key: str) -> str | None:
    """The value of one tag of a run."""
    t = tags.c
    query = sa.select(t.head, t.tail).join(names, names.c.id == t.name)
    row = tx.execute(query.where(t.run == run, names.c.name == key)).first()
    return None if row is None else joined(row.head, row.tail)


def metric_names(tx: Transaction, run: int) -> list[str]:
    """The metrics of a run by name."""
    m = metrics.c
    query = sa.select(names.c.name).join(metrics, m.name == names.c.id).where(m.run == run)
    return list(tx.execute(query.order_by(names.c.name)).scalars())


def _empty() -> dict[str, Any]:
    return {"params": {}, "tags": {}, "metrics": {}, "artifacts": [], "models": [], "datasets": []}


def read_after(text: str) -> tuple[int, str]:
    """When the last of a page began or was made, and its id, from the `next` of that page."""
    at, _, identity = text.partition(" ")
    if not (at.lstrip("-").isascii() and at.lstrip("-").isdigit() and len(at) < 19):
        raise Invalid(f"{text[:80]!r} is not the `next` of a page.")
    return int(at), identity


def alive(deleted: Any, state: str) -> Any:
    """Whether a row is in use, discarded, or either, by the column that says since when it is discarded."""
    if state == "all":
        return sa.true()
    return deleted.is_(None) if state == Lifecycle.ACTIVE else deleted.is_not(None)


def visible(tx: Transaction, column: Any) -> Any:
    """Whether the caller may read the runs of an experiment, by its name."""
    return scopes.readable(tx, Kind.RUN, column)


def _limit(where: Filter) -> int:
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    return where.limit


class FileNames:
    """The names of files in a column of a table, each owned by what another column says."""

    def __init__(self, column: Any, owner: Any) -> None:
        chosen = sa.select(column).where(owner == sa.bindparam("owner"))
        self._named = Prepared(chosen.where(column == sa.bindparam("name")), "owner", "name")
        between = chosen.where(column >= sa.bindparam("low"), column < sa.bindparam("high")).limit(1)
        self._between = Prepared(between, "owner", "low", "high")

    def refuse_clash(self, tx: Transaction, owner: int, name: str) -> None:
        """`Conflict` where a new file would lie in another, or have the name of a folder: nobody could download both."""
        below = {"low": f"{name}/", "high": f"{name}0"}  # `0` is what follows `/`
        found = self._between.run(tx.connection, owner=owner, **below).fetchone()
        folders = accumulate(name.split("/")[:-1], "{}/{}".format)
        while found is None and (folder := next(folders, None)) is not None:
            found = self._named.run(tx.connection, owner=owner, name=folder).fetchone()
        if found is None:
            return
        file, folder = (found[0], name) if len(found[0]) < len(name) else (name, found[0])
        raise Conflict(
            f"{file!r} cannot be a file and hold {folder!r} as well.",
            mend="Give one of them another name, or remove the one that is there.",
        )


RUN_FILES = FileNames(artifacts.c.name, artifacts.c.run)
