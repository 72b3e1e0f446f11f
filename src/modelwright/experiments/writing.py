"""Writing a batch of figures to a run, inside an open transaction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.core.wire import encode_text
from modelwright.experiments.queries import metric_ids
from modelwright.experiments.records import Artifact, Point
from modelwright.experiments.tables import artifacts, from_micros, metrics, params, points, to_column, to_micros, writers
from modelwright.store import Transaction

MAX_NAME = 250  # characters of a parameter's or metric's name
MAX_PARAM = 64 * 1024  # characters of a parameter's value as JSON


def add_params(tx: Transaction, ref: Ref, new: Mapping[str, Any]) -> None:
    """Add parameters; one that is there with another value is a `Conflict`."""
    found = tx.execute(sa.select(params.c.name, params.c.value).where(params.c.run == ref.name))
    held = {each.name: each.value for each in found}
    for name, value in new.items():
        _check_name(name)
        text = encode_text(value)
        if len(text) > MAX_PARAM:
            raise Invalid(f"Parameter {name!r} has {len(text)} characters.", mend="Log it as an artifact.")
        if name not in held:
            tx.execute(params.insert().values(run=ref.name, name=name, value=text))
        elif held[name] != text:
            raise Conflict(
                f"Parameter {name!r} of {ref} is {held[name]} and cannot become {text}.",
                mend="What changes during a run is a metric; a run with other parameters is another run.",
            )


def add_points(tx: Transaction, ref: Ref, new: Sequence[Point]) -> None:
    """Add metric points; a point of the same metric, step and time is the same point."""
    by_metric: dict[str, list[Point]] = {}
    for point in new:
        by_metric.setdefault(point.metric, []).append(point)
    if not by_metric:
        return
    known = metric_ids(tx, ref)
    insert = tx.insert(points).on_conflict_do_nothing()
    for name, batch in by_metric.items():
        _check_name(name)
        if name not in known:
            known[name] = _new_metric(tx, ref, name, batch[0])
        rows = [
            {
                "metric": known[name],
                "step": each.step,
                "time": to_micros(each.time),
                "value": to_column(each.figure),
            }
            for each in batch
        ]
        tx.execute(insert, rows)
        _summarise(tx, known[name], batch)


def add_artifacts(tx: Transaction, ref: Ref, new: Sequence[Artifact]) -> None:
    """Name objects as artifacts of the run; one of the same name is replaced."""
    for each in new:
        parts = each.name.split("/")
        if not each.name or len(each.name) > 500 or "\\" in each.name or any(part in ("", ".", "..") for part in parts):
            raise Invalid(f"{each.name!r} cannot name an artifact.", mend="Use a relative path such as plots/roc.png.")
        same = (artifacts.c.run == ref.name, artifacts.c.name == each.name)
        tx.execute(artifacts.delete().where(*same))
        described = {"digest": each.digest, "size": each.size, "media_type": each.media_type}
        tx.execute(artifacts.insert().values(run=ref.name, name=each.name, **described))


def last_delivered(tx: Transaction, ref: Ref, writer: str) -> tuple[int, datetime] | None:
    """The number of the last entry that a writer has delivered, and when it began; None of one that is new."""
    w = writers.c
    row = tx.execute(sa.select(w.sequence, w.began).where(w.run == ref.name, w.writer == writer)).first()
    return None if row is None else (row.sequence, from_micros(row.began))


def set_delivered(tx: Transaction, ref: Ref, writer: str, *, sequence: int, began: datetime) -> None:
    """Keep how far a writer has come."""
    values = {"run": ref.name, "writer": writer, "sequence": sequence, "began": to_micros(began)}
    added = tx.insert(writers).values(**values)
    tx.execute(added.on_conflict_do_update(index_elements=["run", "writer"], set_={"sequence": sequence}))


def forget_writers(tx: Transaction, ref: Ref) -> None:
    """The run is being deleted."""
    tx.execute(writers.delete().where(writers.c.run == ref.name))


def last_steps(tx: Transaction, ref: Ref) -> dict[str, int]:
    """The last step of every metric of a run."""
    m = metrics.c
    return {row.name: row.step for row in tx.execute(sa.select(m.name, m.step).where(m.run == ref.name))}


def _new_metric(tx: Transaction, ref: Ref, name: str, first: Point) -> int:
    values = {"step": first.step, "time": to_micros(first.time), "value": to_column(first.figure)}
    made = tx.execute(metrics.insert().values(run=ref.name, name=name, **values).returning(metrics.c.id))
    return int(made.scalar_one())


def _summarise(tx: Transaction, metric: int, batch: Sequence[Point]) -> None:
    """Keep the last point (by step, then time) and the extremes beside the metric."""
    held = tx.execute(sa.select(metrics).where(metrics.c.id == metric)).one()
    newest = max(batch, key=lambda point: (point.step, point.time))
    real = [point.figure for point in batch if not math.isnan(point.figure)]
    lows, highs = [*real], [*real]
    if held.low is not None:
        lows.append(held.low)
        highs.append(held.high)
    values: dict[str, Any] = {"low": min(lows, default=None), "high": max(highs, default=None)}
    if (newest.step, to_micros(newest.time)) >= (held.step, held.time):
        values |= {"step": newest.step, "time": to_micros(newest.time), "value": to_column(newest.figure)}
    tx.execute(metrics.update().where(metrics.c.id == metric).values(**values))


def _check_name(name: str) -> None:
    if not name or len(name) > MAX_NAME:
        raise Invalid(f"A parameter's or metric's name has 1 to {MAX_NAME} characters, not {len(name)}.")
