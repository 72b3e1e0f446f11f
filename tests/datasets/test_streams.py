"""Tables are added in memory that does not grow with their rows, and what is written is the same however the rows come."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.hashing import digest_file
from modelwright.datasets import csvblocks
from modelwright.datasets.csv import read_csv
from modelwright.datasets.parts import (
    LEAST_ROWS,
    MOST_BYTES,
    MOST_ROWS,
    bytes_of_rows,
    group_ends,
    row_groups,
    write_parquet,
    write_rows,
)
from modelwright.datasets.queries import agreed
from modelwright.datasets.records import CsvFormat, Query
from modelwright.datasets.streams import BATCH, Kept, ParquetRows, Room, ahead
from modelwright.datasets.surveying import Survey
from modelwright.datasets.types import TypePlan

NO_TYPES = TypePlan({}, {}, "")

BOUND = 640 << 20  # bytes of a process that adds a table of any length; it takes 450 to 520 MiB, 130 of them imports


def rows(count: int, seed: int = 0) -> pa.Table:
    made = np.random.default_rng(seed)
    words = np.array(["north", "south", "east", "west", "über"])[made.integers(0, 5, count)]
    x = made.normal(size=count)
    x[count // 2 :: 1000] = np.nan
    return pa.table(
        {
            "id": np.arange(count),
            "x": x,
            "y": pa.array(made.normal(size=count), mask=made.random(count) < 0.1),
            "few": made.integers(0, 9, count).astype(np.int32),
            "word": pa.array(words.tolist()),
            "at": pa.array(np.cumsum(made.integers(0, 10**6, count)), pa.timestamp("us", "UTC")),
        }
    )


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables have the same rows; NaN is the same as NaN."""
    numbers = [each["x"].fill_null(0).combine_chunks().view(pa.int64()) for each in (one, other)]
    plain = [each.set_column(1, "x", bits) for each, bits in zip((one, other), numbers, strict=True)]
    return bool(plain[0].equals(plain[1]))


def torn(table: pa.Table, seed: int) -> Iterator[pa.Table]:
    """The same rows in tables of all sizes, some of them empty."""
    made, place = random.Random(seed), 0
    while place < table.num_rows:
        size = made.choice([0, 1, 7, 1000, LEAST_ROWS, 200_000])
        yield table.slice(place, size)
        place += size


def ends_by_rule(table: pa.Table, by: list[str]) -> list[int]:
    """Where row groups end if one looks at the whole table at once."""
    from modelwright.datasets.parts import _picked

    picked, ends, start = _picked(table.select(by)), [], 0
    while table.num_rows - start > LEAST_ROWS:
        after = picked[picked >= start + LEAST_ROWS]
        start = min(int(after[0]) if len(after) else table.num_rows, start + MOST_ROWS)
        ends.append(start)
    return ends + ([table.num_rows] if start < table.num_rows or not ends else [])


@pytest.mark.parametrize("count", [0, 1, LEAST_ROWS, LEAST_ROWS + 1, MOST_ROWS, 700_000])
def test_what_is_written_does_not_depend_on_how_the_rows_come(tmp_path, count):
    table = rows(count)
    write_parquet(table, tmp_path / "whole.parquet", ["id"])
    assert group_ends(table, ["id"]) == ends_by_rule(table, ["id"])
    for seed in range(2):
        path = tmp_path / f"{seed}.parquet"
        assert write_rows(torn(table, seed), table.schema, path, ["id"], nan={"x"} if count else set()) == count
        assert digest_file(path) == digest_file(tmp_path / "whole.parquet")
    groups = list(row_groups(torn(table, 3), table.schema, ["id"]))
    assert same(pa.concat_tables(groups), table)


def test_a_row_group_holds_so_many_bytes_however_wide_its_rows_are_and_however_they_come():
    page = "x" * (1 << 20)
    table = pa.table({"id": range(150), "text": [page] * 150})
    fit = MOST_BYTES // (len(page) + 8)
    assert group_ends(table, ["id"]) == [fit, 2 * fit, 150]
    assert [each.num_rows for each in row_groups(torn(table, 7), table.schema, ["id"])] == [fit, fit, 150 - 2 * fit]
    huge = pa.table({"text": pa.array(["y" * (MOST_BYTES + 1)] * 2, pa.large_string())})
    assert group_ends(huge) == [1, 2]  # a row at least


def test_how_large_a_row_is_does_not_hang_on_where_a_table_is_cut():
    kinds = {
        "text": (["a", None, "ccc", ""] * 5, pa.string()),
        "blob": ([b"12345", b"", None, b"1"] * 5, pa.large_binary()),
        "list": ([["a", "bb"], None, [], ["c"]] * 5, pa.list_(pa.string())),
        "pair": ([[1.0, 2.0], [3.0, 4.0]] * 10, pa.list_(pa.float32(), 2)),
        "both": ([{"a": "x", "b": 1}, {"a": None, "b": 2}] * 10, pa.struct([("a", pa.string()), ("b", pa.int16())])),
        "map": ([[("k", "abc")], []] * 10, pa.map_(pa.string(), pa.string())),
        "flag": ([True, None] * 10, pa.bool_()),
        "none": ([None] * 20, pa.null()),
    }
    table = pa.table({name: pa.array(values, kind) for name, (values, kind) in kinds.items()})
    sizes = bytes_of_rows(table)
    assert sizes[:2].tolist() == [1 + 5 + 3 + 8 + 3 + 3, 0 + 0 + 0 + 8 + 2 + 0]
    assert bytes_of_rows(table.slice(3, 9)).tolist() == sizes[3:12].tolist()
    assert sum(sizes) <= table.nbytes


def test_a_row_group_ends_where_no_row_says_so():
    table = pa.table({"x": np.ones(3 * MOST_ROWS + 5, np.int64)})
    assert group_ends(table) == ends_by_rule(table, ["x"]) == [MOST_ROWS, 2 * MOST_ROWS, 3 * MOST_ROWS, 3 * MOST_ROWS + 5]


def test_a_file_that_is_read_again_and_one_that_is_held_make_the_same_version(embedded, tmp_path):
    """The first is too large to be held, by what its columns may take; the second has the same rows in memory."""
    table = rows(1_500_000)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=400_000)
    assert not Room().takes(ParquetRows(tmp_path / "rows.parquet").size)
    read = embedded.datasets.add("read", tmp_path / "rows.parquet", key="id", time_column="at")
    held = embedded.datasets.add("held", table, key="id", time_column="at")
    once = embedded.datasets.add("once", table.to_reader(300_000), key="id", time_column="at")
    assert read.digest == held.digest == once.digest
    assert read.profile == held.profile == once.profile
    assert read.columns == held.columns and read.time_range == held.time_range == once.time_range
    assert same(embedded.datasets.read(once.ref), table)


def test_what_only_a_few_rows_hold_is_written_as_if_it_had_been_known(embedded, tmp_path):
    """A file of Parquet is looked at in places; NaN that is elsewhere is found when all is read: it is written again."""
    count = 3_000_000
    x = np.arange(count) / 2
    x[count // 2 - 1000] = np.nan
    table = pa.table({"id": np.arange(count), "x": x, "y": pa.array(x, mask=np.arange(count) == count - 1)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=50_000)
    found = ParquetRows(tmp_path / "rows.parquet")
    looked = Survey(found.schema)
    assert sum(each.num_rows for each in looked.part(found.some())) == 2_000_000
    read = embedded.datasets.add("read", tmp_path / "rows.parquet", key="id")
    held = embedded.datasets.add("held", table, key="id")
    assert (read.digest, read.profile, read.columns) == (held.digest, held.profile, held.columns)
    assert [column.nullable for column in read.columns] == [False, False, True]


def test_what_comes_once_is_kept_in_memory_or_in_a_file(tmp_path):
    table = rows(300_000)
    for room, files in ((Room(), 0), (Room(5 << 20), 1), (Room(0), 1)):
        kept = Kept(torn(table, 1), tmp_path, room)
        assert same(pa.concat_tables(kept()), table)
        for _ in range(2):
            assert same(pa.concat_tables(kept()), table)
        assert len(list(tmp_path.glob("kept-*"))) == files
        seen = pa.concat_tables(kept.some())
        assert seen.num_rows >= 20_000 and seen["id"][-1].as_py() > 150_000
        for path in tmp_path.glob("kept-*"):
            path.unlink()


def test_rows_of_a_query_have_the_types_that_hold_all_of_them(embedded, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sold (id, price, note)")
        made = ((n, None if n < 12_000 else n if n < 25_000 else n / 2, None) for n in range(40_000))
        database.executemany("INSERT INTO sold VALUES (?, ?, ?)", made)
    query = Query(database=f"sqlite:///{tmp_path}/shop.db", sql="SELECT * FROM sold ORDER BY id")
    version = embedded.datasets.add("sold", query)
    found = {column.name: column.type for column in version.columns}
    assert found == {"id": "int64", "price": "double", "note": "string"}
    assert embedded.datasets.read(version.ref)["price"].slice(30_000, 1).to_pylist() == [15_000.0]
    with pytest.raises(Invalid, match="no types of one kind"):
        agreed([pa.schema({"a": pa.int64()}), pa.schema({"a": pa.string()})])


def test_a_file_that_changes_between_its_two_readings_is_told(tmp_path):
    pq.write_table(rows(1000), tmp_path / "rows.parquet")
    read = ParquetRows(tmp_path / "rows.parquet")
    assert sum(table.num_rows for table in read()) == 1000
    pq.write_table(rows(1001), tmp_path / "rows.parquet")
    with pytest.raises(Conflict, match="changed while it was read"):
        list(read())


def test_a_failure_in_the_rows_comes_through_the_thread_that_reads_ahead():
    def failing() -> Iterator[pa.Table]:
        yield rows(10)
        raise Invalid("no more rows")

    assert [table.num_rows for table in ahead([rows(1), rows(2), rows(3)])] == [1, 2, 3]
    with pytest.raises(Invalid, match="no more rows"):
        list(ahead(failing()))


def test_a_sample_is_all_of_few_values_and_even_among_many():
    n = np.arange(1_000_000)
    many = pa.table({"n": n, "rare": pa.array(n, mask=n % 100 != 0)})
    survey = Survey(many.schema)
    assert sum(table.num_rows for table in survey.part(torn(many, 2))) == 1_000_000
    n, rare = (survey._samples[name].values.to_numpy() for name in ("n", "rare"))
    assert rare.tolist() == list(range(0, 1_000_000, 100))
    assert 20_000 <= len(n) <= 40_000 and len(set(np.diff(n))) == 1
    assert survey.nulls == {"n": 0, "rare": 990_000}


def test_large_csv_is_read_in_blocks_as_it_would_be_as_a_whole(tmp_path):
    lines = ["id,x,word,day,none,late"]
    lines += [
        f'{n},{n if n < 500 else n / 4},"a ""{n}"", b",2024-01-0{n % 9 + 1},,{"" if n < 700 else n}' for n in range(2000)
    ]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n\n")
    tables = list(csvblocks.read_blocks(path, NO_TYPES, CsvFormat(), size=5000))
    assert len(tables) > 10
    schema = csvblocks.agreed([table.schema for table in tables])
    whole = read_csv(path, NO_TYPES, CsvFormat())
    assert schema == whole.schema
    assert pa.concat_tables([table.cast(schema) for table in tables]).combine_chunks().equals(whole.combine_chunks())


@pytest.mark.parametrize(
    "change",
    [
        {5: "5,one,2024-01-01"},  # text among numbers
        {7: '7,1,"2024\n-01-01"'},  # a value over two lines
        {7: '7,1,20"24-01-01'},
        {7: '7,1,"2024-01-01'},
        {7: "7,1"},
        {7: "7,1,yesterday"},  # a stray among days
        {7: "9007199254740993,1,2024-01-01"},
        {7: "7,1,2024-01-01T10:00:00"},
    ],
)
def test_csv_of_which_blocks_do_not_tell_is_left_to_who_reads_all_of_it(tmp_path, change):
    lines = ["id,x,day", *(change.get(n, f"{n},{n},2024-01-01") for n in range(300))]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(csvblocks.Irregular):
        csvblocks.agreed([table.schema for table in csvblocks.read_blocks(path, NO_TYPES, CsvFormat(), size=1000)])


CHILD = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from modelwright.workspace import Settings, open_workspace

kind, folder, count, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), 100_000
words = pa.array([f"{word} " * 15 for word in ("north", "south", "east", "west")])

def batches():
    for at in range(0, count, step):
        n = np.arange(at, at + step)
        text = words.take(pa.array(n % 4))
        yield pa.record_batch({"id": n, "few": n % 50, "text": text})

def peak():
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) << 10

schema = next(batches()).schema
if kind == "parquet":
    source = folder / "rows.parquet"
    with pq.ParquetWriter(source, schema) as writer:
        for batch in batches():
            writer.write_batch(batch)
elif kind == "reader":
    source = pa.RecordBatchReader.from_batches(schema, batches())
elif kind == "csv":
    from pyarrow import csv

    source = folder / "rows.csv"
    with csv.CSVWriter(source, schema) as writer:
        for batch in batches():
            writer.write_batch(batch)
else:
    import duckdb
    duckdb.sql("SET memory_limit = '100MB'; SET threads = 1; SET enable_progress_bar = false")
    source = duckdb.sql(
        f"SELECT range AS id, range % 50 AS few, repeat('north ', 15) || range % 4 AS text FROM range({count})"
    )
with open_workspace(folder / "workspace", settings=Settings()) as workspace:
    version = workspace.datasets.add("rows", source, key="id")
print(version.rows, peak())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads its peak of memory from /proc")
@pytest.mark.parametrize(
    "kind", ["parquet", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("reader", "csv", "duckdb"))]
)
def test_memory_does_not_grow_with_the_rows_of_a_table(tmp_path, kind):
    count = 4_000_000  # 430 MiB of rows, were they in memory, where each step that holds them all has its own copy
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kind, str(tmp_path), str(count)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    added, peak = map(int, done.stdout.split())
    assert added == count
    assert peak < BOUND, f"{peak >> 20} MiB"


def test_a_batch_is_less_than_a_row_group_so_that_little_waits():
    assert BATCH <= MOST_ROWS
