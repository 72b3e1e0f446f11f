"""The next version of a folder from what differs in it: what looking at everything would give, for less."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from modelwright.core.folders import Indexes, changes, scan
from modelwright.datasets.chunks import KnownChunks, read_chunks
from modelwright.datasets.cutting import LEAST
from modelwright.datasets.folderwork import Here, Listing
from modelwright.datasets.manifest import entries_of, packs_of, read_manifest
from modelwright.datasets.revising import revise
from modelwright.store.objects import Objects


class Kept:
    """A folder, where it is stored, and its newest version."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root, self.place = root, place
        self.objects = Objects.open(place / "objects")
        self.number, self.newest = 0, None

    def here(self) -> Here:
        return Here(self.objects, self.root, Indexes(self.place / "indexes"), self.place / "shared")

    def add(self) -> Listing:
        work = self.here()
        added = work.add(self.newest, verify=False, link=False, told=lambda done: None)
        if added.same:
            return self.newest
        self.number += 1
        self.newest = Listing(f"dataset:x@{self.number}", added.manifest)
        work.remember(self.newest)
        return self.newest

    def revised(self):
        """What `revise` makes of the folder as it is, from the index; nothing is remembered."""
        index = Indexes(self.place / "indexes").load(self.root)
        assert index.holds(self.newest.ref, self.newest.manifest)
        found = scan(self.root)
        with closing(KnownChunks(self.place / "shared" / "chunks.db")) as known:
            return revise(
                self.objects,
                self.root,
                known=known,
                index=index,
                found=found,
                differs=changes(index, found),
                before=read_manifest(self.objects, self.newest.manifest),
                link=False,
                told=lambda done: None,
            )

    def read(self, version: Listing) -> dict[str, tuple[bytes, bool]]:
        entries = entries_of(self.objects, read_manifest(self.objects, version.manifest))
        contents = {
            entry.path: b"".join(content for _, content in read_chunks(self.objects, entry.chunks)) for entry in entries
        }
        return {entry.path: (contents[entry.path], entry.executable) for entry in entries}

    def needed(self, version: Listing) -> set[str]:
        """The packs that a version needs, by its pages and entries."""
        manifest = read_manifest(self.objects, version.manifest)
        chunks = [chunk for entry in entries_of(self.objects, manifest) for chunk in entry.chunks]
        return {chunk.pack.hex() for chunk in chunks} | {page.chunk[1] for page in manifest.pages}


def write(path: Path, content: bytes) -> None:
    """As if it had been written some time ago, at a time of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    write.clock += 1_000_000_001
    os.utime(path, ns=(write.clock, write.clock))


write.clock = 10**18 + 1


@pytest.fixture
def kept(tmp_path) -> Kept:
    drawn = random.Random(3)
    for number in range(700):
        write(tmp_path / "root" / f"{number % 7}" / f"{number:04}.bin", drawn.randbytes(300))
    kept = Kept(tmp_path / "root", tmp_path)
    kept.add()
    return kept


def disturb(kept: Kept, drawn: random.Random) -> None:
    """Change some files in one of the ways in which people do."""
    paths = sorted(path for path in kept.root.rglob("*") if path.is_file())
    chosen = drawn.sample(paths, 5)
    match drawn.randrange(7):
        case 0:
            for path in chosen:
                write(path, drawn.randbytes(drawn.randrange(400)))
        case 1:
            for path in chosen:
                path.unlink()
        case 2:
            for path in chosen:
                write(path.with_name(f"{drawn.random()}.bin"), drawn.randbytes(200))
        case 3:
            for path in chosen:
                path.rename(path.with_name(f"moved {drawn.random()}.bin"))
        case 4:
            for path, other in zip(chosen, drawn.sample(paths, 5), strict=True):
                write(path.with_name(f"copy of {path.name}"), other.read_bytes())
        case 5:
            for path in chosen:
                path.chmod(0o755 if drawn.random() < 0.5 else 0o644)
        case _:
            folder = kept.root / f"new {drawn.randrange(5)}"
            for number in range(drawn.randrange(60)):
                write(folder / f"{number}.bin", b"" if number % 9 == 0 else drawn.randbytes(50))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(each, marks=pytest.mark.thorough) for each in range(2, 9))])
def test_it_is_what_looking_at_everything_gives(kept, seed):
    drawn = random.Random(seed)
    for _ in range(15):
        disturb(kept, drawn)
        made = kept.revised()
        assert made is not None
        version = kept.add()
        whole = Here(kept.objects, kept.root, Indexes(None), None).add(
            version, verify=True, link=False, told=lambda done: None
        )
        manifest = read_manifest(kept.objects, version.manifest)
        assert made.manifest.content == manifest.content
        assert (whole.content, whole.files, whole.bytes) == (manifest.content, manifest.count, manifest.bytes)
        assert [(page.count, page.content) for page in read_manifest(kept.objects, whole.manifest).pages] == [
            (page.count, page.content) for page in manifest.pages
        ]
        assert kept.read(version) == {
            str(path.relative_to(kept.root)): (path.read_bytes(), os.access(path, os.X_OK))
            for path in kept.root.rglob("*")
            if path.is_file()
        }
        assert set(packs_of(kept.objects, manifest)) == kept.needed(version)


def test_pages_without_a_change_are_taken_over_unread(kept):
    write(kept.root / "3" / "0003.bin", b"other")
    before = read_manifest(kept.objects, kept.newest.manifest)
    made = kept.revised()
    shared = {page.chunk for page in made.manifest.pages} & {page.chunk for page in before.pages}
    assert len(shared) == len(before.pages) - 1
    where = {page.chunk[1] for page in before.pages}
    for pack in where:  # nobody but a reader of those pages would see it
        path = kept.place / "objects" / pack[:2] / pack
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        for page in before.pages:
            if page.chunk[1] == pack and page.chunk in shared:
                content[page.chunk[2] : page.chunk[2] + page.chunk[3]] = bytes(page.chunk[3])
        path.write_bytes(content)
    assert kept.revised().manifest.content == made.manifest.content


def test_content_under_another_path_is_not_stored_again(kept):
    (kept.place / "shared" / "chunks.db").unlink()  # only the version knows where it lies
    content = (kept.root / "5" / "0005.bin").read_bytes()
    (kept.root / "5" / "0005.bin").unlink()
    write(kept.root / "0" / "moved.bin", content)
    before = {entry.path: entry for entry in entries_of(kept.objects, read_manifest(kept.objects, kept.newest.manifest))}
    after = {entry.path: entry for entry in entries_of(kept.objects, kept.revised().manifest)}
    assert after["0/moved.bin"].chunks == before["5/0005.bin"].chunks


def test_all_is_looked_at_where_a_file_is_cut_or_something_is_missing(kept):
    write(kept.root / "large.bin", os.urandom(LEAST + 1))
    assert kept.revised() is None
    kept.add()
    write(kept.root / "3" / "0003.bin", b"other")
    assert kept.revised() is not None
    manifest = read_manifest(kept.objects, kept.newest.manifest)
    for pack in {page.chunk[1] for page in manifest.pages}:
        kept.objects.delete(pack)
    assert kept.revised() is None
    kept.newest = None  # what its manifest named is gone, and the folder has it all
    assert kept.read(kept.add())["3/0003.bin"] == (b"other", False)


def test_an_index_of_another_version_under_the_same_name_is_not_believed(kept):
    index = Indexes(kept.place / "indexes").load(kept.root)
    assert index.holds(kept.newest.ref, kept.newest.manifest)
    assert not index.holds(kept.newest.ref, "0" * 64)
    assert not index.holds("dataset:x@9", kept.newest.manifest)
