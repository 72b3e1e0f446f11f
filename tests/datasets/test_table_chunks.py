"""Versions of tables cost what changed, and are read without being put together."""

from __future__ import annotations

import itertools
import random

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.datasets.chunkfile import ChunkFile
from modelwright.datasets.manifest import entries_of, read_manifest

ROWS = 300_000
NUMBERS = itertools.count()


@pytest.fixture
def numbers() -> pa.Table:
    made = np.random.default_rng(0)
    columns = {"id": np.arange(ROWS), "at": np.cumsum(made.integers(1, 9, ROWS))}
    columns |= {f"x{number}": made.normal(size=ROWS) for number in range(4)}
    return pa.table(columns)


def changed(table: pa.Table, name: str, rows: np.ndarray) -> pa.Table:
    values = table[name].to_numpy().copy()
    values[rows] += 1
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_a_version_of_a_table_costs_what_changed(embedded, numbers):
    datasets, whole = embedded.datasets, embedded.datasets.add("numbers", numbers, key="id")
    assert whole.stored > whole.bytes  # and the manifest
    column = whole.bytes // 6

    def cost(table: pa.Table) -> int:
        version = datasets.add("numbers", table)
        assert datasets.read(version.ref).equals(table)
        return version.stored

    more = pa.concat_tables([numbers, numbers.slice(0, 3000).set_column(0, "id", pa.array(np.arange(ROWS, ROWS + 3000)))])
    assert cost(more) < whole.bytes * 0.1
    assert cost(changed(numbers, "x1", np.arange(100_000, 103_000))) < whole.bytes * 0.1
    assert cost(changed(numbers, "x2", np.arange(0, ROWS, 97))) < column * 1.6
    assert cost(numbers.append_column("new", pa.array(np.random.default_rng(1).normal(size=ROWS)))) < column * 1.6
    assert cost(pa.concat_tables([numbers.slice(0, 50_000), numbers.slice(50_300)])) < whole.bytes * 0.5
    assert cost(numbers.select(["id", "x3"])) < whole.bytes * 0.1
    assert (
        datasets.add("others", numbers, key="id").stored < whole.bytes * 0.1
    )  # whose pages are known, whatever the dataset


def test_columns_are_read_straight_from_the_store(workspace, numbers):
    version = workspace.datasets.add("numbers", numbers, key="id")
    assert workspace.datasets.read(version.ref, columns=["x1"]).equals(numbers.select(["x1"]))
    flights = workspace.datasets.arrow(version.ref)
    assert flights.count_rows() == ROWS
    assert flights.to_table(columns=["id"], filter=pc.field("id") < 5)["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert duckdb.sql('SELECT count(*), max("at") FROM flights WHERE id >= 1000').fetchall() == [
        (ROWS - 1000, numbers["at"][-1].as_py())
    ]


def test_a_column_costs_its_own_pages_to_read(embedded, numbers):
    version = embedded.datasets.add("numbers", numbers, key="id")
    (entry,) = entries_of(embedded.home.objects, read_manifest(embedded.home.objects, version.manifest))
    blobs = Counting(embedded.home.objects)
    assert pq.read_table(ChunkFile(blobs, entry), columns=["x1"]).num_rows == ROWS
    assert blobs.read < version.bytes / 3


def test_the_head_of_a_table_costs_its_first_row_group(embedded, numbers):
    version = embedded.datasets.add("numbers", numbers, key="id")
    assert embedded.datasets.head(version.ref, 3)["id"].to_pylist() == [0, 1, 2]
    assert embedded.datasets.head(version.ref, 0).num_rows == 0
    assert embedded.datasets.head(version.ref, ROWS + 5).equals(numbers)


def test_any_part_of_a_stored_file_reads_as_of_a_local_one(embedded, numbers):
    version = embedded.datasets.add("numbers", numbers.slice(0, 20_000))
    (entry,) = entries_of(embedded.home.objects, read_manifest(embedded.home.objects, version.manifest))
    file = ChunkFile(embedded.home.objects, entry)
    whole = ChunkFile(embedded.home.objects, entry).readall()
    assert len(whole) == entry.size
    made = random.Random(0)
    for _ in range(100):
        start, size = made.randint(0, entry.size + 10), made.randint(0, entry.size + 10)
        assert file.seek(start) == start
        assert file.read(size) == whole[start : start + size]
        assert file.tell() == max(start, min(start + size, entry.size))


VALUES = {
    pa.int64(): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.none() | st.floats(),
    pa.string(): st.none() | st.text("ab ä雪\x00", max_size=9),
    pa.bool_(): st.none() | st.booleans(),
    pa.list_(pa.int64()): st.none() | st.lists(st.integers(0, 9), max_size=3),
}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_table_comes_back_as_it_was(embedded, data):
    count = data.draw(st.integers(0, 12))
    kinds = data.draw(st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=4))
    columns = [pa.array(data.draw(st.lists(VALUES[kind], min_size=count, max_size=count)), type=kind) for kind in kinds]
    table = pa.table(columns, names=[f"c{number}" for number in range(len(kinds))])
    version = embedded.datasets.add(f"any/t{next(NUMBERS)}", table)
    assert repr(embedded.datasets.read(version.ref).to_pydict()) == repr(table.to_pydict())  # NaN is not equal to NaN


class Counting:
    """Objects, and how many bytes of parts were asked for."""

    def __init__(self, objects) -> None:
        self._objects = objects
        self.read = 0

    def part(self, digest, start, end):
        self.read += end - start
        return self._objects.part(digest, start, end)
