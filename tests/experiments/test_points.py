"""Points as bytes: nothing is lost, whatever the figures."""

from __future__ import annotations

import math
import struct

import numpy as np
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from modelwright.experiments import Experiments, queries, writing
from modelwright.experiments.metrics import writing as metric_points
from modelwright.experiments.points import by_metric, by_step, from_block, from_tails, merged, to_block, to_tail
from modelwright.experiments.tables import blocks, tails
from modelwright.store import Embedded, Transaction

whole = st.integers(-(2**63), 2**63 - 1)
figures = st.floats(width=32) | st.floats()
POINTS = st.lists(st.tuples(st.integers(1, 3), whole, whole, figures), min_size=1, max_size=60)


def exact(point: tuple[int, int, float]) -> tuple[int, int, bytes]:
    return point[0], point[1], struct.pack("<d", point[2])


def rows(columns) -> list[tuple[int, int, bytes]]:  # type: ignore[no-untyped-def]
    return [exact(each) for each in zip(*(column.tolist() for column in columns), strict=True)]


@given(POINTS, st.integers(1, 5))
def test_a_tail_and_then_blocks_keep_every_distinct_point(points: list[tuple[int, int, int, float]], cuts: int) -> None:
    tails = [to_tail(points[i::cuts]) for i in range(cuts)]
    found = by_metric(from_tails([tail for tail in tails if tail]))
    assert found.keys() == {point[0] for point in points}
    for name, columns in found.items():
        back = from_block(to_block(columns))
        assert rows(back) == rows(columns)
        assert set(rows(back)) == {exact(point[1:]) for point in points if point[0] == name}
        assert len(rows(back)) == len(set(rows(back)))
        assert back[1].tolist() == sorted(back[1].tolist())
        assert by_step(back)[0].tolist() == sorted(back[0].tolist())


def test_a_curve_of_even_steps_takes_little_room() -> None:
    steps = np.arange(10_000)
    columns = (steps, 1_700_000_000_000_000 + steps * 1000, np.float32(np.sin(steps / 50)).astype("f8"))
    assert len(to_block(merged([columns]))) < 5 * len(steps)


def stored(tx: Transaction, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_a_tail_that_grows_is_folded_and_every_point_stays(alone: Experiments, caller: Embedded) -> None:
    ref = alone.start("delay").ref
    count = 3 * metric_points.TAIL_ROWS + 6
    values = [math.nan if i % 10 == 0 else float(-i) for i in range(count)]
    with caller.transaction(write=True) as tx:
        run = queries.run_row(tx, ref).key
        ids = writing.name_ids(tx, ["a", "b"], make=True)
        for i, value in enumerate(values):
            metric_points.add_rows(tx, run, [(number, i, i * 1000, value) for number in ids.values()])
    for metric in ("a", "b"):
        curve = alone.curve(ref, metric)
        assert curve.steps == list(range(count)) and curve.total == count
        assert [float(value) for value in curve.values if value != "NaN"] == [v for v in values if not math.isnan(v)]
    at_a_glance = alone.show(ref).metrics["a"]
    last = count - 1
    assert (at_a_glance.step, at_a_glance.low, at_a_glance.high, at_a_glance.count) == (last, -last, -1.0, count)
    with caller.transaction(write=False) as tx:
        assert stored(tx, tails) == 6 and 2 <= stored(tx, blocks) <= 2 * 3


def test_the_tail_of_a_run_that_ends_is_folded_where_that_is_shorter(alone: Experiments, caller: Embedded) -> None:
    long, short = alone.start("delay").ref, alone.start("delay").ref
    for ref, count in ((long, metric_points.SETTLED_POINTS), (short, metric_points.SETTLED_POINTS - 1)):
        with caller.transaction(write=True) as tx:
            run = queries.run_row(tx, ref).key
            number = writing.name_ids(tx, ["a"], make=True)["a"]
            metric_points.add_rows(tx, run, [(number, i, i * 1000, float(i)) for i in range(count)])
    sealed = {ref: alone.show(ref).digest for ref in (long, short)}
    with caller.transaction(write=False) as tx:
        assert (stored(tx, tails), stored(tx, blocks)) == (2, 0)
    for ref in (long, short):
        assert alone.finish(ref).digest == sealed[ref]
    with caller.transaction(write=False) as tx:
        assert (stored(tx, tails), stored(tx, blocks)) == (1, 1)
    assert alone.curve(long, "a").steps == list(range(metric_points.SETTLED_POINTS))
    assert alone.curve(short, "a").steps == list(range(metric_points.SETTLED_POINTS - 1))


def test_a_call_with_very_many_points_is_split_into_blocks(alone: Experiments, caller: Embedded) -> None:
    ref = alone.start("delay").ref
    count = 3 * metric_points.TAIL_POINTS
    with caller.transaction(write=True) as tx:
        run = queries.run_row(tx, ref).key
        number = writing.name_ids(tx, ["a"], make=True)["a"]
        metric_points.add_rows(tx, run, [(number, i, i, i / 3) for i in range(count)])
        assert stored(tx, tails) == 0
    assert alone.curve(ref, "a", most=100).total == count
