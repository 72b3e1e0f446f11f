"""Versions brought to another workspace, to a server, to a depot, and back: only what is missing travels."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pytest

from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from modelwright.datasets.chunks import PACK
from modelwright.datasets.depot import Depot
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.datasets.records import DatasetRecord
from modelwright.store.buckets import S3Settings
from modelwright.store.objects import Objects
from modelwright.workspace import Settings, WorkspaceSettings, open_workspace


@pytest.fixture
def other(tmp_path, migrated_sqlite):
    """A second workspace."""
    home = tmp_path / "other" / ".modelwright"
    home.mkdir(parents=True, mode=0o700)
    shutil.copyfile(migrated_sqlite, home / "workspace.db")
    with open_workspace(home.parent, settings=Settings(workspace=WorkspaceSettings(name="other"))) as rooms:
        yield rooms


def table(rows: int, seed: int = 0) -> pa.Table:
    made = random.Random(seed)
    return pa.table({"id": range(rows), "x": [made.random() for _ in range(rows)]})


def pictures(folder: Path, count: int = 50) -> Path:
    made = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.bin").write_bytes(made.randbytes(5000))
    return folder


def test_what_people_decided_of_columns_is_known_there(embedded, other):
    ref = embedded.datasets.add("people", pa.table({"id": [1], "iq": [101]})).ref
    embedded.privacy.classify(ref, "iq", "special.health")
    embedded.datasets.push(ref, other.datasets)
    (found,) = other.datasets.show("dataset:people").classes
    assert (found.column, found.tag, found.status.value) == ("iq", "special.health", "unconfirmed")
    assert found.finding.detector == "as in dataset:people@1"


def test_a_version_goes_to_another_workspace_with_those_before_it_and_comes_back(workspace, other, tmp_path):
    first = workspace.datasets.add("stock", table(2000), key="id", description="counted", tags={"by": "ada"})
    second = workspace.datasets.add(
        "stock", pa.concat_tables([table(2000), table(10, 3).set_column(0, "id", pa.array(range(2000, 2010)))])
    )

    done = workspace.datasets.push("dataset:stock", other.datasets)

    assert (done.versions, done.same, str(done.target)) == (2, 0, "dataset:stock@2")
    there = other.datasets.history("dataset:stock")
    assert [each.digest for each in there] == [second.digest, first.digest]
    assert (there[0].parent, there[1].description, there[1].tags) == (there[1].ref, "counted", {"by": "ada"})
    assert other.datasets.read("dataset:stock").equals(workspace.datasets.read(second.ref))
    assert other.datasets.sketch("dataset:stock").rows == 2010
    assert other.datasets.profile("dataset:stock") == workspace.datasets.profile(second.ref)
    assert "where it is dataset:stock@1" in other.record.history(there[1].ref).items[0].reason

    again = workspace.datasets.push("dataset:stock", other.datasets)
    assert (again.versions, again.same, again.sent) == (0, 2, 0)

    folder = pictures(tmp_path / "pictures")
    mine = other.datasets.add_files("pictures", folder)
    back = workspace.datasets.pull(mine.ref, other.datasets, into="seen/pictures")
    assert str(back.target) == "dataset:seen/pictures@1"
    workspace.datasets.checkout(back.target, tmp_path / "out")
    assert (tmp_path / "out" / "7.bin").read_bytes() == (folder / "7.bin").read_bytes()


def test_only_chunks_that_are_missing_travel(embedded, other, tmp_path):
    folder = pictures(tmp_path / "pictures", 200)
    embedded.datasets.add_files("pictures", folder)
    other.datasets.add_files("pictures", folder)  # the same content came there on another way
    (folder / "new.bin").write_bytes(b"x" * 4000)
    embedded.datasets.add_files("pictures", folder)
    done = embedded.datasets.push("dataset:pictures", other.datasets)
    assert (done.versions, done.same) == (1, 1)
    assert 4000 < done.sent < 40_000 < done.bytes


def test_what_grew_apart_is_there_side_by_side_and_can_be_merged(embedded, other):
    rows = [{"id": n, "n": n} for n in range(5)]
    embedded.datasets.add("stock", pa.Table.from_pylist(rows), key="id")
    embedded.datasets.push("dataset:stock", other.datasets)
    embedded.datasets.add("stock", pa.Table.from_pylist([*rows, {"id": 8, "n": 8}]))
    other.datasets.add("stock", pa.Table.from_pylist([*rows, {"id": 9, "n": 9}]))
    done = embedded.datasets.push("dataset:stock@2", other.datasets)
    assert str(done.target) == "dataset:stock@3"
    assert str(other.datasets.show(done.target).parent) == "dataset:stock@1"
    merged = other.datasets.merge("dataset:stock@2", done.target)
    assert other.datasets.read(merged.version).column("id").to_pylist() == [0, 1, 2, 3, 4, 9, 8]


def test_a_push_that_was_stopped_goes_on_where_it_was(embedded, tmp_path):
    made = random.Random(2)
    (tmp_path / "films").mkdir()
    for number in range(10):
        (tmp_path / "films" / f"{number}.bin").write_bytes(made.randbytes(4 << 20))
    embedded.datasets.add_files("films", tmp_path / "films")

    def stop(done: float) -> None:
        if done > PACK + (4 << 20):  # a pack is there, another one has begun
            raise KeyboardInterrupt

    depot = tmp_path / "depot"
    with pytest.raises(KeyboardInterrupt):
        embedded.datasets.push("dataset:films", depot, told=stop)
    assert Depot(str(depot), S3Settings()).history("dataset:films") == []
    done = embedded.datasets.push("dataset:films", depot)
    assert done.versions == 1
    assert 0 < done.sent < done.bytes - PACK + (1 << 20)


def test_what_a_killed_push_stored_in_a_depot_can_be_let_go_of(embedded, other, tmp_path):
    made, depot = random.Random(2), tmp_path / "depot"
    for name, count in (("kept", 2), ("films", 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.bin").write_bytes(made.randbytes(4 << 20))
        embedded.datasets.add_files(name, tmp_path / name)
    embedded.datasets.push("dataset:kept", depot)

    def stop(done: float) -> None:
        if done > PACK + (4 << 20):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedded.datasets.push("dataset:films", depot, told=stop)
    there = embedded.datasets.depot(depot)
    assert (there.unreachable().count, there.unreachable().young) == (0, 1)
    found = there.unreachable(grace=0)
    assert found.count == 1 and found.size >= PACK
    assert (there.collect(grace=0).count, there.unreachable(grace=0).count) == (1, 0)
    other.datasets.pull("dataset:kept", depot)
    assert embedded.datasets.push("dataset:films", depot).versions == 1
    assert there.unreachable(grace=0).count == 0
    assert other.datasets.pull("dataset:films", depot).versions == 1


def test_a_version_of_which_something_went_on_its_way_is_not_in_a_depot(embedded, tmp_path):
    embedded.datasets.add_files("pictures", pictures(tmp_path / "pictures"))
    depot = embedded.datasets.depot(tmp_path / "depot")
    embedded.datasets.push("dataset:pictures", tmp_path / "depot")
    (version,) = depot.history("dataset:pictures")
    depot.blobs.delete(next(packs_of(depot.blobs, read_manifest(depot.blobs, version.manifest))))
    with pytest.raises(Conflict, match="somebody collected"):
        depot.register("others", record=version.as_added)
    assert depot.names() == ["pictures"]


class Interrupted(Depot):
    """A depot whose collector is interrupted once it has seen what is needed, right before it deletes."""

    looks = 0
    between = staticmethod(lambda: None)

    def _needed(self):
        found = super()._needed()
        self.looks += 1
        if self.looks == 2:
            self.between()
        return found


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_no_version_comes_into_a_depot_between_a_collectors_last_look_and_the_deletion(embedded, tmp_path, request, where):
    s3 = request.getfixturevalue("s3_server") if where == "s3" else S3Settings()
    place = f"s3://objects/{tmp_path.name}" if where == "s3" else str(tmp_path / "depot")
    embedded.datasets.add_files("pictures", pictures(tmp_path / "pictures"))
    version = embedded.datasets.show("dataset:pictures")
    source = embedded.caller.blobs
    depot, pusher = Interrupted(place, s3), Depot(place, s3, patience=0)
    needed = [version.manifest, *packs_of(source, read_manifest(source, version.manifest))]
    for digest in needed:  # of a push that was killed
        depot.blobs.put(source.read(digest))

    def push():
        with pytest.raises(Conflict, match="Somebody is collecting"):
            pusher.register("pictures", record=version.as_added)

    depot.between = push
    assert depot.looks == 0 and depot.names() == []
    if where == "folder":
        assert depot.collect(grace=0).count == len(needed)
        assert depot.looks == 3 and list(depot.blobs.list()) == []
        with pytest.raises(NotFound):
            read_manifest(pusher.blobs, version.manifest)
        with pytest.raises(Conflict, match="somebody collected"):
            pusher.register("pictures", record=version.as_added)
    else:  # where nothing is old enough to go
        with depot._collecting():
            push()
        assert pusher.register("pictures", record=version.as_added).ref.version == 1
    assert depot.names() == ([] if where == "folder" else ["pictures"])


def test_a_collector_that_was_killed_is_not_waited_for_for_ever(embedded, tmp_path):
    embedded.datasets.add_files("pictures", pictures(tmp_path / "pictures"))
    place = tmp_path / "depot"
    (place / "collecting").mkdir(parents=True)
    (place / "collecting" / "killed").write_text("somebody")
    os.utime(place / "collecting" / "killed", (0, time.time() - 3 * 3600))
    assert embedded.datasets.push("dataset:pictures", place).versions == 1


def test_a_place_that_is_not_there_is_not_made_and_an_ending_means_a_format(embedded, tmp_path):
    version = embedded.datasets.add("t", table(2))
    with pytest.raises(NotFound, match="no folder"):
        embedded.datasets.pull(version.ref, tmp_path / "typo")
    with pytest.raises(Invalid, match=r"No format has the ending \.xls"):
        embedded.datasets.export(version.ref, tmp_path / "t.xls")
    assert not [each for each in ("typo", "t.xls") if (tmp_path / each).exists()]
    embedded.datasets.export(version.ref, tmp_path / "t.xls", "parts")
    assert (tmp_path / "t.xls").is_dir()


def test_a_depot_keeps_versions_without_a_database(embedded, other, tmp_path):
    first = embedded.datasets.add("air/stock", table(100), key="id")
    second = embedded.datasets.add("air/stock", table(100, 7))
    embedded.datasets.push(second.ref, tmp_path / "depot")
    depot = Depot(str(tmp_path / "depot"), S3Settings())
    assert depot.names() == ["air/stock"]
    assert [each.digest for each in depot.history("dataset:air/stock")] == [second.digest, first.digest]
    assert embedded.datasets.push(second.ref, tmp_path / "depot").versions == 0
    done = other.datasets.pull("dataset:air/stock@1", tmp_path / "depot")
    assert (done.versions, other.datasets.show(done.target).digest) == (1, first.digest)
    assert other.datasets.pull("dataset:air/stock", tmp_path / "depot", alone=True).versions == 1
    with pytest.raises(NotFound, match="no dataset:air/stock@9 there"):
        other.datasets.pull("dataset:air/stock@9", tmp_path / "depot")
    with pytest.raises(Invalid, match="cannot lie at"):
        other.datasets.pull("dataset:air/stock@9", "ftp://there")


def test_what_was_damaged_on_its_way_is_not_taken(embedded, other, tmp_path):
    embedded.datasets.add_files("pictures", pictures(tmp_path / "pictures"))
    embedded.datasets.push("dataset:pictures", tmp_path / "depot")
    objects = Objects.open(tmp_path / "depot" / "objects")
    pack = max((objects.size(digest), digest) for digest in objects.list())[1]
    path = tmp_path / "depot" / "objects" / pack[:2] / pack
    path.chmod(0o600)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(Corrupt):
        other.datasets.pull("dataset:pictures", tmp_path / "depot")
    assert other.datasets.history("dataset:pictures") == []


@pytest.mark.parametrize(("grace", "left"), [(60, ["half"]), (-60, [])])
def test_what_a_killed_push_left_half_written_goes_with_a_later_one(embedded, tmp_path, grace, left):
    embedded.datasets.add("stock", table(10))
    embedded.datasets.push("dataset:stock", tmp_path / "depot")
    incoming = tmp_path / "depot" / "objects" / ".incoming"
    (incoming / "half").write_bytes(b"half of it")
    depot = Depot(str(tmp_path / "depot"), S3Settings(), grace=grace)
    (version,) = depot.history("dataset:stock")
    record = DatasetRecord(**{field: getattr(version, field) for field in DatasetRecord.__struct_fields__})
    assert depot.register("stock", record=record).ref.version == 2
    assert [path.name for path in incoming.iterdir()] == left


def test_a_bucket_that_does_not_answer_is_named(embedded):
    embedded.datasets.add("stock", table(10))
    s3 = S3Settings(
        endpoint="http://127.0.0.1:9", region="x", access_key_id="a", secret_access_key="b", allow_http=True, retries=0
    )
    depot = Depot("s3://bucket/prefix", s3)
    with pytest.raises(Unavailable, match="s3://bucket/prefix cannot be reached"):
        depot.history("dataset:stock")
