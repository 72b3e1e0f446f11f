"""Versions written for others, and read back by those others' own readers."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from modelwright.core.errors import Conflict, Invalid

ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "x": [0.5, None, 2.5],
        "word": ['say "a,b"', "", None],
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", tz="UTC")),
    }
)


@pytest.fixture
def stock(embedded, tmp_path):
    """A table of two parts."""
    for number in range(2):
        pq.write_table(
            ROWS.set_column(0, "id", pa.array(range(number * 3, number * 3 + 3))), tmp_path / f"{number}.parquet"
        )
    return embedded.datasets.add("shop/stock", [tmp_path / "0.parquet", tmp_path / "1.parquet"], key="id")


def test_rows_leave_in_the_formats_that_others_read(embedded, stock, tmp_path):
    rows = embedded.datasets.read(stock.ref)
    out = tmp_path / "out"
    for name in ("a.parquet", "a.csv", "a.arrow", "parts"):
        embedded.datasets.export(stock.ref, out / name)
    assert pq.read_table(out / "a.parquet").equals(rows)
    assert pq.read_table(out / "parts").equals(rows)
    with pa.memory_map(str(out / "a.arrow")) as file:
        assert pa.ipc.open_file(file).read_all().equals(rows)
    options = pyarrow.csv.ConvertOptions(
        column_types=rows.schema, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    assert pyarrow.csv.read_csv(out / "a.csv", convert_options=options).equals(rows)
    assert sorted(path.name for path in out.iterdir()) == ["a.arrow", "a.csv", "a.parquet", "parts"]


def test_rows_leave_as_a_table_of_delta_lake(embedded, stock, tmp_path):
    deltalake = pytest.importorskip("deltalake")
    embedded.datasets.export(stock.ref, tmp_path / "lake", "delta")
    found = pa.table(deltalake.DeltaTable(str(tmp_path / "lake")).to_pyarrow_table()).sort_by("id")
    assert found.to_pylist() == embedded.datasets.read(stock.ref).to_pylist()


def test_rows_leave_as_a_table_of_iceberg(embedded, stock, tmp_path):
    from pyiceberg.table import StaticTable

    embedded.datasets.export(stock.ref, tmp_path / "a b" / "lake", "iceberg")
    table = StaticTable.from_metadata(str(tmp_path / "a b" / "lake"))
    assert table.location() == f"file://{tmp_path}/a b/lake"
    found = table.scan().to_arrow().sort_by("id")
    assert found.to_pylist() == embedded.datasets.read(stock.ref).to_pylist()
    assert [each.name for each in (tmp_path / "a b").iterdir()] == ["lake"]
    again = embedded.datasets.add_in_place("back", f"iceberg:{tmp_path / 'a b' / 'lake'}", key="id")
    assert embedded.datasets.diff(stock.ref, again.ref).identical
    small = embedded.datasets.add("small", pa.table({"a": pa.array([1, 200], pa.uint8())}))
    embedded.datasets.export(small.ref, tmp_path / "small", "iceberg")
    assert StaticTable.from_metadata(str(tmp_path / "small")).scan().to_arrow()["a"].to_pylist() == [1, 200]
    large = embedded.datasets.add("large", pa.table({"a": pa.array([1], pa.uint64())}))
    with pytest.raises(Invalid, match="no type for a"):
        embedded.datasets.export(large.ref, tmp_path / "large", "iceberg")


def test_what_is_there_is_never_written_over_and_half_a_file_never_seen(embedded, stock, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(Conflict, match="is there already"):
        embedded.datasets.export(stock.ref, tmp_path / "there.csv")
    nested = embedded.datasets.add("nested", pa.table({"a": [[1, 2]]}))
    with pytest.raises(Invalid, match="CSV has no place for a"):
        embedded.datasets.export(nested.ref, tmp_path / "new" / "nested.csv")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(Invalid, match="not written as 'xls'"):
        embedded.datasets.export(stock.ref, tmp_path / "a.xls", "xls")


def test_a_table_leaves_with_croissants_metadata(workspace, tmp_path):
    version = workspace.datasets.add("shop/stock", ROWS, key="id", personal=["word"], tags={"license": "CC0-1.0"})
    workspace.datasets.export(version.ref, tmp_path / "out", "croissant", about={"creator": "Ada"})
    document = json.loads((tmp_path / "out" / "croissant.json").read_text())
    (file,) = document["distribution"]
    content = (tmp_path / "out" / file["contentUrl"]).read_bytes()
    assert (file["sha256"], file["contentSize"]) == (hashlib.sha256(content).hexdigest(), f"{len(content)} B")
    (rows,) = document["recordSet"]
    assert [(f["name"], f["dataType"]) for f in rows["field"]] == [
        ("id", "sc:Integer"), ("x", "sc:Float"), ("word", "sc:Text"), ("at", "sc:DateTime"),
    ]  # fmt: skip
    assert rows["key"] == [{"@id": "rows/id"}]
    assert (document["license"], document["creator"]["name"], document["version"]) == ("CC0-1.0", "Ada", "1.0.0")
    assert "word" in document["rai:personalSensitiveInformation"]


def test_croissant_tells_arrays_from_values(embedded, tmp_path):
    kinds = {
        "tags": pa.list_(pa.string()),
        "v": pa.list_(pa.float32(), 2),
        "n": pa.int64(),
        "deep": pa.list_(pa.list_(pa.int8())),
    }
    made = embedded.datasets.add(
        "arrays", pa.table({n: pa.array([None if n != "v" else [1, 2]], k) for n, k in kinds.items()})
    )
    embedded.datasets.export(made.ref, tmp_path / "out", "croissant", about={"license": "CC0-1.0"})
    (rows,) = json.loads((tmp_path / "out" / "croissant.json").read_text())["recordSet"]
    told = [(f["dataType"], f.get("isArray"), f.get("arrayShape")) for f in rows["field"]]
    assert told == [
        ("sc:Text", True, "-1"),
        ("sc:Float", True, "2"),
        ("sc:Integer", None, None),
        ("sc:Text", None, None),
    ]


def test_croissant_without_a_license_is_refused(embedded, stock, tmp_path):
    with pytest.raises(Invalid, match="requires a license"):
        embedded.datasets.export(stock.ref, tmp_path / "out", "croissant")
    assert not (tmp_path / "out").exists()


def test_files_leave_as_a_folder_with_or_without_metadata(embedded, tmp_path):
    folder: Path = tmp_path / "pictures"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "a.png").write_bytes(b"a")
    (folder / "run").write_bytes(b"b")
    (folder / "run").chmod(0o755)
    version = embedded.datasets.add_files("pictures", folder)
    embedded.datasets.export(version.ref, tmp_path / "plain")
    assert (tmp_path / "plain" / "cats" / "a.png").read_bytes() == b"a"
    assert (tmp_path / "plain" / "run").stat().st_mode & 0o100
    embedded.datasets.export(version.ref, tmp_path / "told", "croissant", about={"license": "CC0-1.0"})
    files = json.loads((tmp_path / "told" / "croissant.json").read_text())["distribution"]
    assert [(each["@id"], each["encodingFormat"]) for each in files] == [
        ("cats/a.png", "image/png"),
        ("run", "application/octet-stream"),
    ]
    with pytest.raises(Invalid, match="files, not rows"):
        embedded.datasets.export(version.ref, tmp_path / "a.csv")
