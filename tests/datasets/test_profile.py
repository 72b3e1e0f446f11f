"""What a profile says about a column, against figures computed by hand or by NumPy."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.wire import decode, encode
from modelwright.datasets import DatasetColumn, Profile
from modelwright.datasets.parts import write_parquet, write_parts
from modelwright.datasets.profile import is_discrete, profile_of
from modelwright.datasets.segments import Sketching, sketch_files
from modelwright.workspace import Workspace


@pytest.fixture
def profile(tmp_path, embedded):
    """Profiles a table of columns; `personal` names those that are about a person."""

    def profile(columns, personal=()):
        table = pa.table(columns)
        write_parquet(table, tmp_path / "rows.parquet")
        described = [
            DatasetColumn(name=field.name, type=str(field.type), personal=field.name in personal) for field in table.schema
        ]
        sketch, segments = sketch_files(embedded.caller.blobs, [tmp_path / "rows.parquet"], described, None)
        return profile_of(sketch, described, segments)

    return profile


def test_numbers_are_described_by_their_moments_and_quantiles(profile):
    values = np.random.default_rng(3).normal(10, 2, 500)
    column = profile({"x": values}).column("x")
    assert column.mean == pytest.approx(values.mean())
    assert column.sd == pytest.approx(values.std(ddof=1))
    assert (column.minimum, column.maximum, column.distinct) == (values.min(), values.max(), 500)
    assert column.quantiles["0.5"] == pytest.approx(np.quantile(values, 0.5))
    assert column.quantiles["0.99"] == pytest.approx(np.quantile(values, 0.99))


def test_missing_values_are_nulls_and_nan_and_infinities_stand_aside(profile):
    column = profile({"x": pa.array([1.0, None, math.nan, math.inf, 3.0])}).column("x")
    assert (column.count, column.missing, column.infinite, column.mean) == (3, 2, 1, 2.0)
    assert sum(column.histogram.counts) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.one_of(st.integers(-(2**40), 2**40), st.none()), min_size=1, max_size=40))
def test_every_whole_number_lies_in_its_bin(profile, values):
    column = profile({"x": pa.array(values, pa.int64())}).column("x")
    present = [value for value in values if value is not None]
    assert (column.count, column.missing) == (len(present), len(values) - len(present))
    if not present:
        assert column.histogram is None
        return
    histogram = column.histogram
    expected = np.histogram(present, bins=np.array(histogram.edges))[0]
    assert histogram.counts == expected.tolist()
    assert len(histogram.counts) <= 31


def test_categories_are_described_by_their_frequent_values(profile):
    column = profile({"x": ["b", "a", "b", None, "c"]}).column("x")
    assert [(each.value, each.count) for each in column.top] == [("b", 2), ("a", 1), ("c", 1)]
    assert is_discrete(column)
    assert column.examples == ["b", "a", "b", "c"]


def test_dates_have_extremes_as_text(profile):
    column = profile({"x": [date(2013, 1, 1), date(2013, 2, 1)]}).column("x")
    assert (column.minimum, column.maximum) == ("2013-01-01", "2013-02-01")


def test_a_personal_column_is_never_quoted(profile):
    found = profile({"name": ["ada", "bob", "bob"], "age": [36, 40, 40]}, personal=("name", "age"))
    text = encode(found.column("name")).decode()
    assert "ada" not in text
    assert "bob" not in text
    assert (found.column("name").distinct, found.column("age").mean) == (2, pytest.approx(116 / 3))
    assert found.column("age").examples == found.column("age").top == []


@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.array([], pa.int64())},
        {"x": pa.array([None, None], pa.float64())},
        {"x": pa.array([7.5, 7.5])},
        {"x": pa.array([1e308, -1e308])},
        {"x": pa.array([[1], [2]])},
        {"x": pa.array([b"a", b"b"])},
        {"x": pa.array([True, False])},
    ],
    ids=["no rows", "all missing", "one value", "range beyond doubles", "lists", "bytes", "booleans"],
)
def test_every_column_has_a_profile_that_travels(profile, columns):
    found = profile(columns)
    assert decode(encode(found), Profile) == found


def _mixed(rows: int, seed: int) -> pa.Table:
    made = np.random.default_rng(seed)
    words = np.array(["north", "south", "east", "west", "über"])[made.integers(0, 5, rows)]
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "x": pa.array(made.normal(size=rows), mask=made.random(rows) < 0.1),
            "few": pa.array(made.integers(0, 9, rows), pa.int32()),
            "word": pa.array(words.tolist()),
            "name": pa.array([f"name {n}" for n in made.integers(0, rows, rows)]),
            "at": pa.array(np.cumsum(made.integers(0, 10**6, rows)), pa.timestamp("us", "UTC")),
            "yes": pa.array(made.random(rows) < 0.5),
        }
    )


@pytest.mark.parametrize("sizes", [[0], [1], [100], [400_000], [300_000, 0, 70_000]])
def test_rows_are_profiled_while_they_are_written_as_they_would_be_when_read(
    embedded: Workspace, tmp_path: Path, sizes: list[int]
) -> None:
    blobs, tables = embedded.caller.blobs, [_mixed(rows, seed) for seed, rows in enumerate(sizes)]
    columns = [DatasetColumn(name=f.name, type=str(f.type), personal=f.name == "name") for f in tables[0].schema]
    with Sketching(blobs, columns, None) as sketching:
        files = [path for path, _ in write_parts(tables, tmp_path, ["id"], sketching)]
        beside, segments = sketching.result()
    read, of_files = sketch_files(blobs, files, columns, None)
    assert [(each.digest, each.rows) for each in segments] == [(each.digest, each.rows) for each in of_files]
    assert profile_of(beside, columns) == profile_of(read, columns)
    assert len(segments) >= sum(rows > 200_000 for rows in sizes)
    with Sketching(blobs, columns, profile_of(read, columns, of_files)) as again:
        list(write_parts(tables, tmp_path, ["id"], again))
        assert again.result()[1] == of_files  # what is known is not looked at again


def test_a_failure_while_rows_are_profiled_is_told(embedded: Workspace, tmp_path: Path) -> None:
    table = _mixed(200_000, 1)
    with (
        pytest.raises(KeyError, match="elsewhere"),
        Sketching(embedded.caller.blobs, [DatasetColumn(name="elsewhere", type="int64")], None) as sketching,
    ):
        list(write_parts([table], tmp_path, ["id"], sketching))
        sketching.result()
