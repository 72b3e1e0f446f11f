"""Which row is the newest, by sorting numbers, against plain loops: numbers of any width, ties and rows that come late."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.features.asof import Newest
from modelwright.features.grouping import grouped

FAR = 1 << 62
SECOND = 1_000_000
widths = st.sampled_from([(4, 1), (40, 1), (1 << 45, 1), (1 << 61, 1), (40, SECOND), (4000, 1000)])


@st.composite
def sources(draw: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Entities, when rows happened and became visible, and requests: narrow times have ties, wide ones take many turns."""
    span, unit = draw(widths)
    times = st.integers(-span, span).map(lambda n: n * unit)
    number = draw(st.sampled_from([1, 3, 1 << 20]))
    codes = st.integers(0, number - 1)
    rows = draw(st.lists(st.tuples(codes, times, times), max_size=30))
    asked = draw(st.lists(st.tuples(st.sampled_from([-1, *[code for code, _, _ in rows], 0]), times), max_size=20))
    code, event, created = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    return code, event, np.maximum(event, created), np.array(asked, np.int64).reshape(-1, 2).T.copy(), number


def greatest(event: Any) -> Any:
    """Of rows that became visible at once: the latest, then the one that stands last, as if its values were greater."""

    def best(rows: Any, group: Any) -> Any:
        order = np.lexsort((rows, event[rows], group))
        return order[np.flatnonzero(np.append(group[order][1:] != group[order][:-1], True))]

    return best


def by_loops(code: Any, event: Any, visible: Any, entity: int, moment: int) -> int:
    known = [i for i in range(len(code)) if code[i] == entity and visible[i] <= moment]
    return max(known, key=lambda i: (event[i], visible[i], i), default=-1)


@given(sources(), st.booleans())
def test_the_newest_row_is_the_one_that_loops_find(given_rows: Any, late: bool) -> None:
    code, event, visible, (asked, moments), number = given_rows
    seen = visible if late else event
    found = Newest(code, number, seen, event, greatest(event)).rows(asked, moments)
    assert found.tolist() == [by_loops(code, event, seen, *pair) for pair in zip(asked, moments, strict=True)]


@pytest.mark.parametrize("close", [0, 40, 2000])
def test_times_that_are_alike_but_for_their_last_bits_are_told_apart(close: int) -> None:
    """None of many rows, some, or most: each is sorted in another way."""
    seeded, count = np.random.default_rng(close), 4096
    code, event = seeded.integers(0, 50, count), seeded.integers(-FAR, FAR, count)
    code[:close], event[:close] = code[close : 2 * close], event[close : 2 * close] + seeded.integers(1, 3, close)
    order = np.lexsort((event, code))
    found = Newest(code, 50, event, event, greatest(event)).rows(code[order], event[order])
    assert found.tolist() == order.tolist()
    earlier = Newest(code, 50, event, event, greatest(event)).rows(code[order][1:], event[order][1:] - 1)
    assert earlier.tolist() == [row if code[row] == code[next_] else -1 for row, next_ in itertools.pairwise(order)]


def test_a_time_before_all_others_sorts_before_them() -> None:
    """The time of a table that is true always, beside times of today."""
    event = np.array([-FAR, 1_800_000_000_000_000])
    found = Newest(np.array([0, 0]), 1, event, event, greatest(event)).rows(np.array([0, 0]), np.array([0, FAR]))
    assert found.tolist() == [0, 1]


@pytest.mark.parametrize("wide", [1, 10**15])
def test_entities_of_several_columns_are_alike_where_all_of_them_are(wide: int) -> None:
    mine = [pa.chunked_array([pa.array([1, 2, 1, 2]) for _ in range(1)]), pa.array(["a", "a", "b", "a"])]
    mine[0] = pa.chunked_array([pa.array([each * wide for each in (1, 2, 1, 2)])])
    asked = [pa.chunked_array([pa.array([2 * wide, 1 * wide, 1 * wide, None, 7])]), pa.array(["a", "b", "c", "a", "a"])]
    found = grouped(mine, asked)
    assert found.source[1] == found.source[3] == found.asked[0]
    assert found.source[2] == found.asked[1]
    assert len({*found.source.tolist()}) == 3
    assert found.asked[2] not in found.source
    assert found.asked.tolist()[3:] == [-1, -1]
    assert found.source.max() < found.number <= 2048


def test_entities_at_the_edges_of_what_a_number_holds() -> None:
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    found = grouped([pa.array([most, most - 1])], [pa.array([most, None, least])])
    assert (found.asked.tolist()[0], found.asked.tolist()[1:]) == (found.source[0], [-1, -1])
