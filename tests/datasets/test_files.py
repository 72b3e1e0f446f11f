"""Folders of files as versions: in, out again, compared, and what may go wrong meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from copy import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.cli import quick
from modelwright.core.config import folder_indexes
from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from modelwright.core.folders import Indexes, check_path, check_paths, glance
from modelwright.core.refs import Ref
from modelwright.datasets.checkout import choose
from modelwright.datasets.chunks import Chunk, KnownChunks, Packer, digest_of, read_chunk
from modelwright.datasets.folderwork import Here, Listing
from modelwright.datasets.manifest import Entry, entries_of, packs_of, read_manifest, read_pages, write_manifest

PICTURES = Ref.parse("dataset:pictures")


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def older(folder: Path) -> None:
    """As if the files had been written some time ago."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(10**18 + 1, 10**18 + 1))


def stored(embedded) -> int:
    return sum(embedded.home.objects.size(digest) for digest in embedded.home.objects.list())


@pytest.fixture
def pictures(tmp_path) -> Path:
    made = random.Random(0)
    files = {f"{kind}/{number:03}.png": made.randbytes(1000) for kind in ("cats", "dogs") for number in range(100)}
    return fill(tmp_path / "pictures", files | {"labels.csv": b"a,b\n", "empty": b"", "film.bin": made.randbytes(3 << 20)})


def test_a_folder_becomes_a_version_and_comes_back(workspace, pictures, tmp_path):
    (pictures / "labels.csv").chmod(0o755)
    version = workspace.datasets.add_files("pictures", pictures, description="of animals", tags={"a": "b"})

    assert (str(version.ref), version.files, version.source, version.is_table) == (
        "dataset:pictures@1",
        203,
        "pictures/",
        False,
    )
    assert version.bytes == sum(map(len, held(pictures).values()))
    out = workspace.datasets.checkout(version.ref, tmp_path / "out")
    assert held(tmp_path / "out") == held(pictures)
    assert out.written + out.linked + out.cloned == 203
    assert os.access(tmp_path / "out" / "labels.csv", os.X_OK)
    assert not os.access(tmp_path / "out" / "empty", os.X_OK)
    assert [each.path for each in workspace.datasets.files(version.ref, ["cats"])] == [
        f"cats/{number:03}.png" for number in range(100)
    ]
    with workspace.datasets.open(version.ref, "film.bin") as film:
        film.seek(2_000_000)
        assert film.read(10) == (pictures / "film.bin").read_bytes()[2_000_000:2_000_010]


def test_the_same_folder_again_is_the_same_version_and_stores_nothing(embedded, pictures):
    first = embedded.datasets.add_files("pictures", pictures)
    before = stored(embedded)
    assert embedded.datasets.add_files("pictures", pictures) == first
    assert embedded.datasets.add_files("pictures", pictures, verify=True) == first
    assert stored(embedded) == before


def test_a_version_costs_what_changed(embedded, pictures):
    embedded.datasets.add_files("pictures", pictures)
    before = stored(embedded)
    fill(pictures, {"cats/007.png": b"another" * 100})
    second = embedded.datasets.add_files("pictures", pictures)
    assert second.ref.version == 2
    assert second.stored < 50_000  # the file, and the pages of the manifest that it is on
    assert stored(embedded) - before < 60_000
    third = embedded.datasets.add_files("others", pictures)
    assert third.stored == 0  # content is known whatever the dataset


def test_content_that_came_back_is_not_stored_again(embedded, pictures):
    embedded.datasets.add_files("pictures", pictures)
    film = (pictures / "film.bin").read_bytes()
    (pictures / "film.bin").unlink()
    embedded.datasets.add_files("pictures", pictures)
    (pictures / "film.bin").write_bytes(film)
    assert embedded.datasets.add_files("pictures", pictures).stored < 10_000


def test_what_did_not_change_is_not_read(embedded, pictures):
    older(pictures)
    embedded.datasets.add_files("pictures", pictures)
    standing = embedded.datasets.status(pictures)
    assert (standing.clean, standing.read, standing.same) == (True, 0, 203)
    fill(pictures, {"cats/000.png": b"x" * 1000, "new.txt": b"new"})
    (pictures / "empty").unlink()
    standing = embedded.datasets.status(pictures)
    assert (standing.changed, standing.added, standing.removed) == (["cats/000.png"], ["new.txt"], ["empty"])
    assert standing.read <= 1


def test_a_change_that_size_and_time_hide_is_found_when_asked_to_verify(embedded, pictures):
    older(pictures)
    embedded.datasets.add_files("pictures", pictures)
    with (pictures / "cats/000.png").open("r+b") as file:
        file.write(b"hidden")
    older(pictures)
    assert embedded.datasets.status(pictures).clean
    assert embedded.datasets.status(pictures, verify=True).changed == ["cats/000.png"]


def test_a_change_right_after_the_add_is_seen_though_the_time_may_be_the_same(embedded, tmp_path):
    folder = fill(tmp_path / "quick", {"a": b"one"})
    moment = time.time_ns() + 600 * 10**9  # however slow this is, the file is not old when it is read
    os.utime(folder / "a", ns=(moment, moment))
    embedded.datasets.add_files("quick", folder)
    with (folder / "a").open("r+b") as file:
        file.write(b"two")
    os.utime(folder / "a", ns=(moment, moment))
    assert embedded.datasets.status(folder).changed == ["a"]


def test_a_checkout_below_a_file_is_refused(embedded, pictures, tmp_path):
    embedded.datasets.add_files("pictures", pictures)
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below", "file/far/below"):
        with pytest.raises(Invalid, match=r"file is a file\."):
            embedded.datasets.checkout(PICTURES, tmp_path / place)


def test_a_checkout_over_another_version_writes_only_the_difference(embedded, pictures, tmp_path):
    embedded.datasets.add_files("pictures", pictures)
    first = held(pictures)
    fill(pictures, {"cats/000.png": b"changed", "new/one": b"1"})
    (pictures / "dogs/001.png").unlink()
    embedded.datasets.add_files("pictures", pictures)
    second, out = held(pictures), tmp_path / "out"

    embedded.datasets.checkout(PICTURES.at(1), out)
    (out / "mine").write_bytes(b"mine")
    done = embedded.datasets.checkout(PICTURES.at(2), out)
    assert (done.written, done.removed, done.kept) == (2, 1, 201)
    assert held(out) == second | {"mine": b"mine"}
    embedded.datasets.checkout(PICTURES.at(1), out)
    assert held(out) == first | {"mine": b"mine"}
    assert not (out / "new").exists()


def test_what_somebody_changed_is_not_written_over(embedded, pictures, tmp_path):
    embedded.datasets.add_files("pictures", pictures)
    fill(pictures, {"cats/000.png": b"changed"})
    embedded.datasets.add_files("pictures", pictures)
    out = tmp_path / "out"
    embedded.datasets.checkout(PICTURES.at(1), out)
    fill(out, {"cats/000.png": b"my work"})
    assert embedded.datasets.status(out).changed == ["cats/000.png"]  # which makes it known, but not safe
    before = held(out)
    with pytest.raises(Conflict, match=r"cats/000\.png"):
        embedded.datasets.checkout(PICTURES.at(2), out)
    assert held(out) == before
    embedded.datasets.checkout(PICTURES.at(2), out, force=True)
    assert held(out) == held(pictures)


def test_some_files_are_checked_out_by_path_and_pattern(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    embedded.datasets.checkout(version.ref, tmp_path / "out", ["cats/00*.png", "labels.csv"])
    assert len(held(tmp_path / "out")) == 11
    with pytest.raises(NotFound, match="birds"):
        embedded.datasets.checkout(version.ref, tmp_path / "out", ["birds"])


def test_a_large_file_is_shared_with_the_next_checkout_unless_a_copy_is_asked_for(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    one = embedded.datasets.checkout(version.ref, tmp_path / "one")
    two = embedded.datasets.checkout(version.ref, tmp_path / "two")
    assert one.linked + one.cloned == two.linked + two.cloned == 1
    if one.linked:
        assert (tmp_path / "one/film.bin").samefile(tmp_path / "two/film.bin")
        assert (tmp_path / "one/film.bin").stat().st_mode & 0o222 == 0
    copied = embedded.datasets.checkout(version.ref, tmp_path / "three", copy=True)
    assert (copied.written, copied.linked) == (203, 0)


def test_a_link_that_was_written_through_is_not_handed_out_again(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    embedded.datasets.checkout(version.ref, tmp_path / "one")
    (tmp_path / "one/film.bin").chmod(0o644)
    (tmp_path / "one/film.bin").write_bytes(b"written through the link")
    embedded.datasets.checkout(version.ref, tmp_path / "two")
    assert held(tmp_path / "two") == held(pictures)


def test_versions_of_files_are_compared_by_path(workspace, pictures):
    workspace.datasets.add_files("pictures", pictures)
    (pictures / "cats/000.png").rename(pictures / "moved.png")
    fill(pictures, {"labels.csv": b"other", "more": b"1"})
    (pictures / "dogs/000.png").unlink()
    workspace.datasets.add_files("pictures", pictures)
    found = workspace.datasets.diff(PICTURES.at(1), PICTURES.at(2)).files
    assert (found.added, found.removed, found.changed) == (["more"], ["dogs/000.png"], ["labels.csv"])
    assert (found.moved, found.same) == ({"cats/000.png": "moved.png"}, 200)
    assert workspace.datasets.diff(PICTURES.at(1), PICTURES.at(1)).identical


def test_rows_and_files_are_not_taken_for_each_other(embedded, pictures, flights):
    files = embedded.datasets.add_files("pictures", pictures)
    table = embedded.datasets.add("flights", flights)
    with pytest.raises(Invalid, match="holds files, not rows"):
        embedded.datasets.read(files.ref)
    with pytest.raises(Invalid, match="is a table"):
        embedded.datasets.checkout(table.ref, pictures)
    with pytest.raises(Invalid, match="is a table"):
        embedded.datasets.add_files("flights", pictures)
    with pytest.raises(Invalid, match="holds files, not rows"):
        embedded.datasets.add("pictures", flights)


def test_links_devices_and_nothing_are_refused(embedded, tmp_path):
    folder = fill(tmp_path / "odd", {"a": b"1"})
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(Invalid, match="symbolic link"):
        embedded.datasets.add_files("odd", folder)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(Invalid, match="neither a file nor a folder"):
        embedded.datasets.add_files("odd", folder)
    with pytest.raises(NotFound):
        embedded.datasets.add_files("odd", tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(Invalid, match="no files"):
        embedded.datasets.add_files("odd", tmp_path / "void")


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "/a",
        "a/../../b",
        "a//b",
        "",
        ".",
        "a/",
        "a\\b",
        "C:/a",
        "c:a",
        "a/..",
        "./a",
        "ä" * 200,
        "a\x00b",
        "a\nb",
        "x" * 300,
        "\udc80",
    ],
)
def test_a_name_that_leads_elsewhere_is_in_no_manifest(embedded, path):
    with KnownChunksOf(embedded) as packer:
        chunk = put(packer, b"x")
        with pytest.raises(Invalid, match="no name"):
            write_manifest(embedded.home.objects, packer, [Entry(path, 1, chunk.digest, False, [chunk])])


@pytest.mark.parametrize("path", ["a", "a/b", ".a", "..a", "a..", "a./.b", "ab:c", "a b", "雪/ä", "x" * 255, "$", "-a"])
def test_a_name_that_leads_downwards_is_in_a_manifest(path):
    assert check_path(path) == path


@pytest.mark.parametrize("path", ["../a", "a/../b", "a\nb", "", "a/", "a\\b", "C:/a", "/a", "a//b", "./a", "x" * 300])
def test_a_name_that_leads_elsewhere_is_found_among_many(path):
    plain = [f"{number % 7}/{number:04}.png" for number in range(1_200)]
    check_paths([*plain, "雪/ä", "$", "x" * 255])
    with pytest.raises(Invalid, match="no name"):
        check_paths([*plain[:700], path, *plain[700:]])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_a_manifest_made_from_another_is_the_one_made_from_nothing(embedded, data):
    blobs, made = embedded.home.objects, random.Random(data.draw(st.integers(0, 10**9)))
    with KnownChunksOf(embedded) as packer:
        chunks = [put(packer, f"{number}".encode()) for number in range(3)]
        old = {f"{made.randrange(600)}.png": made.choice(chunks) for _ in range(data.draw(st.integers(1, 600)))}
        new = dict(old)
        for _ in range(data.draw(st.integers(0, 20))):
            new[f"{made.randrange(600)}.png"] = made.choice(chunks)
        for path in data.draw(st.lists(st.sampled_from(sorted(new)), unique=True, max_size=len(new) - 1)):
            del new[path]
        before, after = ([Entry(p, c.size, c.digest, False, [c]) for p, c in each.items()] for each in (old, new))
        pages = read_pages(blobs, write_manifest(blobs, packer, before)[1])
        assert write_manifest(blobs, packer, after, before=pages)[1] == write_manifest(blobs, packer, after)[1]


def test_files_have_their_mode_whatever_the_process_takes_away(embedded, pictures, tmp_path):
    (pictures / "labels.csv").chmod(0o755)
    version = embedded.datasets.add_files("pictures", pictures)
    before = os.umask(0o077)
    try:
        embedded.datasets.checkout(version.ref, tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out/labels.csv").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/cats/000.png").stat().st_mode & 0o777 == 0o644


def test_nothing_is_written_through_a_link_in_the_folder(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/cats").symlink_to(outside)
    with pytest.raises((Invalid, Refused)):
        embedded.datasets.checkout(version.ref, tmp_path / "out")
    assert not held(outside)


def test_a_damaged_pack_is_never_handed_out(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    manifest = read_manifest(embedded.home.objects, version.manifest)
    largest = max(manifest.packs, key=embedded.home.objects.size)
    path = Path(embedded.home.objects.location) / largest[:2] / largest
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    with pytest.raises(Corrupt):
        embedded.datasets.checkout(version.ref, tmp_path / "out")


def test_a_pack_that_is_gone_is_stored_again_and_none_is_referred_to_that_is_not_there(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    for digest in packs_of(embedded.home.objects, read_manifest(embedded.home.objects, version.manifest)):
        embedded.home.objects.delete(digest)
    with pytest.raises(Invalid, match="is not stored"):
        embedded.datasets.register("copy", record=record_of(version))
    embedded.datasets.delete(version.ref)
    again = embedded.datasets.add_files("pictures", pictures)
    embedded.datasets.checkout(again.ref, tmp_path / "out")
    assert held(tmp_path / "out") == held(pictures)


def test_two_writers_of_one_dataset_both_keep_their_version(embedded, tmp_path):
    folders = [fill(tmp_path / name, {"a": name.encode(), "b": b"same"}) for name in ("one", "two", "three")]
    errors: list[BaseException] = []

    def write(folder: Path) -> None:
        try:
            embedded.datasets.add_files("shared", folder)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    found = embedded.datasets.versions(Ref.parse("dataset:shared")).items
    assert sorted(version.ref.version for version in found) == [1, 2, 3]
    contents = set()
    for version in found:
        embedded.datasets.checkout(version.ref, tmp_path / f"out{version.ref.version}")
        contents.add(held(tmp_path / f"out{version.ref.version}")["a"])
    assert contents == {b"one", b"two", b"three"}


KILLED = """
import os, signal, sys
import modelwright
from modelwright.store.objects import Objects

put, left = Objects.put, int(sys.argv[3])

def dying(self, data):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return put(self, data)

Objects.put = dying
modelwright.connect(sys.argv[1]).datasets.add_files("pictures", sys.argv[2])
"""


@pytest.mark.parametrize("puts", [1, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0, 2))])
def test_a_writer_that_is_killed_leaves_the_version_before(embedded, pictures, tmp_path, puts):
    embedded.datasets.add_files("pictures", pictures)
    first = held(pictures)
    fill(pictures, {"cats/000.png": b"changed"})
    (embedded.home.project / "modelwright.toml").touch()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(embedded.home.project), str(pictures), str(puts)], capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [each.ref.version for each in embedded.datasets.versions(PICTURES).items] == [1]
    embedded.datasets.checkout(PICTURES, tmp_path / "out")
    assert held(tmp_path / "out") == first
    assert embedded.datasets.add_files("pictures", pictures).ref.version == 2


KILLED_CHECKOUT = """
import os, signal, sys
import modelwright

left = int(sys.argv[3])

def dying(done):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

modelwright.connect(sys.argv[1]).datasets.checkout("dataset:pictures@1", sys.argv[2], told=dying)
"""


@pytest.mark.parametrize("over", ["nothing", "another version"])
def test_what_a_killed_checkout_put_there_is_in_nobodys_way(embedded, pictures, tmp_path, over):
    fill(pictures, {"old.txt": b"of the first alone", "cats/000.png": b"first"})
    embedded.datasets.add_files("pictures", pictures)
    (pictures / "old.txt").unlink()
    fill(pictures, {"cats/000.png": b"second", "cats/001.png": b"changed"})
    embedded.datasets.add_files("pictures", pictures)
    (embedded.home.project / "modelwright.toml").touch()
    out = tmp_path / "out"
    if over == "another version":
        embedded.datasets.checkout("dataset:pictures@2", out)
    command = [sys.executable, "-c", KILLED_CHECKOUT, str(embedded.home.project), str(out)]
    files = 204 if over == "nothing" else 3  # as many as are written, so all of them are there
    for after in ("1", str(files - 1)):  # the second has one less to do
        done = subprocess.run([*command, after], capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    if over == "nothing":
        with pytest.raises(NotFound, match=r"A checkout of dataset:pictures@1 into .* was broken off"):
            embedded.datasets.status(out)
    fill(out, {"cats/002.png": b"mine"})
    with pytest.raises(Conflict, match=r"'cats/002.png' in .* is not as it was put there\."):
        embedded.datasets.checkout("dataset:pictures@2", out)
    (out / "cats" / "002.png").unlink()
    (out / "cats" / ".0123456789abcdef.part").write_bytes(b"half of a file")
    assert (out / "old.txt").exists()
    embedded.datasets.checkout("dataset:pictures@2", out)
    assert held(out) == held(pictures)
    assert embedded.datasets.status(out, verify=True).clean
    fill(out, {"cats/001.png": b"mine"})
    with pytest.raises(Conflict):
        embedded.datasets.checkout("dataset:pictures@1", out)


NAMES = st.lists(st.text("aB. _ä雪-", min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(trees=st.lists(st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=8), min_size=1, max_size=3))
def test_any_folders_come_back_as_they_were(embedded, tmp_path_factory, trees):
    place = tmp_path_factory.mktemp("trees")
    for number, files in enumerate(trees):
        made: dict[str, bytes] = {}
        for path, content in files.items():
            names = path.split("/")
            both = any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in made)
            if {".", ".."} & {*names} or both:
                continue
            made[path] = content
        if not made:
            continue
        folder = fill(place / str(number), made)
        version = embedded.datasets.add_files(f"any/{place.name}", folder)
        embedded.datasets.checkout(version.ref, place / "out")
        assert held(place / "out") == made
        assert embedded.datasets.status(place / "out").clean


def test_the_collector_keeps_what_manifests_name_and_nothing_else(embedded, pictures, tmp_path):
    embedded.datasets.add_files("pictures", pictures)
    first = held(pictures)
    fill(pictures, {"cats/000.png": b"changed"})
    second = embedded.datasets.add_files("pictures", pictures)
    fill(tmp_path / "others", {"noise": random.Random(9).randbytes(1 << 20)})
    gone = embedded.datasets.add_files("others", tmp_path / "others")
    embedded.datasets.delete(gone.ref)
    assert embedded.storage.collect(grace=0.0).size > 1 << 20
    for version, files in ((PICTURES.at(1), first), (second.ref, held(pictures))):
        embedded.datasets.checkout(version, tmp_path / f"out{version.version}")
        assert held(tmp_path / f"out{version.version}") == files
    again = embedded.datasets.add_files("others", tmp_path / "others")  # its pack is known, and gone
    embedded.datasets.checkout(again.ref, tmp_path / "again")
    assert held(tmp_path / "again") == held(tmp_path / "others")


def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(embedded, tmp_path):
    folder, out = fill(tmp_path / "shapes", {"a/b": b"1", "c": b"2"}), tmp_path / "out"
    embedded.datasets.add_files("shapes", folder)
    (folder / "a/b").unlink()
    (folder / "a").rmdir()
    (folder / "c").unlink()
    fill(folder, {"a": b"3", "c/d": b"4"})
    embedded.datasets.add_files("shapes", folder)
    for version in (1, 2, 1):
        embedded.datasets.checkout(f"dataset:shapes@{version}", out)
    assert held(out) == {"a/b": b"1", "c": b"2"}
    fill(out, {"c2": b"", "a/mine": b"mine"})
    with pytest.raises(Conflict, match="a/mine"):
        embedded.datasets.checkout("dataset:shapes@2", out)
    assert (out / "a/mine").read_bytes() == b"mine"
    fill(out, {"a/.git/HEAD": b"mine too"})
    with pytest.raises(Conflict, match="other things"):
        embedded.datasets.checkout("dataset:shapes@2", out, force=True)
    assert (out / "a/.git/HEAD").exists()


def test_a_spoilt_row_of_known_chunks_is_not_believed(embedded, tmp_path):
    path = tmp_path / "chunks.db"
    known = KnownChunks(path)
    known.keep(b"p" * 32, [Chunk(b"d" * 32, b"p" * 32, 7, 9)])
    known.close()
    assert KnownChunks(path).find(b"d" * 32) == Chunk(b"d" * 32, b"p" * 32, 7, 9)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE places SET start = 8")
    assert KnownChunks(path).find(b"d" * 32) is None
    path.write_bytes(b"no database" * 1000)
    for left in tmp_path.glob("chunks.db-*"):
        left.unlink()
    assert KnownChunks(path).find(b"d" * 32) is None


def test_packs_one_after_the_other_hold_what_went_into_them(embedded):
    made, blobs = random.Random(3), embedded.home.objects
    sizes = [5, 3 << 20, (33 << 20) + 1, 0, 7, 20 << 20, 20 << 20, 1]  # a pack is closed at 32 MiB; one chunk is longer
    contents = [made.randbytes(size) for size in sizes]
    with Packer(blobs, KnownChunks(None)) as packer:
        digests = [packer.add(memoryview(content)) for content in contents]
        assert packer.add(contents[1]) == digests[1]  # once more: nothing is stored for it
        packer.flush()
        chunks = [packer.where(digest) for digest in digests]
    assert [read_chunk(blobs, chunk) for chunk in chunks] == contents
    assert packer.stored == sum(sizes) and len({chunk.pack for chunk in chunks}) == 3


def test_a_manifest_names_every_pack_in_json_that_the_collector_reads(embedded, pictures):
    version = embedded.datasets.add_files("pictures", pictures)
    blobs = embedded.home.objects
    manifest = read_manifest(blobs, version.manifest)
    content = blobs.read(version.manifest)
    assert content[:1] == b"{"
    assert len(content) < 4 << 20
    needed = {chunk.pack.hex() for entry in entries_of(blobs, manifest) for chunk in entry.chunks}
    needed |= {page.where.pack.hex() for page in manifest.pages}
    assert needed <= set(packs_of(blobs, manifest))
    assert all(pack.encode() in content for pack in needed)


def test_a_manifest_of_very_many_packs_names_them_in_further_documents(embedded):
    blobs = embedded.home.objects
    made = random.Random(5)
    with KnownChunksOf(embedded) as packer:
        entries = []
        for number in range(20_000):
            chunk = Chunk(made.randbytes(32), made.randbytes(32), 0, 1)
            entries.append(Entry(f"{number}", 1, chunk.digest, False, [chunk]))
        digest, manifest = write_manifest(blobs, packer, entries)
    assert blobs.size(digest) < 4 << 20
    assert len(manifest.more) == 2
    assert all(blobs.size(more) < 4 << 20 and blobs.read(more)[:1] == b"[" for more in manifest.more)
    assert {chunk.pack.hex() for entry in entries for chunk in entry.chunks} <= set(packs_of(blobs, manifest))
    assert len(entries_of(blobs, manifest)) == 20_000


def test_an_entry_may_be_a_file_or_a_folder_but_not_both(embedded):
    with KnownChunksOf(embedded) as packer:
        chunk = put(packer, b"x")
        both = [Entry(path, 1, chunk.digest, False, [chunk]) for path in ("a", "a/b")]
        with pytest.raises(Invalid, match="two things"):
            write_manifest(embedded.home.objects, packer, both)


def test_the_digest_of_several_chunks_is_no_digest_of_a_file():
    one, two = b"1" * 32, b"2" * 32
    assert digest_of([one]) == one
    assert len({digest_of([one, two]), digest_of([two, one]), digest_of([]), digest_of([digest_of([one, two])] * 2)}) == 4


def test_a_pattern_means_a_file_a_folder_or_what_it_matches():
    entries = [Entry(path, 0, b"", False, []) for path in ("a/b.png", "a/c/d.png", "ab", "e.png")]
    assert [each.path for each in choose(entries, ["a"])] == ["a/b.png", "a/c/d.png"]
    assert [each.path for each in choose(entries, ["*.png", "ab"])] == ["a/b.png", "a/c/d.png", "ab", "e.png"]
    assert [each.path for each in choose(entries, ["a/"])] == ["a/b.png", "a/c/d.png"]


def put(packer: Packer, content: bytes) -> Chunk:
    digest = packer.add(content)
    packer.flush()
    return packer.where(digest)


def record_of(version):
    from modelwright.datasets import DatasetRecord

    return DatasetRecord(**{name: getattr(version, name) for name in DatasetRecord.__struct_fields__})


class KnownChunksOf:
    """A packer into the objects of a workspace."""

    def __init__(self, embedded) -> None:
        self._packer = Packer(embedded.home.objects, KnownChunks(None))

    def __enter__(self) -> Packer:
        return self._packer.__enter__()

    def __exit__(self, *error: object) -> None:
        self._packer.__exit__(*error)


def test_a_status_after_an_add_or_a_checkout_needs_no_look_at_the_record(embedded, pictures, tmp_path):
    older(pictures)
    indexes = Indexes(folder_indexes(embedded.address))
    first = embedded.datasets.add_files("pictures", pictures)
    assert glance(indexes.load(pictures)) == embedded.datasets.status(pictures)
    embedded.datasets.checkout(first.ref, tmp_path / "out", ["cats"])
    assert glance(indexes.load(tmp_path / "out")) is None
    embedded.datasets.checkout(first.ref, tmp_path / "out")
    found = glance(indexes.load(tmp_path / "out"))
    assert found.clean
    assert found.same == 203


def test_a_status_does_not_undo_what_a_checkout_meanwhile_has_learned(embedded, tmp_path):
    out = tmp_path / "out"
    first = embedded.datasets.add_files("letters", fill(tmp_path / "one", {"a": b"1", "b": b"2"}))
    second = embedded.datasets.add_files("letters", fill(tmp_path / "two", {"a": b"1", "c": b"33"}))
    embedded.datasets.checkout(first.ref, out)

    class Others:
        """While a status is told, somebody checks another version out."""

        blobs, principal = embedded.caller.blobs, embedded.caller.principal

        def call(self, room, operation, arguments):
            if operation.name == "show":
                embedded.datasets.checkout(second.ref, out)
            return embedded.caller.call(room, operation, arguments)

    rooms = copy(embedded.datasets)
    rooms.caller = Others()
    assert rooms.status(out).ref == str(first.ref)
    standing = embedded.datasets.status(out)
    assert (standing.ref, standing.clean) == (str(second.ref), True)


def test_a_folder_that_is_as_it_was_is_answered_before_the_parser_is_loaded(embedded, pictures, capsys, monkeypatch):
    older(pictures)
    embedded.datasets.add_files("pictures", pictures)
    project = Path(embedded.address)
    (project / "modelwright.toml").touch()
    monkeypatch.chdir(project)
    assert quick.answered(["data", "status", str(pictures)])
    assert capsys.readouterr().out == f"{pictures} is dataset:pictures@1.\n"
    (pictures / "empty").write_bytes(b"1")
    assert not quick.answered(["data", "status", str(pictures)])  # what differs, the command says
    assert not quick.answered(["data", "status", "--verify"])
    assert capsys.readouterr().out == ""


def test_an_unchanged_folder_is_registered_without_its_entries_being_read(embedded, pictures):
    older(pictures)
    first = embedded.datasets.add_files("pictures", pictures)
    indexes, last = Indexes(folder_indexes(embedded.address)), Listing(str(first.ref), first.manifest)

    def added():
        return Here(embedded.datasets.blobs, pictures, indexes, None).add(
            last, verify=False, link=False, told=lambda done: None
        )

    assert added().same
    assert embedded.datasets.add_files("pictures", pictures).ref == first.ref
    (pictures / "cats/000.png").unlink()
    assert not added().same


def test_what_was_not_asked_for_in_a_checkout_is_not_missed(embedded, pictures, tmp_path):
    first = embedded.datasets.add_files("pictures", pictures).ref
    names = [each.path for each in embedded.datasets.files(first)]
    some, folder = names[0], tmp_path / "some"
    embedded.datasets.checkout(first, folder, [some])
    standing = embedded.datasets.status(folder)
    assert standing.clean and standing.beyond == len(names) - 1
    assert "as far as it was checked out" in standing.told
    assert len(embedded.datasets.status(folder, first).removed) == len(names) - 1
    embedded.datasets.checkout(first, folder, [names[1]])
    (folder / names[1]).unlink()
    standing = embedded.datasets.status(folder)
    assert (standing.removed, standing.beyond) == ([names[1]], len(names) - 2)
    embedded.datasets.checkout(first, folder)
    assert embedded.datasets.status(folder).told.endswith(f"is {first}.")
    (folder / some).unlink()
    embedded.datasets.checkout(first, folder, [names[1]])
    assert embedded.datasets.status(folder).removed == [some]  # all of it was here


def test_a_step_from_version_to_version_looks_only_at_what_differs(embedded, tmp_path):
    made, folder = random.Random(4), tmp_path / "steps"
    files = {f"{number % 7}/{number:03}": made.randbytes(30) for number in range(2000)}
    versions = []
    for step in range(6):
        if step:
            names = sorted(files)
            for name in made.sample(names, 4):
                files[name] = made.randbytes(30 + step)
            for name in made.sample(names, 3):
                del files[name]
            files[f"new/{step}"] = made.randbytes(9)
        if step == 3:  # a file becomes a folder
            files["0/now/a"] = b"a"
        elif step == 4:  # and back
            del files["0/now/a"]
            files["0/now"] = b"again"
        shutil.rmtree(folder, ignore_errors=True)
        fill(folder, files)
        (folder / "new" / "1").chmod(0o755 if step % 2 else 0o644) if step else None
        older(folder)
        versions.append((embedded.datasets.add_files("steps", folder).ref, dict(files), step % 2 == 1))
    order = [made.randrange(6) for _ in range(12)]
    for at in order:
        ref, wanted, executable = versions[at]
        step = Here(embedded.datasets.blobs, folder, embedded.datasets._indexes, None)._step(listing(embedded, ref))
        assert step is not None and len(step.after) < len(wanted)
        done = embedded.datasets.checkout(ref, folder)
        assert held(folder) == wanted and done.written + done.linked + done.cloned + done.kept == len(wanted)
        if at:
            assert bool((folder / "new" / "1").stat().st_mode & 0o100) is executable
        found = glance(embedded.datasets._indexes.load(folder))
        assert found is not None and found.clean and found.ref == str(ref) and found.same == len(wanted)
        assert embedded.datasets.status(folder, verify=True).clean
    known = {version.manifest for version in embedded.datasets.history("dataset:steps")}
    assert embedded.datasets.add_files("steps", folder).manifest in known


def test_a_folder_that_is_more_than_a_version_is_looked_at_whole(embedded, tmp_path):
    folder = tmp_path / "more"
    fill(folder, {f"{number}": b"%d" % number for number in range(9)})
    older(folder)
    one = embedded.datasets.add_files("more", folder).ref
    (folder / "3").write_bytes(b"three")
    two = embedded.datasets.add_files("more", folder).ref
    (folder / "mine").write_bytes(b"mine")
    assert Here(embedded.datasets.blobs, folder, embedded.datasets._indexes, None)._step(listing(embedded, one)) is None
    embedded.datasets.checkout(one, folder)
    assert (folder / "3").read_bytes() == b"3" and (folder / "mine").read_bytes() == b"mine"
    (folder / "mine").unlink()
    embedded.datasets.checkout(two, folder)
    (folder / "5").write_bytes(b"changed")
    with pytest.raises(Conflict, match="'5'"):
        embedded.datasets.checkout(one, folder)
    assert (folder / "5").read_bytes() == b"changed" and (folder / "3").read_bytes() == b"three"


def test_a_step_from_a_version_whose_manifest_is_lost_is_done_the_whole_way(embedded, tmp_path):
    folder = tmp_path / "lost"
    fill(folder, {"a": b"a", "b": b"b"})
    older(folder)
    one = embedded.datasets.add_files("lost", folder)
    (folder / "b").write_bytes(b"other")
    two = embedded.datasets.add_files("lost", folder)
    embedded.home.objects.delete(two.manifest)
    embedded.datasets.checkout(one.ref, folder)
    assert held(folder) == {"a": b"a", "b": b"b"}


def listing(embedded, ref):
    return Listing(str(ref), embedded.datasets.show(ref).manifest)
