"""What lies in a bucket as a source, and a depot in one; a table of a lake there, too. The server speaks S3."""

from __future__ import annotations

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from msgspec.structs import asdict
from pyiceberg.catalog.memory import InMemoryCatalog

from modelwright.cli.entry import run
from modelwright.core.errors import Gone, Invalid
from modelwright.datasets.prefixes import Listed, Memory
from modelwright.datasets.records import CsvFormat
from modelwright.store.objects import open_store
from modelwright.workspace import Settings, open_workspace


@pytest.fixture
def rooms(tmp_path, migrated_sqlite, s3_server):
    """A workspace that reaches the bucket."""
    home = tmp_path / "project" / ".modelwright"
    home.mkdir(parents=True, mode=0o700)
    shutil.copyfile(migrated_sqlite, home / "workspace.db")
    with open_workspace(home.parent, settings=Settings(objects=asdict(s3_server))) as rooms:
        yield rooms


@pytest.fixture
def prefix(s3_server, tmp_path):
    """An empty prefix, as a store and as an address."""
    address = f"s3://objects/{tmp_path.name}"
    return open_store(address, s3_server), f"{address}/"


def parquet(first: int, count: int) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": range(first, first + count), "x": [0.5] * count}), out)
    return out.getvalue()


def test_files_under_a_prefix_become_rows_and_only_new_ones_are_fetched(rooms, prefix, s3_server, tmp_path, capsys):
    store, address = prefix
    obstore.put(store, "2026/a.parquet", parquet(0, 10))
    obstore.put(store, "2026/b.csv", b"id,x\n10,0.5\n11,0.25\n")
    obstore.put(store, "_SUCCESS", b"")
    first = rooms.datasets.add("trips", address, key="id")
    assert (first.rows, len(first.parts), first.source) == (12, 2, address)
    assert rooms.datasets.add("trips", address).ref == first.ref

    obstore.put(store, "2026/c.parquet", parquet(20, 5))
    second = rooms.datasets.add("trips", address)
    assert second.parts[:2] == first.parts and second.rows == 17
    assert rooms.datasets.read(second.ref)["id"].to_pylist() == [*range(12), *range(20, 25)]
    obstore.put(store, "2026/b.csv", b"id,x\n10,0.5\n12,0.25\n")  # of the same size
    third = rooms.datasets.add("trips", address)
    assert rooms.datasets.read(third.ref)["id"].to_pylist()[10:12] == [10, 12]
    home = tmp_path / "project"
    said = "".join(f"{name} = {json.dumps(value)}\n" for name, value in asdict(s3_server).items() if value is not None)
    (home / "modelwright.toml").write_text(f"[objects]\n{said}")
    assert run(["data", "add", "trips", address, "-w", str(home)]) == 0
    assert "dataset:trips@3: 17 rows" in capsys.readouterr().out
    assert run(["data", "add", "as-files", address, "--files", "-w", str(home)]) == 0
    assert "4 files" in capsys.readouterr().out
    obstore.put(store, "notes.md", b"what is no table")
    with pytest.raises(Invalid, match=r"no rows, such as notes\.md"):
        rooms.datasets.add("trips", address)


def test_what_is_to_be_read_otherwise_is_fetched_again(rooms, prefix):
    store, address = prefix
    obstore.put(store, "a.csv", b"id,zip,word\n1,01234,NA\n2,00077,x\n")
    first = rooms.datasets.add("places", address, key="id")
    assert rooms.datasets.read(first.ref)["zip"].to_pylist() == [1234, 77]
    second = rooms.datasets.add("places", address, types={"zip": "text"})
    assert rooms.datasets.read(second.ref)["zip"].to_pylist() == ["01234", "00077"]
    third = rooms.datasets.add("places", address, csv=CsvFormat(missing=("",)))
    assert rooms.datasets.read(third.ref)["word"].to_pylist() == ["NA", "x"]


def test_many_who_remember_a_prefix_at_once_do_not_disturb_each_other(tmp_path):
    listed = [Listed(f"{number}.bin", number, "mark") for number in range(200)]

    def remember(turn):
        Memory(tmp_path, "s3://b/p/").keep(dict.fromkeys(listed, bytes(32)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(remember, range(200)))
    assert Memory(tmp_path, "s3://b/p/").digest(listed[7]) == bytes(32)
    assert len(list(tmp_path.iterdir())) == 1


def test_anything_under_a_prefix_is_a_version_of_files(rooms, prefix, tmp_path):
    store, address = prefix
    for number in range(20):
        obstore.put(store, f"deep/{number:02}.bin", bytes([number]) * 1000)
    first = rooms.datasets.add_files("pictures", address)
    obstore.put(store, "deep/03.bin", b"x" * 1000)
    obstore.delete(store, "deep/04.bin")
    second = rooms.datasets.add_files("pictures", address)
    assert (first.files, second.files, second.stored < 5000) == (20, 19, True)
    files = rooms.datasets.diff(first.ref, second.ref).files
    assert (files.changed, files.removed) == (["deep/03.bin"], ["deep/04.bin"])
    rooms.datasets.checkout(second.ref, tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "03.bin").read_bytes() == b"x" * 1000
    with pytest.raises(Invalid, match="There is nothing at"):
        rooms.datasets.add_files("nothing", f"{address}none/")


def test_what_is_as_it_was_is_not_fetched(rooms, prefix, s3_server):
    from modelwright.datasets.prefixes import Memory, Prefix

    store, address = prefix
    obstore.put(store, "a.bin", b"a" * 100)
    rooms.datasets.add_files("pictures", address)
    (listed,) = Prefix(address, s3_server).listed()
    (entry,) = rooms.datasets.files("dataset:pictures")
    memory = Memory(rooms.datasets._indexes.place, address)
    assert memory.digest(listed).hex() == entry.digest
    obstore.put(store, "a.bin", b"b" * 100)
    assert memory.digest(Prefix(address, s3_server).listed()[0]) is None


def test_a_depot_in_a_bucket_takes_versions_and_gives_them_back(rooms, prefix, tmp_path):
    _, address = prefix
    (tmp_path / "pictures").mkdir()
    for number in range(30):
        (tmp_path / "pictures" / f"{number}.bin").write_bytes(bytes([number]) * 5000)
    rooms.datasets.add_files("pictures", tmp_path / "pictures")
    rooms.datasets.add("stock", pa.table({"id": [1, 2]}), key="id")
    rooms.datasets.add("stock", pa.table({"id": [1, 2, 3]}))
    assert rooms.datasets.push("dataset:pictures", f"{address}depot").versions == 1
    assert rooms.datasets.push("dataset:stock", f"{address}depot").versions == 2
    assert rooms.datasets.push("dataset:stock", f"{address}depot").versions == 0
    back = rooms.datasets.pull("dataset:stock@2", f"{address}depot", into="back/stock")
    assert rooms.datasets.read(back.target)["id"].to_pylist() == [1, 2, 3]
    rooms.datasets.pull("dataset:pictures", f"{address}depot", into="back/pictures")
    rooms.datasets.checkout("dataset:back/pictures", tmp_path / "out")
    assert (tmp_path / "out" / "7.bin").read_bytes() == bytes([7]) * 5000


def test_tables_of_lakes_are_read_in_a_bucket(rooms, prefix, s3_server):
    store, address = prefix
    options = {
        "AWS_ENDPOINT_URL": s3_server.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag",
    }  # fmt: skip
    table = pa.table({"id": range(20), "word": ["a", "b"] * 10})
    write_deltalake(f"{address}delta", table, partition_by=["word"], storage_options=options)
    version = rooms.datasets.add_in_place("trips", f"delta:{address}delta", key="id")
    assert version.rows == 20 and version.lake.address == f"{address}delta"
    assert rooms.datasets.read(version.ref, ["id"], "word = 'b' AND id < 6")["id"].to_pylist() == [1, 3, 5]
    assert rooms.datasets.relation(version.ref).aggregate("sum(id)").fetchall() == [(190,)]
    (gone, *_) = [each["path"] for page in obstore.list(store, prefix="delta/word=a") for each in page]
    obstore.delete(store, gone)
    with pytest.raises(Gone, match="1 of the 2 files"):
        rooms.datasets.read(version.ref)


def test_an_iceberg_table_is_read_in_a_bucket_by_its_snapshots(rooms, prefix, s3_server):
    store, address = prefix
    reached = {
        "s3.endpoint": s3_server.endpoint, "s3.access-key-id": "test", "s3.secret-access-key": "test",
        "s3.region": "us-east-1",
    }  # fmt: skip
    table = pa.table({"id": range(20), "word": ["a", "b"] * 10})
    catalog = InMemoryCatalog("test", warehouse=address, **reached)
    catalog.create_namespace("n")
    made = catalog.create_table("n.t", schema=table.schema, location=f"{address}iceberg")
    made.append(table)
    first = rooms.datasets.add_in_place("trips", f"iceberg:{address}iceberg", key="id")
    made.append(pa.table({"id": range(20, 25), "word": ["c"] * 5}))
    second = rooms.datasets.add_in_place("trips", f"iceberg:{address}iceberg")
    assert (first.rows, second.rows, second.parent, second.stored) == (20, 25, first.ref, 0)
    assert second.lake.address == f"{address}iceberg"
    assert rooms.datasets.read(first.ref, ["id"], "word = 'b' AND id < 6")["id"].to_pylist() == [1, 3, 5]
    assert rooms.datasets.relation(second.ref).aggregate("count(*), sum(id)").fetchall() == [(25, 300)]
    assert rooms.datasets.diff(first.ref, second.ref).rows.added == 5
    (older, *_) = [each.file.file_path for each in made.scan(snapshot_id=made.snapshots()[0].snapshot_id).plan_files()]
    obstore.delete(store, older.removeprefix(address))
    with pytest.raises(Gone, match="1 of the 1 files"):
        rooms.datasets.read(first.ref)
