"""Tables of Delta Lake and Iceberg, written by those libraries, registered and read where they lie."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.memory import InMemoryCatalog

from modelwright.cli.entry import run
from modelwright.core.errors import Corrupt, Denied, Gone, Invalid, NotFound
from modelwright.datasets import DatasetSettings, Function, Range, Unique
from modelwright.datasets.lakes.access import InPlace
from modelwright.datasets.records import DatasetRecord, LakeTable


def rows(first: int, count: int, **more: list) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "x": [n / 2 for n in numbers],
            "word": [["a b", "c/d", None][n % 3] for n in numbers],
            "at": pa.array([datetime(2026, 1, 1 + n % 9, tzinfo=UTC) for n in numbers], pa.timestamp("us", tz="UTC")),
            **more,
        }
    )


def by_id(table: pa.Table) -> list[dict]:
    return table.sort_by("id").to_pylist()


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A partitioned table of three versions; the last has a column more."""
    place = tmp_path / "lake" / "delta"
    write_deltalake(str(place), rows(0, 30), partition_by=["word"])
    write_deltalake(str(place), rows(30, 10), mode="append")
    write_deltalake(str(place), rows(40, 5, new=list("abcde")), mode="append", schema_mode="merge")
    return place


def iceberg_table(place: Path, schema: pa.Schema):
    catalog = InMemoryCatalog("test", warehouse=f"file://{place.parent}")
    catalog.create_namespace("n")
    return catalog.create_table("n.t", schema=schema, location=f"file://{place}")


@pytest.fixture
def iceberg(tmp_path: Path):
    """A table of two snapshots."""
    table = iceberg_table(tmp_path / "lake" / "iceberg", rows(0, 1).schema)
    table.append(rows(0, 30))
    table.append(rows(30, 10))
    return table


def test_a_delta_table_is_a_version_without_a_copy(workspace, delta):
    first = workspace.datasets.add_in_place("flights", f"delta:{delta}@0", key="id", time_column="at")
    third = workspace.datasets.add_in_place("flights", f"delta:{delta}")

    assert (first.rows, third.rows, third.key, third.parent) == (30, 45, ["id"], first.ref)
    assert (third.lake.version, third.stored, third.source) == ("2", 0, f"delta:{delta}@2")
    assert third.time_range.first.startswith("2026-01-01")
    assert {column.name: column.nullable for column in third.columns}["new"]
    assert by_id(workspace.datasets.read(first.ref)) == rows(0, 30).to_pylist()
    found = workspace.datasets.read(third.ref, ["id", "word", "new"], "new IS NOT NULL OR word = 'c/d' AND id < 5")
    assert by_id(found) == [
        *({"id": n, "word": "c/d", "new": None} for n in (1, 4)),
        *({"id": n, "word": ["a b", "c/d", None][n % 3], "new": "abcde"[n - 40]} for n in range(40, 45)),
    ]
    assert workspace.datasets.relation(third.ref).aggregate("count(*), sum(id)").fetchall() == [(45, 990)]
    assert workspace.datasets.head(third.ref, 3).num_rows == 3
    assert workspace.datasets.arrow(third.ref).count_rows() == 45
    profile = workspace.datasets.profile(third.ref)
    assert (profile.rows, profile.column("word").missing, profile.column("id").maximum) == (45, 15, 44)
    diff = workspace.datasets.diff(first.ref, third.ref)
    assert (diff.rows.added, diff.rows.removed, diff.rows.same) == (15, 0, 30)
    report = workspace.datasets.check(
        third.ref,
        [Unique(), Range(column="id", maximum=43), Function(run=lambda batch: batch["id"].to_numpy() != 7, columns=["id"])],
    )
    assert [result.failing for result in report.results] == [0, 1, 1]
    assert workspace.datasets.add_in_place("flights", f"delta:{delta}@2").ref == third.ref


def test_an_iceberg_table_is_read_by_its_snapshot(embedded, iceberg):
    place = iceberg.location().removeprefix("file://")
    older = iceberg.snapshots()[0].snapshot_id
    first = embedded.datasets.add_in_place("flights", f"iceberg:{place}@{older}", key="id")
    second = embedded.datasets.add_in_place("flights", f"iceberg:{iceberg.metadata_location}")
    assert (first.rows, second.rows, second.lake.address) == (30, 40, place)
    assert by_id(embedded.datasets.read(first.ref)) == rows(0, 30).to_pylist()
    assert by_id(embedded.datasets.read(second.ref, where="id >= 35")) == rows(35, 5).to_pylist()
    assert embedded.datasets.diff(first.ref, second.ref).rows.added == 10


def test_only_new_files_are_read_for_the_next_profile(embedded, tmp_path):
    place = tmp_path / "delta"
    write_deltalake(str(place), rows(0, 120), partition_by=["id"])  # so many files that some stretch ends among them
    first = embedded.datasets.add_in_place("flights", f"delta:{place}")
    write_deltalake(str(place), rows(120, 10), mode="append")
    second = embedded.datasets.add_in_place("flights", f"delta:{place}")
    one, two = (embedded.datasets.profile(each.ref) for each in (first, second))
    shared = {segment.digest for segment in one.segments} & {segment.digest for segment in two.segments}
    assert (two.rows, two.column("id").maximum, two.column("id").mean) == (130, 129, pytest.approx(64.5))
    assert shared
    assert embedded.datasets.sketch(second.ref).rows == 130


def test_what_was_vacuumed_or_changed_is_not_read(embedded, delta):
    version = embedded.datasets.add_in_place("flights", f"delta:{delta}@0")
    write_deltalake(str(delta), rows(0, 3), mode="overwrite", schema_mode="overwrite", partition_by=["word"])
    assert embedded.datasets.read(version.ref).num_rows == 30  # what is no longer in the table is still there
    file = next(path for path in delta.rglob("*.parquet") if pq.read_metadata(path).num_rows == 10)
    content = file.read_bytes()
    pq.write_table(rows(0, 11), file)
    with pytest.raises(Corrupt, match="its log says"):
        embedded.datasets.read(version.ref)
    file.write_bytes(content[:-20] + b"x" + content[-19:])
    with pytest.raises(Corrupt, match="not what they were when it was registered"):
        embedded.datasets.head(version.ref)
    file.write_bytes(content)
    assert embedded.datasets.read(version.ref).num_rows == 30
    DeltaTable(str(delta)).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(Gone, match=r"3 of the 3 files of version 0 .* are gone"):
        embedded.datasets.read(version.ref)
    shutil.rmtree(delta)
    with pytest.raises(NotFound, match="no Delta table"):
        embedded.datasets.relation(version.ref)


def test_the_doctor_looks_whether_tables_lie_where_they_did(embedded, delta, capsys):
    embedded.datasets.add_in_place("flights", f"delta:{delta}", key="id")
    (embedded.home.project / "modelwright.toml").touch()
    at = ["--workspace", str(embedded.home.project)]
    assert run(["doctor", *at]) == 0
    assert "1 table of a lake lies where and as registered" in capsys.readouterr().out
    file = sorted(delta.rglob("*.parquet"))[0]
    file.rename(file.with_suffix(".away"))
    assert run(["doctor", *at]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "dataset:flights@1 cannot be read where it lies" in said and "bring the files back" in said


def test_a_table_that_was_written_anew_under_the_same_version_is_told(embedded, tmp_path):
    place = tmp_path / "delta"
    write_deltalake(str(place), rows(0, 5))
    version = embedded.datasets.add_in_place("flights", f"delta:{place}")
    shutil.rmtree(place)
    write_deltalake(str(place), rows(0, 5))
    with pytest.raises(Corrupt, match="does not say what it said"):
        embedded.datasets.read(version.ref)


def test_a_version_or_a_snapshot_that_the_table_has_not_is_told(embedded, delta, iceberg):
    with pytest.raises(Gone, match="Version 9 of the Delta table"):
        embedded.datasets.add_in_place("flights", f"delta:{delta}@9")
    with pytest.raises(Gone, match="snapshot 9 of the Iceberg table"):
        embedded.datasets.add_in_place("flights", f"iceberg:{iceberg.location()}@9")
    with pytest.raises(NotFound, match="no Iceberg table"):
        embedded.datasets.add_in_place("flights", f"iceberg:{delta}")
    with pytest.raises(Invalid, match="names no table of a lake"):
        embedded.datasets.add_in_place("flights", "hudi:somewhere")
    version = embedded.datasets.add_in_place("flights", f"iceberg:{iceberg.location()}")
    Path(iceberg.current_snapshot().manifest_list.removeprefix("file://")).unlink()
    with pytest.raises(Gone, match="manifest list"):
        embedded.datasets.read(version.ref)


def test_tables_whose_files_do_not_tell_their_rows_are_refused(embedded, iceberg, tmp_path):
    with iceberg.update_schema() as update:
        update.rename_column("x", "y")
    with pytest.raises(Invalid, match="was renamed"):
        embedded.datasets.add_in_place("flights", f"iceberg:{iceberg.location()}")
    write_deltalake(str(tmp_path / "a"), rows(0, 3))
    log = next((tmp_path / "a" / "_delta_log").iterdir())
    (tmp_path / "other.parquet").write_bytes(next((tmp_path / "a").glob("*.parquet")).read_bytes())
    name = next((tmp_path / "a").glob("*.parquet")).name
    log.write_text(log.read_text().replace(f'"path":"{name}"', f'"path":"{tmp_path}/other.parquet"'))
    with pytest.raises(Invalid, match="has a file elsewhere"):
        embedded.datasets.add_in_place("flights", f"delta:{tmp_path / 'a'}")


def test_rows_that_lie_elsewhere_are_exported_and_added_but_not_merged_or_pushed(embedded, delta, tmp_path):
    version = embedded.datasets.add_in_place("flights", f"delta:{delta}", key="id")
    embedded.datasets.export(version.ref, tmp_path / "a.parquet")
    embedded.datasets.export(version.ref, tmp_path / "parts")
    assert pq.read_table(tmp_path / "a.parquet").num_rows == pq.read_table(tmp_path / "parts").num_rows == 45
    copied = embedded.datasets.add("copy", f"delta:{delta}", key="id", inputs=[version.ref])
    assert (copied.lake, copied.source) == (None, version.source)
    assert embedded.datasets.diff(version.ref, copied.ref).identical
    with pytest.raises(Invalid, match="lies in place"):
        embedded.datasets.push(version.ref, tmp_path / "depot")
    with pytest.raises(Invalid, match="lies in place"):
        embedded.datasets.extended(version.ref, embedded.datasets.head(version.ref, 1))


def test_columns_about_people_are_masked_as_anywhere(embedded, tmp_path):
    people = pa.table({"id": [1, 2], "email": ["ada@example.com", "bob@example.org"], "born": [date(1990, 1, 2)] * 2})
    write_deltalake(str(tmp_path / "people"), people)
    version = embedded.datasets.add_in_place("people", f"delta:{tmp_path / 'people'}", personal=["email"])
    assert embedded.datasets.profile(version.ref).column("email").examples == []
    assert embedded.datasets.read(version.ref)["email"].to_pylist() == ["ada@example.com", "bob@example.org"]
    masked = embedded.datasets.read(version.ref, masked=True)["email"].to_pylist()
    assert len(set(masked)) == 2 and not any("@" in str(each) for each in masked)


def test_a_server_reads_only_places_that_its_owner_named(embedded, delta, tmp_path):
    version = embedded.datasets.add_in_place("flights", f"delta:{delta}")
    record = DatasetRecord(**{name: getattr(version, name) for name in DatasetRecord.__struct_fields__})
    from modelwright.core.principals import Principal

    stranger, blobs = Principal(id="mallory"), embedded.datasets.blobs
    with pytest.raises(Denied, match="not among the places"):
        InPlace(blobs, None, DatasetSettings()).admit(stranger, record)
    InPlace(blobs, None, DatasetSettings(in_place=[str(tmp_path / "lake")])).admit(stranger, record)
    (tmp_path / "lake" / "link").symlink_to(tmp_path)
    for address in (f"{tmp_path}/lake/../delta", f"{tmp_path}/lake/link", f"{tmp_path}/lakeside"):
        lake = LakeTable(form="delta", address=address, version="0", digest="", listing=record.lake.listing, files=1)
        with pytest.raises(Denied):
            InPlace(blobs, None, DatasetSettings(in_place=[str(tmp_path / "lake")])).admit(
                stranger, DatasetRecord(columns=record.columns, bytes=1, lake=lake)
            )


def test_the_command_registers_a_table_or_copies_it(embedded, delta, capsys):
    (Path(embedded.address) / "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    where = ["-w", embedded.address]
    assert run(["data", "add", "flights", f"delta:{delta}@1", "--in-place", "--key", "id", *where]) == 0
    assert "dataset:flights@1: 40 rows, 4 columns" in capsys.readouterr().out
    assert run(["data", "show", "dataset:flights", *where]) == 0
    place = {"namespace": "file", "name": str(delta), "type": "OBJECT"}
    assert any(str(place) in str(event) for event in embedded.openlineage.export())
    assert "delta:" in capsys.readouterr().out
    assert run(["data", "add", "copy", f"delta:{delta}", *where]) == 0
    assert embedded.datasets.show("dataset:copy").lake is None
    assert run(["data", "add", "flights", "flights.csv", "--in-place", *where]) == 2
