"""How metric points come into the database: a row in the tail of their run, and each metric at a glance; later blocks.

Functions on an open transaction that write, without an event, as those of the room's `writing`. Decision 0011 says why.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.experiments.points import Columns, by_metric, from_block, from_tails, merged, to_block, to_tail
from modelwright.experiments.records import Point
from modelwright.experiments.tables import blocks, metrics, names, tails, to_column, to_micros
from modelwright.experiments.writing import name_ids
from modelwright.store import Transaction
from modelwright.store.driver import Prepared

TAIL_ROWS, TAIL_POINTS = 512, 128 * 1024  # a tail that has grown so long is folded into blocks
SETTLED_POINTS = 16  # of a metric: as a block of its own they take half of what they take in a tail
BLOCK_POINTS = 32 * 1024  # a block that has grown so long is not merged with the next

Row: TypeAlias = tuple[int, int, int, float]
"""A point as it is stored: the number of its metric's name, its step, its time in microseconds, its value."""


def add_points(tx: Transaction, run: int, new: Sequence[Point]) -> None:
    """Add metric points. One that is there already, alike in step, time and value, is the same point."""
    if not new:
        return
    ids = name_ids(tx, list(dict.fromkeys(point.metric for point in new)), make=True)
    add_rows(tx, run, [(ids[point.metric], point.step, to_micros(point.time), point.figure) for point in new])


def add_rows(tx: Transaction, run: int, rows: Sequence[Row]) -> None:
    """Add metric points as they are stored: one row in the tail, and one upsert for each metric."""
    try:
        data = to_tail(rows)
    except struct.error:
        raise Invalid("The step or the time of a figure does not fit into 64 bits.") from None
    last = _LAST.run(tx.connection, run=run).fetchone()
    seq, held = (1, len(rows)) if last is None else (last[0] + 1, last[1] + len(rows))
    _APPEND.run(tx.connection, run=run, seq=seq, points=held, data=data)
    upsert = _upsert(tx)
    if len(rows) == 1:
        name, step, time, value = rows[0]
        known = to_column(value)
        glance = {"value": known, "step": step, "time": time, "low": known, "high": known, "count": 1}
        upsert.run(tx.connection, run=run, name=name, **glance)
    else:
        upsert.many(tx.connection, [summary.row(run, name) for name, summary in summarise(rows).items()])
    if seq >= TAIL_ROWS or held >= TAIL_POINTS:
        fold(tx, run)


_LAST = Prepared(
    sa.select(tails.c.seq, tails.c.points)
    .where(tails.c.run == sa.bindparam("run"))
    .order_by(tails.c.seq.desc())
    .limit(sa.literal_column("1")),
    "run",
)
_APPEND = Prepared(tails.insert(), "run", "seq", "points", "data")
_UPSERTS: dict[str, Prepared] = {}


class Summary:
    """What some points of one metric say at a glance."""

    __slots__ = ("count", "high", "low", "step", "time", "value")

    def __init__(self) -> None:
        self.count = 0
        self.step, self.time = -(1 << 63), -(1 << 63)
        self.value: float = math.nan
        self.low: float | None = None
        self.high: float | None = None

    def add(self, step: int, time: int, value: float) -> None:
        """Take one point in."""
        self.count += 1
        later, before = (step, time), (self.step, self.time)
        if later > before or (later == before and (value > self.value or self.value != self.value)):
            self.step, self.time, self.value = step, time, value
        if value == value:
            if self.low is None or value < self.low:
                self.low = value
            if self.high is None or value > self.high:
                self.high = value

    def row(self, run: int, name: int) -> dict[str, Any]:
        """As a row of `metrics`."""
        return {
            "run": run,
            "name": name,
            "value": to_column(self.value),
            "step": self.step,
            "time": self.time,
            "low": self.low,
            "high": self.high,
            "count": self.count,
        }


def summarise(rows: Iterable[Row]) -> dict[int, Summary]:
    """The points of one call by metric."""
    found: dict[int, Summary] = {}
    for name, step, time, value in rows:
        summary = found.get(name)
        if summary is None:
            summary = found[name] = Summary()
        summary.add(step, time, value)
    return found


def _upsert(tx: Transaction) -> Prepared:
    """One statement: the last point by step, then time, then value; the extremes without NaN."""
    dialect = tx.connection.dialect.name
    if dialect not in _UPSERTS:
        insert = tx.insert(metrics)
        new, m = insert.excluded, metrics.c
        same = sa.and_(new.step == m.step, new.time == m.time)
        later = sa.or_(
            new.step > m.step,
            sa.and_(new.step == m.step, new.time > m.time),
            sa.and_(same, sa.or_(m.value.is_(None), new.value > m.value)),
        )
        values = {name: sa.case((later, new[name]), else_=m[name]) for name in ("value", "step", "time")}
        values["low"] = sa.case((sa.or_(m.low.is_(None), new.low < m.low), new.low), else_=m.low)
        values["high"] = sa.case((sa.or_(m.high.is_(None), new.high > m.high), new.high), else_=m.high)
        values["count"] = m.count + new.count
        statement = insert.on_conflict_do_update(index_elements=[m.run, m.name], set_=values)
        _UPSERTS[dialect] = Prepared(statement, *(column.name for column in m))
    return _UPSERTS[dialect]


def settle(tx: Transaction, run: int) -> None:
    """Fold the tail of a run that has ended, where its curves are long enough to be shorter as blocks."""
    last = _LAST.run(tx.connection, run=run).fetchone()
    if last is not None and last[1] >= SETTLED_POINTS:
        fold(tx, run, least=SETTLED_POINTS)


def fold(tx: Transaction, run: int, *, least: int = 0) -> None:
    """Move the tail of a run into blocks, if it has `least` points of each metric in the mean.

    A new block takes in those before it that are not longer than itself: so of each metric there are few, and no point is
    written again more often than the logarithm of their number.
    """
    t, b = tails.c, blocks.c
    tail = list(tx.execute(sa.select(t.data).where(t.run == run).order_by(t.seq)).scalars())
    if not tail:
        return
    newest = by_metric(from_tails(tail))
    if sum(len(columns[0]) for columns in newest.values()) < least * len(newest):
        return
    short: dict[int, list[Any]] = {}
    for row in tx.execute(sa.select(b.name, b.id, b.points).where(b.run == run).order_by(b.id)):
        if row.points >= BLOCK_POINTS:
            short[row.name] = []
        else:
            short.setdefault(row.name, []).append(row)
    made, gone = [], []
    for name, columns in newest.items():
        parts, count = [columns], len(columns[0])
        before = short.get(name, [])
        while before and before[-1].points <= count:
            last = before.pop()
            data = tx.execute(sa.select(b.data).where(b.id == last.id)).scalar_one()
            parts.append(from_block(data))
            gone.append(last.id)
            count += last.points
        made += [{"run": run, "name": name, **block} for block in blocks_of(merged(parts))]
    for start in range(0, len(gone), 500):
        tx.execute(blocks.delete().where(b.id.in_(gone[start : start + 500])))
    if made:
        tx.execute(blocks.insert(), made)
    tx.execute(tails.delete().where(t.run == run))


def blocks_of(columns: Columns) -> list[dict[str, Any]]:
    """The points of a metric as rows of `blocks`, without run and name."""
    return [{"points": len(part[0]), "data": to_block(part)} for part in _split(columns)]


def _split(columns: Columns) -> list[Columns]:
    count = len(columns[0])
    pieces = -(-count // (2 * BLOCK_POINTS))
    edges = [count * piece // pieces for piece in range(pieces + 1)]
    return [
        (columns[0][start:end], columns[1][start:end], columns[2][start:end]) for start, end in itertools.pairwise(edges)
    ]


def last_steps(tx: Transaction, run: int) -> dict[str, int]:
    """The last step of every metric of a run."""
    m = metrics.c
    query = sa.select(names.c.name, m.step).join(names, names.c.id == m.name).where(m.run == run)
    return {row.name: row.step for row in tx.execute(query)}
