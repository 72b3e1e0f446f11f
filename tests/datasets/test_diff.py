"""What changed between two versions."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.wire import decode, encode
from modelwright.datasets import DatasetDiff


@pytest.fixture
def diff(embedded):
    """The difference of two tables as versions of one dataset."""

    def diff(before, after, **options):
        first = embedded.datasets.add("t", pa.table(before), **options)
        second = embedded.datasets.add("t", pa.table(after), **options)
        found = embedded.datasets.diff(first.ref, second.ref)
        assert decode(encode(found), DatasetDiff) == found
        return found

    return diff


def test_rows_are_compared_by_key(diff):
    found = diff({"id": [1, 2, 3], "x": [10, None, 30]}, {"id": [2, 3, 4], "x": [20, 30, 40]}, key="id")
    rows = found.rows
    assert (rows.by_key, rows.added, rows.removed, rows.changed, rows.same) == (True, 1, 1, 1, 1)
    assert (rows.added_sample, rows.removed_sample) == ([{"id": 4, "x": 40}], [{"id": 1, "x": 10}])
    (change,) = rows.changed_sample
    assert (change.key, change.before, change.after) == ({"id": 2}, {"x": None}, {"x": 20})
    assert rows.changed_by_column == {"x": 1}
    assert not found.identical


def test_another_key_or_column_of_times_is_told_where_the_rows_are_the_same(embedded):
    table = pa.table({"id": [1, 2], "at": [date(2026, 1, 1), date(2026, 1, 2)]})
    first = embedded.datasets.add("t", table)
    second = embedded.datasets.add("t", table, key="id", time_column="at")
    found = embedded.datasets.diff(first.ref, second.ref)
    assert found.identical
    assert [(each.what, each.before, each.after) for each in found.said] == [
        ("key", [], ["id"]),
        ("time column", [], ["at"]),
    ]
    assert decode(encode(found), DatasetDiff) == found
    assert embedded.datasets.diff(second.ref, second.ref).said == []


def test_rows_without_a_key_are_compared_as_wholes_as_often_as_they_occur(diff):
    rows = diff({"x": [1, 1, 2]}, {"x": [1, 2, 2, 2]}).rows
    assert (rows.by_key, rows.added, rows.removed, rows.same) == (False, 2, 1, 2)
    assert "no key" in rows.note


def test_a_key_that_repeats_is_not_trusted(diff):
    rows = diff({"id": [1, 1], "x": [1, 2]}, {"id": [1], "x": [1]}, key="id").rows
    assert (rows.by_key, rows.removed) == (False, 1)
    assert "repeats before" in rows.note


def test_columns_that_come_go_and_change_are_named(diff):
    found = diff({"id": [1], "a": ["x"], "b": [1]}, {"id": [1], "b": ["one"], "c": [2.0]}, key="id")
    assert [column.name for column in found.columns_added] == ["c"]
    assert [column.name for column in found.columns_removed] == ["a"]
    assert [(c.name, c.before, c.after) for c in found.columns_changed] == [("b", "int64", "string")]
    assert found.rows.changed_by_column == {"b": 1}


def test_numbers_of_different_types_are_the_same_number(diff):
    found = diff({"id": [1], "b": [2]}, {"id": [1], "b": [2.0]}, key="id")
    assert (found.rows.same, found.rows.changed) == (1, 0)
    assert not found.identical


def test_the_column_that_moved_is_first_and_noise_is_none(diff):
    draw = np.random.default_rng(5)
    before = {"still": draw.normal(size=2000), "moved": draw.normal(size=2000), "kind": draw.choice(["a", "b"], 2000)}
    after = {"still": draw.normal(size=2000), "moved": draw.normal(1, 1, 2000), "kind": draw.choice(["a", "b"], 2000)}
    first, *others = diff(before, after).distributions
    assert (first.name, first.level, first.measure) == ("moved", "large", "ks")
    assert first.distance == pytest.approx(0.38, abs=0.04)  # of N(0, 1) and N(1, 1): 2 Phi(0.5) - 1
    assert {(other.name, other.level) for other in others} == {("still", "none"), ("kind", "none")}
    assert all(abs(other.psi) < 0.02 for other in others)


def test_times_are_compared(diff):
    found = diff({"at": [date(2013, 1, 1)]}, {"at": [date(2013, 2, 1)]}, time_column="at")
    assert (found.time_before.last[:10], found.time_after.last[:10]) == ("2013-01-01", "2013-02-01")


def test_personal_values_are_not_in_samples(diff):
    found = diff({"id": [1], "name": ["ada"]}, {"id": [1], "name": ["bob"]}, key="id", personal=["name"])
    assert found.rows.changed_by_column == {"name": 1}
    assert b"ada" not in encode(found)


cells = st.dictionaries(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 2)), min_size=1, max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cells, cells)
def test_counts_agree_with_comparing_dicts(embedded, before, after):
    def version(rows):
        columns = {"id": pa.array(rows.keys(), pa.int64()), "x": pa.array(rows.values(), pa.int64())}
        return embedded.datasets.add("t", pa.table(columns), key="id").ref

    rows = embedded.datasets.diff(version(before), version(after)).rows
    both = before.keys() & after.keys()
    assert rows.added == len(after.keys() - both)
    assert rows.removed == len(before.keys() - both)
    assert rows.changed == sum(before[key] != after[key] for key in both)
