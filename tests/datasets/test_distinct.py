"""Counting different numbers beside a set of them, and checks that statistics settle beside those that take the rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.refs import Ref
from modelwright.datasets import DatasetColumn, DatasetVersion, Nulls, Range, Unique, distinct
from modelwright.datasets.checking import Grounds, run_checks
from modelwright.datasets.distinct import count_ascending, count_numbers
from modelwright.datasets.records import CheckBasis
from modelwright.store.records import Verdict

NUMBERS = st.one_of(st.none(), st.integers(-20, 20), st.sampled_from([-(2**63), 2**63 - 1, 2**62]))


def written(folder, tables, **options):
    paths = []
    for number, table in enumerate(tables):
        paths.append(folder / f"{number}.parquet")
        pq.write_table(table, paths[-1], row_group_size=7, **options)
    return paths


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(parts=st.lists(st.lists(NUMBERS, max_size=20), min_size=1, max_size=3), ordered=st.booleans())
def test_different_numbers_are_counted_as_a_set_would_or_left_to_the_query(tmp_path, parts, ordered):
    if ordered:
        parts = [sorted({each for part in parts for each in part if each is not None})]
    tables = [pa.table({"n": pa.array(part, pa.int64())}) for part in parts]
    there = [each for part in parts for each in part if each is not None]
    found = count_numbers(written(tmp_path, tables), "n")
    assert found in (None, (sum(map(len, parts)), len(there), len(set(there))))
    if ordered or (there and max(there) - min(there) < 1000):
        assert found is not None


@pytest.mark.parametrize("kind", [pa.timestamp("us", tz="UTC"), pa.timestamp("ns"), pa.date32(), pa.uint8()])
def test_times_and_small_numbers_are_counted_too(tmp_path, kind):
    [path] = written(
        tmp_path,
        [
            pa.table(
                {
                    "n": pa.array([1, 2, 5, None, 9], pa.int32())
                    .cast(pa.int64() if kind.bit_width == 64 else pa.int32())
                    .cast(kind)
                }
            )
        ],
    )
    assert count_numbers([path], "n") == (5, 4, 4)


def test_texts_fractions_and_what_statistics_do_not_bound_take_another_way(tmp_path):
    assert count_numbers(written(tmp_path, [pa.table({"n": ["a", "b"]})]), "n") is None
    assert count_numbers(written(tmp_path, [pa.table({"n": [1.0, 2.0]})]), "n") is None
    assert count_numbers(written(tmp_path, [pa.table({"n": [2, 1]})], write_statistics=False), "n") is None
    assert count_numbers(written(tmp_path, [pa.table({"n": [1, 2]})], write_statistics=False), "n") == (2, 2, 2)


PAIRS = st.lists(st.tuples(st.text("abä", max_size=2), st.integers(0, 3)), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(parts=st.lists(PAIRS, min_size=1, max_size=3), sorting=st.sampled_from([None, list, set]))
def test_keys_that_ascend_are_counted_and_others_left_to_the_query(tmp_path, parts, sorting):
    if sorting is not None:
        parts = [sorted(sorting([each for part in parts for each in part]), key=lambda each: (each[0].encode(), each[1]))]
    tables = [
        pa.table({"t": pa.array([t for t, _ in part], pa.string()), "n": pa.array([n for _, n in part], pa.int64())})
        for part in parts
    ]
    rows = [each for part in parts for each in part]
    paths = written(tmp_path, tables)
    assert count_ascending(paths, ["t", "n"], least=0) in (None, (len(rows), len(rows), len(set(rows))))
    assert count_ascending(paths, ["t"], least=0) in (None, (len(rows), len(rows), len({t for t, _ in rows})))
    if sorting is set:
        assert count_ascending(paths, ["t", "n"], least=0) == (len(rows),) * 3


@pytest.mark.parametrize(
    "column",
    [[1.0, 2.0], ["a", None], ["b", "a"], ["a", "a"]],
    ids=["fractions", "missing", "descending", "repeated"],
)
def test_of_keys_that_do_not_ascend_the_query_tells(tmp_path, column):
    assert count_ascending(written(tmp_path, [pa.table({"k": column})]), ["k"], least=0) is None


def test_of_few_keys_and_of_texts_that_are_none_the_query_tells(tmp_path):
    paths = written(tmp_path, [pa.table({"k": pa.array([b"a", b"b\xff"], pa.binary()).view(pa.string())})])
    assert count_ascending(paths, ["k"]) is None
    with pytest.raises(ValueError, match="UTF8"):
        count_ascending(paths, ["k"], least=0)


def test_bounds_that_the_values_do_not_keep_are_not_believed():
    assert distinct._marked(iter([pa.array([1, 9]).to_numpy()]), 0, 5) is None


@pytest.mark.parametrize("statistics", [True, False])
def test_checks_find_the_same_with_statistics_and_without(tmp_path, statistics):
    nan = float("nan")
    table = pa.table({"id": [1, 2, 2, 4], "x": [0.5, nan, 2.0, None], "n": [1, 2, 3, 4]})
    [path] = written(tmp_path, [table], write_statistics=["id", "n"] if statistics else False)  # as parts are written
    now = datetime.now(UTC)
    version = DatasetVersion(
        ref=Ref.parse("dataset:t@1"),
        digest="",
        created_at=now,
        created_by="",
        changed_at=now,
        bytes=1,
        rows=4,
        columns=[DatasetColumn(name=field.name, type=str(field.type)) for field in table.schema],
    )
    checks = [
        Unique(columns=["id"]),
        Unique(columns=["n"]),
        Nulls(column="x", max_share=0.25),
        Nulls(column="n"),
        Range(column="x", maximum=1.0),
        Range(column="x", minimum=0.0, maximum=2.0),  # NaN is a missing value, and not beyond
        Range(column="n", minimum=1, maximum=4),
        Range(column="n", minimum=2),
    ]
    report = run_checks(checks, Grounds(CheckBasis(version=version, previous=None, now=now), [path], None, None))
    assert [each.failing for each in report.results] == [1, 0, 2, 0, 1, 0, 0, 1]
    assert [each.verdict is Verdict.PASS for each in report.results] == [not f for f in [1, 0, 2, 0, 1, 0, 0, 1]]
