"""Writing runs that come from elsewhere: functions on an open transaction, many runs at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from modelwright.core.later import later
from modelwright.experiments import queries, writing
from modelwright.experiments.intake.records import ForeignExperiment, ForeignRun, Incoming, Series
from modelwright.experiments.metrics.writing import Row, blocks_of, fold, summarise
from modelwright.experiments.points import POINT_BYTES, Columns, merged, to_tail
from modelwright.experiments.records import Run
from modelwright.experiments.tables import (
    blocks,
    cut,
    experiments,
    metrics,
    names,
    params,
    runs,
    tags,
    tails,
    to_micros,
)
from modelwright.store import Transaction
from modelwright.store.driver import Prepared

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

MILLI = 1000  # microseconds
DIGITS = 9  # of a number that is not taken over: those that follow it are to be numbers for MLflow's clients, too
MANY_POINTS = 4096  # a run of more has them in blocks at once, not in a tail


def add_experiment(tx: Transaction, new: ForeignExperiment) -> int:
    """Add an experiment under its own number where that is free; the number it got."""
    fits = new.id.isascii() and new.id.isdigit() and len(new.id) < DIGITS and int(new.id) > 0
    wanted = writing.add_experiment(tx, new.title, wanted=int(new.id) if fits else None).id
    created = new.created * MILLI or writing.now(tx)
    dates = {"created": created, "updated": new.updated * MILLI or created, "deleted": _deleted(new)}
    tx.execute(experiments.update().where(experiments.c.id == wanted).values(**dates))
    writing.set_experiment_tags(tx, wanted, new.tags)
    _date(tx, wanted, new)
    return int(wanted)


def change_experiment(tx: Transaction, number: int, new: ForeignExperiment, held: Mapping[str, str]) -> None:
    """Make an experiment that is here what it is there; tags that only we have stay."""
    writing.set_experiment_tags(tx, number, {key: value for key, value in new.tags.items() if held.get(key) != value})
    tx.execute(experiments.update().where(experiments.c.id == number).values(deleted=_deleted(new)))
    _date(tx, number, new)


def _date(tx: Transaction, number: int, new: ForeignExperiment) -> None:
    if new.updated:
        tx.execute(experiments.update().where(experiments.c.id == number).values(updated=new.updated * MILLI))


def _deleted(new: ForeignExperiment) -> int | None:
    return (new.updated or new.created or 1) * MILLI if new.deleted else None


def differs(new: ForeignRun, here: Run, points: int) -> bool:
    """Whether a run that is here lacks anything of what it is there. What only we have does not count."""
    started, ended = _milliseconds(here.started_at), here.ended_at and _milliseconds(here.ended_at)
    same = (
        (new.name, new.status, new.user, new.started, new.ended, new.deleted)
        == (here.name, here.status, here.user, started, ended, here.lifecycle == "deleted")
        and new.params.items() <= {key: writing.as_text(value)[0] for key, value in here.params.items()}.items()
        and new.tags.items() <= here.tags.items()
        and all(each in here.datasets for each in new.datasets)
        and all(each in here.models for each in new.models)
    )
    return not same or (new.points is not None and points != new.points) or not _latest_held(new, here)


def _latest_held(new: ForeignRun, here: Run) -> bool:
    held = {name: (repr(metric.figure), metric.step, _milliseconds(metric.time)) for name, metric in here.metrics.items()}
    return all(held.get(name) == (repr(float(value)), step, time) for name, (value, step, time) in new.latest.items())


def _milliseconds(moment: Any) -> int:
    return to_micros(moment) // MILLI


def add_runs(tx: Transaction, new: Sequence[Incoming], *, gone: int | None) -> None:
    """Add runs that are not here yet, with everything but their files. `gone` is since when their experiment is deleted."""
    wanted = dict.fromkeys(
        name for each in new for name in (*each.run.params, *each.run.tags, *(series.metric for series in each.series))
    )
    ids = writing.name_ids(tx, list(wanted), make=True)
    rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in (params, tags, metrics, tails, blocks)}
    for each in new:
        key = _add_run(tx, each, gone)
        for table, pairs in ((params, each.run.params), (tags, each.run.tags)):
            for name, value in pairs.items():
                head, tail = cut(value)
                rows[table].append({"run": key, "name": ids[name], "head": head, "tail": tail})
        if all(len(series.steps) == 1 for series in each.series):
            _collect_single(rows, key, [(ids[series.metric], series) for series in each.series])
        else:
            _collect(rows, key, {ids[series.metric]: columns_of(series) for series in each.series})
        writing.add_datasets(tx, key, each.experiment, each.run.datasets)
        writing.add_models(tx, key, each.run.models)
    for row in rows[params]:
        row["json"] = None
    _insert(tx, rows)


def change_run(tx: Transaction, here: Any, new: Incoming, *, gone: int | None) -> None:
    """Make a run that is here what it is there: what differs is replaced, what only we have stays, curves are merged."""
    writing.change_run(tx, here.key, **_columns(new.run, gone))
    ids = writing.name_ids(tx, [*new.run.params, *new.run.tags, *(series.metric for series in new.series)], make=True)
    for table, pairs in ((params, new.run.params), (tags, new.run.tags)):
        rows = []
        for name, value in pairs.items():
            head, tail = cut(value)
            rows.append({"run": here.key, "name": ids[name], "head": head, "tail": tail})
        if rows:
            insert = tx.insert(table)
            replaced = {"head": insert.excluded.head, "tail": insert.excluded.tail}
            replaced |= {"json": None} if table is params else {}
            rows = [row | {"json": None} for row in rows] if table is params else rows
            tx.execute(insert.on_conflict_do_update(index_elements=[table.c.run, table.c.name], set_=replaced), rows)
    writing.add_datasets(tx, here.key, here.experiment, new.run.datasets)
    writing.add_models(tx, here.key, new.run.models)
    merge_points(tx, here.key, new.series)


def merge_points(tx: Transaction, run: int, series: Iterable[Series]) -> None:
    """Add points to a run. Those of a metric are written anew, each once, and what is known of it at a glance with them."""
    series = list(series)
    if not series:
        return
    ids = writing.name_ids(tx, [each.metric for each in series], make=True)
    fold(tx, run)
    found: dict[int, Columns] = {}
    for each in series:
        before = queries.points(tx, run, each.metric)
        columns = columns_of(each)
        found[ids[each.metric]] = columns if before is None else merged([before, columns])
    for table in (blocks, metrics):
        tx.execute(table.delete().where(table.c.run == run, table.c.name.in_(list(found))))
    rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in (metrics, tails, blocks)}
    _collect(rows, run, found, small=0)
    _insert(tx, rows)


def columns_of(series: Series) -> Columns:
    """Points as they are stored: in order, each once, times in microseconds."""
    steps = np.asarray(series.steps, dtype="<i8")
    times = np.asarray(series.times, dtype="<i8") * MILLI
    values = np.asarray([float(value) for value in series.values], dtype="<f8")
    return merged([(steps, times, values)])


def _collect_single(rows: dict[sa.Table, list[dict[str, Any]]], run: int, found: Sequence[tuple[int, Series]]) -> None:
    """`_collect` where each metric has one point, which is how parameters of a search are judged: no arrays are needed."""
    if not found:
        return
    points: list[Row] = [(name, each.steps[0], each.times[0] * MILLI, float(each.values[0])) for name, each in found]
    rows[metrics] += [glance.row(run, name) for name, glance in summarise(points).items()]
    rows[tails].append({"run": run, "seq": 1, "points": len(points), "data": to_tail(points)})


def _insert(tx: Transaction, rows: Mapping[sa.Table, Sequence[dict[str, Any]]]) -> None:
    for table, found in rows.items():
        if found:
            _INSERTS[table].many(tx.connection, found)


_INSERTS = {
    table: Prepared(table.insert(), *columns)
    for table, columns in (
        (params, ("run", "name", "head", "tail", "json")),
        (tags, ("run", "name", "head", "tail")),
        (metrics, tuple(metrics.c.keys())),
        (tails, ("run", "seq", "points", "data")),
        (blocks, ("run", "name", "points", "data")),
    )
}


def _collect(
    rows: dict[sa.Table, list[dict[str, Any]]], run: int, found: Mapping[int, Columns], *, small: int = MANY_POINTS
) -> None:
    total = sum(len(columns[0]) for columns in found.values())
    if not total:
        return
    for name, columns in found.items():
        rows[metrics].append(summary(run, name, columns))
    if total > small:
        for name, columns in found.items():
            rows[blocks] += [{"run": run, "name": name, **block} for block in blocks_of(columns)]
        return
    points = [
        (name, step, time, value)
        for name, columns in found.items()
        for step, time, value in zip(*(column.tolist() for column in columns), strict=True)
    ]
    rows[tails].append({"run": run, "seq": 1, "points": total, "data": to_tail(points)})


def summary(run: int, name: int, columns: Columns) -> dict[str, Any]:
    """What is known of a metric at a glance: its last point by step, time and value, its extremes, its number of points."""
    steps, times, values = columns
    comparable = np.where(np.isnan(values), -np.inf, values)
    last = int(np.lexsort((~np.isnan(values), comparable, times, steps))[-1])
    real = values[~np.isnan(values)]
    return {
        "run": run,
        "name": name,
        "value": None if np.isnan(values[last]) else float(values[last]),
        "step": int(steps[last]),
        "time": int(times[last]),
        "low": float(real.min()) if len(real) else None,
        "high": float(real.max()) if len(real) else None,
        "count": len(steps),
    }


def _add_run(tx: Transaction, new: Incoming, gone: int | None) -> int:
    fixed = {"id": new.run.id, "experiment": new.experiment, "created_by": tx.principal.id, "inputs": "[]", "outputs": "[]"}
    values = {**fixed, "capture": "{}", "error": "", **_columns(new.run, gone)}
    return int(_RUN.run(tx.connection, **values).fetchone()[0])


_RUN = Prepared(
    runs.insert().returning(runs.c.key),
    *("id", "experiment", "created_by", "inputs", "outputs", "capture", "error"),
    *("name", "status", "started", "ended", "deleted", "user_id"),
)


def _columns(run: ForeignRun, gone: int | None) -> dict[str, Any]:
    """What of a run stands in its row.

    One that is deleted with its experiment comes back with it. Of others it is not always said since when: then since they
    ended or began.
    """
    since = gone or (run.deleted_at or run.ended or run.started or 1) * MILLI
    return {
        "name": run.name,
        "status": run.status.value,
        "started": run.started * MILLI,
        "ended": None if run.ended is None else run.ended * MILLI,
        "deleted": since if run.deleted else None,
        "user_id": run.user,
    }


def rows_of(tx: Transaction, ids: Sequence[str]) -> dict[str, Any]:
    """The rows of those runs that are here, by id, with the names of their experiments."""
    return {row.id: row for row in tx.execute(queries.run_rows().where(runs.c.id.in_(ids)))}


def points_of(tx: Transaction, keys: Sequence[int]) -> dict[int, int]:
    """How many points each run has, each counted once; they are read only where that is not plain otherwise."""
    found = dict.fromkeys(keys, 0)
    t, b = tails.c, blocks.c
    recent: dict[int, list[bytes]] = {}
    for row in tx.execute(sa.select(t.run, t.data).where(t.run.in_(keys))):
        recent.setdefault(row.run, []).append(row.data)
    folded: dict[int, dict[int, list[int]]] = {}
    for row in tx.execute(sa.select(b.run, b.name, b.points).where(b.run.in_(keys))):
        folded.setdefault(row.run, {}).setdefault(row.name, []).append(row.points)
    for key in recent.keys() | folded.keys():
        older = folded.get(key, {})
        if not older:
            data = b"".join(recent[key])
            found[key] = len({data[at : at + POINT_BYTES] for at in range(0, len(data), POINT_BYTES)})
        elif key not in recent and all(len(each) == 1 for each in older.values()):
            found[key] = sum(each[0] for each in older.values())
        else:
            found[key] = distinct_points(tx, key)
    return found


def distinct_points(tx: Transaction, run: int) -> int:
    """The points of one run, read and counted."""
    named = sa.select(names.c.name).join(metrics, metrics.c.name == names.c.id).where(metrics.c.run == run)
    curves = (queries.points(tx, run, name) for name in tx.execute(named).scalars().all())
    return sum(len(columns[0]) for columns in curves if columns is not None)
