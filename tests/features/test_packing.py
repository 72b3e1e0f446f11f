"""Packed rows hold what was put into them, whatever it is, and one of their rows can be read without the others."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.features.definitions import FeatureView, expression
from modelwright.features.materialise import timelines
from modelwright.features.packing import MANY, Plain, Timeline, check, head_size, newest, pack, side_by_side, unpack

LEAST = -(1 << 63)
FAR = 1 << 62
floats = st.floats(allow_nan=False) | st.sampled_from([float(LEAST), 0.0])
integers = st.integers(LEAST, (1 << 63) - 1) | st.sampled_from([LEAST, 0])
KINDS = [floats, integers, st.booleans(), st.text(max_size=3), st.lists(floats, max_size=2)]


@st.composite
def held(draw: Any) -> Timeline:
    count = draw(st.integers(0, 6))
    some = st.lists(st.integers(-FAR, FAR), min_size=count, max_size=count)
    inputs = draw(st.lists(st.sampled_from(KINDS), max_size=10))
    values = [draw(st.lists(st.none() | kind, min_size=count, max_size=count)) for kind in inputs]
    known = draw(some) if draw(st.booleans()) else []
    return Timeline(sorted(draw(some)), draw(some), values, known, draw(st.integers(0, FAR)))


@given(held(), st.integers(-FAR, FAR), st.none() | st.integers(1, FAR))
def test_what_was_packed_is_read_whole_and_by_the_row(timeline: Timeline, at: int, lifetime: int | None) -> None:
    packed = pack(timeline)
    assert unpack(packed) == timeline
    check(packed, len(timeline.values), created=bool(timeline.known))
    known = bisect_right(timeline.visible, at)
    expected = None
    if known and (lifetime is None or at - timeline.event[known - 1] < lifetime):
        expected = [values[known - 1] for values in timeline.values]
    assert newest([packed, None], head_size(len(timeline.values)), [at, at], lifetime) == [expected, None]


@st.composite
def singles(draw: Any) -> list[bytes | None]:
    """Many entities with one row each, of the same inputs, as most views have them; some are not there, some have more."""
    inputs, created = draw(st.lists(st.sampled_from(KINDS[:2]), max_size=4)), draw(st.booleans())
    moments = st.integers(-20, 20)

    def one(count: int) -> bytes:
        known = [draw(moments) for _ in range(count)] if created else []
        values = [[draw(st.none() | kind) for _ in range(count)] for kind in inputs]
        return pack(Timeline(sorted(draw(moments) for _ in range(count)), [draw(moments)] * count, values, known))

    more = draw(st.booleans())
    number = st.sampled_from([0, 1, 1, 1, 2] if more else [1])
    return [one(draw(number)) if draw(st.integers(0, 5)) else None for _ in range(MANY + 2)]


@given(singles(), st.integers(-25, 25), st.none() | st.integers(1, 40))
def test_many_rows_at_once_are_read_as_each_by_itself(rows: list[bytes | None], at: int, lifetime: int | None) -> None:
    first = next((each for each in rows if each is not None), b"\0" * 8)
    head_bytes = head_size(int.from_bytes(first[6:8], "little"))
    alone = [newest([each], head_bytes, [at], lifetime)[0] for each in rows]
    found = newest(rows, head_bytes, [at] * len(rows), lifetime)
    assert found == alone
    assert [[type(value) for value in each or ()] for each in found] == [[type(v) for v in each or ()] for each in alone]


@given(st.data(), st.lists(st.tuples(st.integers(-25, 25), st.none() | st.integers(1, 40)), min_size=1, max_size=3))
def test_views_side_by_side_are_read_as_each_by_itself(data: Any, views: list[tuple[int, int | None]]) -> None:
    columns, plain, alone = [], [], []
    for at, lifetime in views:
        rows = data.draw(singles())
        first = next((each for each in rows if each is not None), b"\0" * 8)
        plain.append(Plain(head_size(int.from_bytes(first[6:8], "little")), lifetime))
        columns.append(rows)
        alone.append(newest(rows, plain[-1].head_bytes, [at] * len(rows), lifetime))
    found = side_by_side(plain, columns, [at for at, _ in views])
    floats = [{_kinds(each) for each in rows if each is not None} == {(1, b"d")} for rows in columns]
    heads = [len({each[:8] for each in rows if each is not None}) == 1 for rows in columns]
    assert (found is not None) == (all(floats) and all(heads))
    if found is not None:
        widths = [int.from_bytes(next(each for each in rows if each is not None)[6:8], "little") for rows in columns]
        rows = [
            [value for each, width in zip(parts, widths, strict=True) for value in (each or [None] * width)]
            for parts in zip(*alone, strict=True)
        ]
        assert found.rows() == rows
        assert [found.row(place) for place in range(len(rows))] == rows
        assert found.columns() == [list(column) for column in zip(*rows, strict=True)]


def _kinds(packed: bytes) -> tuple[int, bytes]:
    """How many rows it holds, and the kinds of its inputs, each once."""
    inputs = int.from_bytes(packed[6:8], "little")
    return int.from_bytes(packed[:4], "little"), bytes(sorted(set(packed[8 : 8 + inputs])))


@given(held(), st.data())
def test_bytes_that_are_no_packed_row_are_refused_and_nothing_else_happens(timeline: Timeline, data: Any) -> None:
    packed = bytearray(pack(timeline))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    for each in (bytes(packed), cut):
        try:
            check(each, len(timeline.values), created=bool(timeline.known))
        except ValueError:
            continue
        assert len(unpack(each).values) == len(timeline.values)


@pytest.mark.parametrize("least", [None, LEAST])
def test_columns_that_are_packed_at_once_are_packed_alike(least: int | None) -> None:
    """An integer that says "missing" elsewhere is a value; so the column travels in the other way."""
    moments = pa.array([3, 1, 2, 2], pa.timestamp("us", "UTC"))
    columns = {
        "number": pa.array([1, None, least, 4], pa.int64()),
        "measure": [0.5, None, float("nan"), 2.0],
        "yes": [True, None, False, True],
        "word": ["a", None, "ä", "d"],
        "seen": moments,
        "about": [[1.0], None, [2.0], [3.0]],
    }
    source = pa.table({"key": ["a", "a", "b", "a"], "at": moments, **columns})
    features = [expression(f"f_{name}", name) for name in columns]
    view = FeatureView(name="v", entity="key", source="dataset:d", event_time="at", features=features)
    found = dict(timelines(view, source, 0, 9))
    assert found[("a",)] == Timeline(
        [1, 2, 3],
        [1, 2, 3],
        [[None, 4, 1], [None, 2.0, 0.5], [None, True, True], [None, "d", "a"], [1, 2, 3], [None, [3.0], [1.0]]],
    )
    assert found[("b",)] == Timeline([2], [2], [[least], [None], [False], ["ä"], [2], [[2.0]]])
