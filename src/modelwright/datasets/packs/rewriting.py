"""Which bytes of packs manifests need, and a manifest anew without some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.datasets.chunks import Chunk, KnownChunks, Packer, read_chunk, read_chunks
from modelwright.datasets.manifest import (
    Entry,
    Manifest,
    PageOf,
    entries_of,
    packs_of,
    read_manifest,
    read_pages,
    write_manifest,
)

Place = tuple[int, int]  # start and size within a pack


class Needed(NamedTuple):
    """What of a pack is needed."""

    places: set[Place]
    manifests: set[str]

    @property
    def size(self) -> int:
        """Bytes; places do not overlap, since each is a chunk that was put there once."""
        return sum(size for _, size in self.places)


class Survey:
    """What manifests need of which packs. A page that several of them share is read once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._pages: dict[tuple[str, str], list[Chunk]] = {}
        self.needed: dict[bytes, Needed] = {}

    def add(self, digest: str) -> None:
        """Take a manifest into account; `Corrupt` or `NotFound` where it cannot be read."""
        manifest = read_manifest(self._blobs, digest)
        unread = [page for page in manifest.pages if _key(page) not in self._pages]
        for page in read_pages(self._blobs, manifest, unread):
            self._pages[_key(page.of)] = [page.of.where, *(chunk for entry in page.entries for chunk in entry.chunks)]
        for of in manifest.pages:
            for chunk in self._pages[_key(of)]:
                held = self.needed.setdefault(chunk.pack, Needed(set(), set()))
                held.places.add((chunk.start, chunk.size))
                held.manifests.add(digest)


def _key(page: PageOf) -> tuple[str, str]:
    return page.chunk[0], page.chunk[1]


class _Elsewhere(Packer):
    """A packer to which some packs are not there."""

    def __init__(self, blobs: Blobs, without: Collection[bytes]) -> None:
        super().__init__(blobs, KnownChunks(None))
        self._without = without

    def holds(self, chunks: Iterable[Chunk]) -> bool:
        """See `Packer.holds`."""
        wanted = list(chunks)
        return all(chunk.pack not in self._without for chunk in wanted) and super().holds(wanted)


def rewrite(blobs: Blobs, manifests: Iterable[str], without: Collection[bytes]) -> tuple[dict[str, str], int]:
    """Manifests that say the same and need nothing of some packs, by those that they replace; and the bytes stored for it.

    What lies in those packs and is needed is read, verified and stored in new ones, each chunk once.
    """
    made: dict[str, str] = {}
    with _Elsewhere(blobs, without) as packer:
        for digest in manifests:
            before = read_pages(blobs, read_manifest(blobs, digest))
            entries = [entry for page in before for entry in page.entries]
            leaving = {chunk.digest: chunk for entry in entries for chunk in entry.chunks if chunk.pack in without}
            ahead = sorted(
                (chunk for chunk in leaving.values() if not packer.has(chunk.digest)), key=lambda c: (c.pack, c.start)
            )
            for _, content in read_chunks(blobs, ahead):
                packer.add(content)
            packer.flush()
            moved = {each: packer.where(each) for each in leaving}
            made[digest], _ = write_manifest(blobs, packer, [_moved(entry, moved) for entry in entries], before=before)
    return made, packer.stored


def _moved(entry: Entry, moved: Mapping[bytes, Chunk]) -> Entry:
    if not any(chunk.digest in moved for chunk in entry.chunks):
        return entry
    chunks = [moved.get(chunk.digest, chunk) for chunk in entry.chunks]
    return Entry(entry.path, entry.size, entry.digest, entry.executable, chunks)


def check_same(blobs: Blobs, before: str, after: str, verified: set[Chunk]) -> set[str]:
    """The packs that only the second of two manifests needs.

    `Invalid` unless they say the same files, and every chunk that lies elsewhere now is there, byte for byte. `verified`
    are chunks that were read already; those that are read here are added.
    """
    old, new = read_manifest(blobs, before), read_manifest(blobs, after)
    if (old.count, old.bytes, old.content) != (new.count, new.bytes, new.content):
        raise Invalid(f"The manifest {after[:12]} does not say the same files as {before[:12]}.")
    further = _packs(blobs, new) - _packs(blobs, old)
    for pack in further:
        if not blobs.exists(pack):
            raise Invalid(f"The pack {pack[:12]} is not stored.", mend="Put it anew: mw gc.")
    for was, now in zip(entries_of(blobs, old), entries_of(blobs, new), strict=True):
        if was == now:
            continue
        if [(each.digest, each.size) for each in was.chunks] != [(each.digest, each.size) for each in now.chunks]:
            raise Invalid(f"{now.path!r} is of other chunks in the manifest {after[:12]} than in {before[:12]}.")
        for there, here in zip(was.chunks, now.chunks, strict=True):
            if here != there and here not in verified:
                read_chunk(blobs, here)
                verified.add(here)
    return further


def left_behind(blobs: Blobs, before: str, after: str) -> set[str]:
    """The objects that one manifest needs and the other does not, itself among them."""
    old, new = read_manifest(blobs, before), read_manifest(blobs, after)
    return ({before, *old.more} | _packs(blobs, old)) - ({after, *new.more} | _packs(blobs, new))


def _packs(blobs: Blobs, manifest: Manifest) -> set[str]:
    return set(packs_of(blobs, manifest))
