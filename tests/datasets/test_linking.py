"""Large files that the store takes over by link: what is shared and what it costs, and damage, which is noticed."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelwright.cli.entry import run
from modelwright.core.blobs import Adopting
from modelwright.core.errors import Conflict, Corrupt, Denied, Invalid
from modelwright.core.folders import Seen
from modelwright.core.principals import Principal
from modelwright.datasets import linking
from modelwright.datasets.linked import Linked
from modelwright.datasets.linking import STRETCH, WHOLE, hash_whole, is_whole
from modelwright.store import acting_as, backup
from modelwright.workspace import Settings, open_workspace

OLD = 10**18 + 1
FILM = random.Random(0).randbytes(WHOLE + STRETCH // 3)


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(OLD, OLD))
    return path


@pytest.fixture
def films(tmp_path) -> Path:
    written(tmp_path / "films/one.bin", FILM)
    written(tmp_path / "films/notes.txt", b"notes")
    return tmp_path / "films"


def linked(workspace, folder: Path, name: str = "films", **more):
    """A version with links, and what became of the files."""
    found: list[Linked] = []
    return workspace.datasets.add_files(name, folder, link=True, linked=found.append, **more), found[0]


def objects(embedded) -> list[Path]:
    return list(Path(embedded.home.objects.location).glob("??/*"))


def of(embedded, path: Path) -> Path:
    """The object that is the same file as the one of that path."""
    return next(each for each in objects(embedded) if each.samefile(path))


def by_link(embedded, folder: Path):
    """A version of which the one large file is a hard link, or this test is none here."""
    version, found = linked(embedded, folder)
    if found.cloned:
        pytest.skip("the file system shares blocks, so nothing is linked")
    assert found.linked == 1
    return version


def test_who_may_not_add_keeps_their_file_as_it_is(embedded, films):
    embedded.access.create_user("val")
    embedded.access.grant("val", "viewer")
    before = len(objects(embedded))
    with pytest.raises(Denied), acting_as(Principal(id="val")):
        linked(embedded, films)
    told = (films / "one.bin").stat()
    assert told.st_mode & stat.S_IWUSR and told.st_nlink == 1
    assert len(objects(embedded)) == before


def test_a_large_file_becomes_the_stores_without_a_copy(embedded, films, tmp_path):
    version, found = linked(embedded, films)
    assert (found.linked + found.cloned, found.copied, found.bytes) == (1, 0, len(FILM))
    assert version.bytes == len(FILM) + 5 and len(FILM) < version.stored < len(FILM) + 10_000
    if found.linked:
        assert of(embedded, films / "one.bin").name == hash_whole(str(films / "one.bin"))[0]
        assert (films / "one.bin").stat().st_mode & 0o222 == 0
    assert (films / "notes.txt").stat().st_mode & 0o200  # a small one is copied
    assert (films / "one.bin").stat().st_mtime_ns == OLD
    with embedded.datasets.open(version.ref, "one.bin") as film:
        film.seek(STRETCH - 5)
        assert film.read(10) == FILM[STRETCH - 5 : STRETCH + 5]
    embedded.datasets.checkout(version.ref, tmp_path / "out", copy=True)
    assert held(tmp_path / "out") == held(films)
    assert (tmp_path / "out/one.bin").stat().st_mode & 0o200
    standing = embedded.datasets.status(films)
    assert (standing.clean, standing.read) == (True, 0)
    assert embedded.datasets.status(films, verify=True).clean


def test_a_checkout_by_links_links_the_object_itself(embedded, films, tmp_path):
    version = by_link(embedded, films)
    for place in ("one", "two"):
        done = embedded.datasets.checkout(version.ref, tmp_path / place)
        assert done.linked == 1
        assert (tmp_path / place / "one.bin").samefile(films / "one.bin")
        assert embedded.datasets.status(tmp_path / place).read == 0
    assert held(tmp_path / "two") == held(films)


def test_a_file_that_may_be_executed_there_and_not_here_is_not_one_file(embedded, films, tmp_path):
    version = by_link(embedded, films)
    written(tmp_path / "other/run.bin", FILM).chmod(0o755)
    embedded.datasets.add_files("other", tmp_path / "other", link=True)
    embedded.datasets.checkout(version.ref, tmp_path / "out")
    embedded.datasets.checkout("dataset:other", tmp_path / "ran")
    assert not os.access(tmp_path / "out/one.bin", os.X_OK) and os.access(tmp_path / "ran/run.bin", os.X_OK)
    assert (tmp_path / "ran/run.bin").read_bytes() == (tmp_path / "out/one.bin").read_bytes() == FILM


def test_the_same_content_is_the_same_version_however_it_was_stored_first(embedded, films, tmp_path):
    first, _ = linked(embedded, films)
    assert embedded.datasets.add_files("films", films) == first
    assert embedded.datasets.add_files("films", films, verify=True) == first
    written(tmp_path / "copy/one.bin", FILM)
    written(tmp_path / "copy/notes.txt", b"notes")
    before = len(objects(embedded))
    assert embedded.datasets.add_files("films", tmp_path / "copy") == first
    cut = embedded.datasets.add_files("cut", tmp_path / "copy")
    assert cut.content != first.content  # nothing says that these are equal but their bytes
    again, found = linked(embedded, films, "cut", verify=True)
    assert again == cut and found == Linked()
    assert len(objects(embedded)) <= before + 3


def test_a_folder_that_was_cut_stands_rightly_to_a_version_of_links(embedded, films, tmp_path):
    version, _ = linked(embedded, films)
    written(tmp_path / "copy/one.bin", FILM)
    written(tmp_path / "copy/notes.txt", b"notes")
    embedded.datasets.add_files("cut", tmp_path / "copy")
    assert embedded.datasets.status(tmp_path / "copy", version.ref).clean
    assert embedded.datasets.checkout(version.ref, tmp_path / "copy").kept == 2
    assert embedded.datasets.status(films, "dataset:cut").clean
    changed = FILM[:-1] + b"!" if FILM[-1:] != b"!" else FILM[:-1] + b"?"
    written(tmp_path / "copy/one.bin", changed)
    for _ in range(2):  # read, and then known
        assert embedded.datasets.status(tmp_path / "copy").changed == ["one.bin"]


def test_a_later_version_costs_its_whole_size_and_the_one_before_stays(embedded, films, tmp_path):
    first, _ = linked(embedded, films)
    (films / "one.bin").unlink()  # as whoever works on it has to
    written(films / "one.bin", FILM + b"more")
    second, found = linked(embedded, films)
    assert second.stored >= len(FILM) and found.linked + found.cloned == 1
    for version, content in ((first, FILM), (second, FILM + b"more")):
        embedded.datasets.checkout(version.ref, tmp_path / f"out{version.ref.version}")
        assert (tmp_path / f"out{version.ref.version}/one.bin").read_bytes() == content


def test_who_forces_a_write_into_a_linked_file_is_told_which_and_what_to_do(embedded, films, tmp_path):
    version = by_link(embedded, films)
    embedded.datasets.checkout(version.ref, tmp_path / "before")
    (films / "one.bin").chmod(0o644)
    with (films / "one.bin").open("r+b") as file:
        file.seek(2 * STRETCH)
        file.write(b"something else")
    told = r"one\.bin is not as it was stored.*--link"
    for copy in (True, False):
        with pytest.raises(Corrupt, match=told) as error:
            embedded.datasets.checkout(version.ref, tmp_path / f"out{copy}", copy=copy)
        assert error.value.details["file"] == "one.bin" and "again with --link" in error.value.mend
    with embedded.datasets.open(version.ref, "one.bin") as film:
        assert film.read(STRETCH) == FILM[:STRETCH]  # which is as it was
        with pytest.raises(Corrupt, match=told):
            film.seek(2 * STRETCH)
            film.read(1)
    with pytest.raises(Corrupt, match=told):
        embedded.datasets.push(version.ref, tmp_path / "depot")
    assert embedded.datasets.status(films, verify=True).changed == ["one.bin"]
    with pytest.raises(Corrupt, match="a link to a file"):
        embedded.home.objects.verify(hash_of(embedded, version))
    (films / "one.bin").unlink()
    written(films / "one.bin", FILM)
    again, _ = linked(embedded, films)
    assert again == version
    (tmp_path / "again").mkdir()
    embedded.datasets.checkout(version.ref, tmp_path / "again")  # mended by the right file
    assert held(tmp_path / "again") == held(films)


def test_the_collector_lets_go_of_the_stores_name_and_not_of_the_users_file(embedded, films):
    version = by_link(embedded, films)
    assert embedded.storage.collect(grace=0.0).count == 0
    embedded.datasets.delete(version.ref)
    assert embedded.storage.collect(grace=86_400.0).count == 0  # the file is old, but what was made of it is not
    assert embedded.storage.collect(grace=0.0).size >= len(FILM)
    assert (films / "one.bin").read_bytes() == FILM and (films / "one.bin").stat().st_nlink == 1
    again, found = linked(embedded, films, verify=True)
    assert found.linked == 1
    (films / "one.bin").unlink()
    assert b"".join(embedded.home.objects.stream(hash_of(embedded, again))) == FILM  # which the store keeps, for its part


def hash_of(embedded, version) -> str:
    entry = next(each for each in embedded.datasets._entries(version) if each.path == "one.bin")
    assert is_whole(entry)
    return entry.chunks[0].pack.hex()


def test_an_object_that_was_taken_over_is_renewed_without_a_change_of_the_file(embedded, films):
    version = by_link(embedded, films)
    digest = hash_of(embedded, version)
    before = embedded.home.objects.stored(digest).at
    embedded.home.objects.renew(digest)
    assert embedded.home.objects.stored(digest).at >= before > OLD / 10**9
    assert (films / "one.bin").stat().st_mtime_ns == OLD
    assert {each.digest: each.at for each in embedded.home.objects.entries()}[digest] >= before


def test_it_travels_and_is_kept_in_backups(embedded, films, tmp_path):
    version, _ = linked(embedded, films)
    embedded.datasets.push(version.ref, tmp_path / "depot")
    with open_workspace(tmp_path / "other", settings=Settings()) as other:
        pulled = other.datasets.pull(version.ref, tmp_path / "depot").target
        other.datasets.checkout(pulled, tmp_path / "out", copy=True)
        assert held(tmp_path / "out") == held(films)
        assert other.datasets.show(pulled).digest == version.digest
    home, digest = embedded.home, hash_of(embedded, version)
    backup.save(home.database, home.objects, tmp_path / "keys", tmp_path / "backup", made_at=datetime.now(UTC))
    kept = tmp_path / "backup/objects" / digest[:2] / digest
    assert kept.read_bytes() == FILM and not kept.samefile(films / "one.bin")


def test_where_no_link_can_be_made_it_is_copied_and_told(workspace, films, tmp_path):
    """Behind a server there is none; in a workspace of this process there is."""
    version, found = linked(workspace, films)
    if not isinstance(workspace.datasets.blobs, Adopting):
        assert (found.copied, found.first, found.why) == (1, "one.bin", "the objects lie behind a server")
        assert (films / "one.bin").stat().st_mode & 0o200
    else:
        assert found.copied == 0
    workspace.datasets.checkout(version.ref, tmp_path / "out", copy=True)
    assert held(tmp_path / "out") == held(films)


def test_a_file_on_another_file_system_is_copied_and_told(embedded, tmp_path):
    here = tmp_path.stat().st_dev
    others = [place for place in map(Path, ("/var/tmp", "/dev/shm")) if place.is_dir() and place.stat().st_dev != here]
    if not others:
        pytest.skip("there is one file system only")
    with TemporaryDirectory(dir=others[0]) as place:
        film = written(Path(place) / "one.bin", FILM)
        version, found = linked(embedded, film)
        assert (found.copied, found.why) == (1, "it lies on another file system than the objects")
        assert film.stat().st_mode & 0o200
        assert embedded.datasets.add_files("films", film, verify=True) == version


def test_a_file_of_somebody_else_is_copied_and_told(embedded, films):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    os.chown(films / "one.bin", 12345, -1)
    _, found = linked(embedded, films)
    assert found.copied == 1 and found.why.startswith("it belongs to somebody else")


def test_what_changes_after_it_was_hashed_is_not_taken_over(embedded, films):
    seen = Seen.of((films / "one.bin").stat())
    digest, _ = hash_whole(str(films / "one.bin"))
    with (films / "one.bin").open("ab") as file:
        file.write(b"!")
    with pytest.raises(Conflict, match="changed while it was read"):
        embedded.home.objects.adopt(films / "one.bin", digest, seen)
    assert not embedded.home.objects.exists(digest)
    assert not list((Path(embedded.home.objects.location) / ".incoming").iterdir())


def test_what_is_fetched_or_made_of_rows_has_nothing_to_link(embedded, films):
    with pytest.raises(Invalid, match="nothing to link"):
        embedded.datasets.add_files("films", "s3://bucket/prefix/", link=True)


def test_the_command_says_what_was_linked_and_what_that_means(embedded, films, capsys):
    (embedded.home.project / "modelwright.toml").touch()
    where = ["-w", str(embedded.home.project)]
    assert run(["data", "add", "films", str(films), "--link", *where]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 file linked and read-only" in said or "1 file shared with the store" in said
    table = written(films / "table.csv", b"a,b\n1,2\n")
    assert run(["data", "add", "rows", str(table), "--link", *where]) == 2
    assert "--files" in capsys.readouterr().err
    assert run(["data", "add", "rows", str(table), "--link", "--files", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["linked"]["linked"] == 0  # it is small


def test_stretches_and_the_whole_are_hashed_as_if_one_after_the_other(tmp_path):
    from blake3 import blake3

    for size in (1, STRETCH - 1, STRETCH, linking._READ, 9 * linking._READ + STRETCH + 7):
        content = random.Random(size).randbytes(size)
        digest, found = hash_whole(str(written(tmp_path / "one", content)))
        assert digest == blake3(content).hexdigest()
        assert found == [blake3(content[at : at + STRETCH]).digest() for at in range(0, size, STRETCH)]


KILLED = """
import os, signal, sys
import modelwright
from modelwright.core.folders import Seen
from modelwright.core.principals import Principal
from modelwright.store.objects import Objects

keep, adopt, after = Objects._keep, Objects.adopt, sys.argv[3]

def dying_kept(self, partial, digest, size):
    if after == "linked":
        os.kill(os.getpid(), signal.SIGKILL)
    keep(self, partial, digest, size)

def dying(self, path, digest, seen):
    how = adopt(self, path, digest, seen)
    if after == "kept":
        os.kill(os.getpid(), signal.SIGKILL)
    return how

Objects._keep, Objects.adopt = dying_kept, dying
modelwright.connect(sys.argv[1]).datasets.add_files("films", sys.argv[2], link=True)
"""


@pytest.mark.parametrize("after", ["linked", "kept"])
def test_a_writer_that_is_killed_loses_nothing_and_leaves_nothing_that_is_not_found(embedded, films, tmp_path, after):
    (embedded.home.project / "modelwright.toml").touch()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(embedded.home.project), str(films), after], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = Path(embedded.home.objects.location) / ".incoming"
    if after == "linked":
        assert [each.stat().st_size for each in left.iterdir()] == [len(FILM)]
        assert embedded.home.objects.tidy(0.0) == 0  # it is young
        assert embedded.home.objects.tidy(OLD) == 1
    else:
        assert embedded.storage.collect(grace=0.0).count == 1
    assert not list(left.iterdir())
    assert held(films) == {"one.bin": FILM, "notes.txt": b"notes"}
    version, found = linked(embedded, films)
    assert (version.ref.version, found.copied) == (1, 0)
    embedded.datasets.checkout(version.ref, tmp_path / "out", copy=True)
    assert held(tmp_path / "out") == held(films)
