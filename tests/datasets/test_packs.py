"""Packs of which little is needed are put anew, and the rest goes, whoever reads, writes or dies meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.datasets.chunks import read_chunks
from modelwright.datasets.manifest import entries_of, packs_of, read_manifest
from modelwright.datasets.packs import Moved
from modelwright.store.records import EventFilter
from modelwright.store.storage import Collected
from modelwright.workspace import Settings, Workspace, open_workspace

SMALL = Ref.parse("dataset:small")
RUN_OUT = 0.0  # a grace that has always passed
FILES, EACH = 40, 20_000


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return folder


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}


def stored(workspace: Workspace) -> int:
    return sum(workspace.home.objects.size(digest) for digest in workspace.home.objects.list())


def needed(workspace: Workspace, ref: Ref) -> set[str]:
    version = workspace.datasets.show(ref)
    return set(packs_of(workspace.home.objects, read_manifest(workspace.home.objects, version.manifest)))


@pytest.fixture(scope="module")
def thin(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project to be copied: its dataset's second and third versions need four of the forty files of the first, which is
    deleted."""
    made, place = random.Random(0), tmp_path_factory.mktemp("files")
    project = tmp_path_factory.mktemp("thin") / "project"
    (project / ".modelwright").mkdir(parents=True, mode=0o700)
    shutil.copyfile(migrated_sqlite, project / ".modelwright" / "workspace.db")
    fill(place, {f"{n:02}.bin": made.randbytes(EACH) for n in range(FILES)})
    with open_workspace(project, settings=Settings()) as here:
        here.datasets.add_files("small", place)
        for number in range(4, FILES):
            (place / f"{number:02}.bin").unlink()
        here.datasets.add_files("small", place)
        fill(place, {"00.bin": made.randbytes(EACH)})
        here.datasets.add_files("small", place)
        here.datasets.delete(SMALL.at(1))
        here.storage.collect(grace=RUN_OUT)
    return project


@pytest.fixture
def thinned(thin: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of the test's own with that dataset."""
    with open_workspace(shutil.copytree(thin, tmp_path / "project"), settings=Settings()) as here:
        yield here


def contents(workspace: Workspace, ref: Ref, place: Path) -> dict[str, bytes]:
    workspace.datasets.checkout(ref, place)
    return held(place)


def test_a_pack_of_which_little_is_needed_is_put_anew_and_goes_in_the_second_phase(thinned, tmp_path):
    before = {n: contents(thinned, SMALL.at(n), tmp_path / f"before{n}") for n in (2, 3)}
    shown = {n: thinned.datasets.show(SMALL.at(n)) for n in (2, 3)}
    (pack,) = thinned.packs.sparse(grace=RUN_OUT).packs
    assert FILES * EACH <= pack.size < FILES * EACH + 10_000
    assert 4 * EACH <= pack.live < 4 * EACH + 2_000
    assert (pack.versions, pack.dead) == (2, pack.size - pack.live)
    assert thinned.packs.sparse().packs == []
    assert thinned.packs.sparse().young == 1

    done = thinned.packs.repack(grace=RUN_OUT, reason="tidy")
    assert (done.packs, done.versions, done.freed) == (1, 2, pack.size)
    assert 4 * EACH <= done.written < 4 * EACH + 5_000
    assert thinned.packs.sparse(grace=RUN_OUT).packs == []
    for number in (2, 3):
        now = thinned.datasets.show(SMALL.at(number))
        assert pack.digest not in needed(thinned, SMALL.at(number))
        assert (now.digest, now.content, now.changed_at) == (
            shown[number].digest,
            shown[number].content,
            shown[number].changed_at,
        )
    (event,) = thinned.record.events(EventFilter(action="datasets.packs")).items
    assert (event.action, event.reason) == ("datasets.packs.rewritten", "tidy")
    assert (event.before["packs"], event.after["versions"]) == ([pack.digest], ["dataset:small@2", "dataset:small@3"])

    assert thinned.home.objects.exists(pack.digest)  # the first phase took nothing away
    assert thinned.storage.collect(grace=3600).count == 0  # and the second leaves it for a while
    full = stored(thinned)
    gone = thinned.storage.collect(grace=RUN_OUT)
    assert not thinned.home.objects.exists(pack.digest)
    assert gone.size >= pack.size
    assert stored(thinned) < full - pack.dead + 5_000
    for number in (2, 3):
        assert contents(thinned, SMALL.at(number), tmp_path / f"after{number}") == before[number]
    assert thinned.packs.repack(grace=RUN_OUT).packs == 0


def test_it_works_through_every_door(workspace: Workspace, tmp_path: Path) -> None:
    made = random.Random(1)
    place = fill(tmp_path / "small", {f"{n}.bin": made.randbytes(EACH) for n in range(10)})
    workspace.datasets.add_files("small", place)
    for number in range(1, 10):
        (place / f"{number}.bin").unlink()
    workspace.datasets.add_files("small", place)
    assert workspace.packs.sparse(grace=RUN_OUT).packs == []  # half is not less than half, and all of it is
    workspace.datasets.delete(SMALL.at(1))
    assert len(workspace.packs.sparse(grace=RUN_OUT).packs) == 1
    assert workspace.packs.repack(grace=RUN_OUT).versions == 1
    assert isinstance(workspace.storage.collect(grace=RUN_OUT), Collected)
    assert contents(workspace, SMALL, tmp_path / "out") == held(place)


def test_who_reads_by_the_old_manifest_goes_on(thinned):
    objects = thinned.home.objects
    old = read_manifest(objects, thinned.datasets.show(SMALL.at(2)).manifest)
    thinned.packs.repack(grace=RUN_OUT)
    thinned.storage.collect(grace=60)
    chunks = [chunk for entry in entries_of(objects, old) for chunk in entry.chunks]
    assert len([*read_chunks(objects, chunks)]) == 4


@pytest.mark.parametrize("when", ["prepared", "moved"])
def test_who_writes_meanwhile_keeps_the_old_pack_until_the_next_time(thinned, tmp_path, when):
    (pack,) = thinned.packs.sparse(grace=RUN_OUT).packs
    moved = thinned.packs.prepare([pack.digest])
    if when == "moved":
        thinned.packs.move([pack.digest], moved=moved)
    small = contents(thinned, SMALL.at(2), tmp_path / "small2")
    fill(tmp_path / "small2", {"new.bin": b"new"})
    record = thinned.datasets.add_files("small", tmp_path / "small2").ref
    if when == "prepared":
        thinned.packs.move([pack.digest], moved=moved)
        assert pack.digest in needed(thinned, record)
    thinned.storage.collect(grace=RUN_OUT)
    assert contents(thinned, record, tmp_path / "one") == small | {"new.bin": b"new"}
    thinned.packs.repack(grace=RUN_OUT)
    thinned.storage.collect(grace=RUN_OUT)
    assert not thinned.home.objects.exists(pack.digest)
    assert contents(thinned, record, tmp_path / "two") == small | {"new.bin": b"new"}


def test_a_manifest_that_says_something_else_is_not_taken(thinned):
    (pack,) = thinned.packs.sparse(grace=RUN_OUT).packs
    two, three = (thinned.datasets.show(SMALL.at(n)) for n in (2, 3))
    with pytest.raises(Invalid, match="does not say the same files"):
        thinned.packs.move([pack.digest], moved=[Moved(ref=two.ref, before=two.manifest, after=three.manifest)])
    moved = thinned.packs.prepare([pack.digest])
    thinned.packs.move([pack.digest], moved=moved)
    with pytest.raises(Conflict, match="another manifest by now"):
        thinned.packs.move([pack.digest], moved=moved)


def test_a_new_pack_that_is_damaged_is_found_before_anything_moves(thinned, tmp_path):
    (pack,) = thinned.packs.sparse(grace=RUN_OUT).packs
    moved = thinned.packs.prepare([pack.digest])
    objects = thinned.home.objects
    (new,) = [each for each in packs_of(objects, read_manifest(objects, moved[0].after)) if objects.size(each) == 4 * EACH]
    path = Path(objects.location) / new[:2] / new
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(Exception, match="holds something else"):
        thinned.packs.move([pack.digest], moved=moved)
    assert thinned.datasets.show(SMALL.at(2)).manifest == moved[0].before


def test_nothing_is_thought_sparse_while_a_manifest_cannot_be_read(thinned):
    objects = thinned.home.objects
    objects.delete(thinned.datasets.show(SMALL.at(3)).manifest)
    assert thinned.packs.sparse(grace=RUN_OUT).packs == []
    with pytest.raises(NotFound):
        thinned.packs.prepare(["0" * 64])


KILLED = """
import os, signal, sys
import modelwright
from modelwright.store.objects import Objects

where, left = sys.argv[2], int(sys.argv[3])
plain = getattr(Objects, where)

def dying(self, digest):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return plain(self, digest)

setattr(Objects, where, dying)
rooms = modelwright.connect(sys.argv[1])
rooms.packs.repack(grace=0.0)
rooms.storage.collect(grace=0.0)
"""


MOMENTS = [("put", 0), ("put", 3), ("delete", 0)]


@pytest.mark.parametrize(
    ("where", "after"),
    [("put", 1), ("renew", 0), ("delete", 1), *(pytest.param(*each, marks=pytest.mark.thorough) for each in MOMENTS)],
)
def test_who_is_killed_in_the_middle_loses_nothing_and_the_next_goes_on(thinned, tmp_path, where, after):
    before = {n: contents(thinned, SMALL.at(n), tmp_path / f"before{n}") for n in (2, 3)}
    (pack,) = thinned.packs.sparse(grace=RUN_OUT).packs
    (thinned.home.project / "modelwright.toml").touch()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(thinned.home.project), where, str(after)],
        capture_output=True,
        env={**os.environ},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    for number in (2, 3):
        assert contents(thinned, SMALL.at(number), tmp_path / f"between{number}") == before[number]
    time.sleep(0.01)
    thinned.packs.repack(grace=RUN_OUT)
    thinned.storage.collect(grace=RUN_OUT)
    assert not thinned.home.objects.exists(pack.digest)
    assert stored(thinned) < pack.live + EACH + 60_000
    for number in (2, 3):
        assert contents(thinned, SMALL.at(number), tmp_path / f"after{number}") == before[number]
