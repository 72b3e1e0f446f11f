"""A folder that was a version, and differs from it in some small files: the next version, from what differs.

What the others are is known from the folder's index, and how the version lists them is taken over page by page. Only pages
on which something changed are read, and those of content that has turned up under another path. The manifest is the one
that looking at everything would give.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, NotFound
from modelwright.core.folders import Changes, Index, Remembered, Seen
from modelwright.datasets.chunks import Chunk, KnownChunks, Packer
from modelwright.datasets.cutting import LEAST
from modelwright.datasets.files import Prepared
from modelwright.datasets.linked import Linked
from modelwright.datasets.manifest import Entry, Fresh, Kept, Manifest, add_page, cut, put_manifest, read_pages
from modelwright.datasets.trees import Told, taken


def revise(
    blobs: Blobs,
    root: Path,
    *,
    known: KnownChunks,
    index: Index,
    found: Mapping[str, Seen],
    differs: Changes,
    before: Manifest,
    link: bool,
    told: Told,
) -> Prepared | None:
    """Store what differs in a folder from a version that its index holds whole; the index is brought up to date, not saved.

    None, and the index is as it was, where all has to be looked at: a file is cut into several chunks, which others may
    have too, or the version is not, or not listed, as is supposed here.
    """
    if before.more or not all(page.packs for page in before.pages) or len(index.put) != before.count:
        return None
    if any(found[path].size > LEAST for path in differs.unsure) or len(found) == 0 or not root.is_dir():
        return None
    try:
        listed = _Listed(blobs, before, index.put)
        paths = sorted(found) if differs.gone or len(found) != len(listed.paths) else listed.paths
        size = sum(seen.size for seen in found.values())
        done = size - sum(found[path].size for path in differs.unsure)
        known.ask(listed.chunk)
        fresh: dict[str, tuple[list[bytes], Remembered]] = {}
        with Packer(blobs, known) as packer:
            for path in sorted(differs.unsure):
                fresh[path] = taken(packer, f"{root}{os.sep}{path}", found[path])
                done += found[path].size
                told(done)
            packer.flush()
            entries = {path: _entry(path, *each, packer) for path, each in fresh.items()}
            digest, manifest = put_manifest(blobs, packer, _pages(packer, paths, entries, differs, listed), size=size)
    except (NotFound, Corrupt):  # what is missing there may be in the folder
        return None
    index.files = {path: fresh[path][1] if path in fresh else index.files[path] for path in found}
    index.put = {path: entries[path].digest if path in entries else index.put[path] for path in paths}
    index.executable = [path for path in paths if found[path].executable]
    return Prepared(digest, manifest, packer.stored, Linked() if link else None)


def _entry(path: str, digests: Sequence[bytes], as_read: Remembered, packer: Packer) -> Entry:
    """The entry of a file that was read, and is stored."""
    chunks = [packer.where(each) for each in digests]
    return Entry(path, as_read.seen.size, as_read.digest, as_read.seen.executable, chunks)


def _pages(
    packer: Packer, paths: Sequence[str], entries: Mapping[str, Entry], differs: Changes, listed: _Listed
) -> list[Kept | Fresh]:
    """The pages of the version: those of the one before where nothing changed, and others."""
    changed = {listed.page(path) for path in [*entries, *differs.gone] if path in listed.put}

    def same(start: int, end: int, number: int) -> bool:
        return number not in changed and paths[start:end] == listed.on(number)

    spans = list(cut(paths, [(listed.on(number)[0], page.count) for number, page in enumerate(listed.of.pages)], same))
    listed.read(
        each for start, end, number in spans if number is None for each in listed.between(paths[start], paths[end - 1])
    )
    packs = [bytes.fromhex(pack) for pack in listed.of.packs]
    pages: list[Kept | Fresh] = []
    for start, end, number in spans:
        if number is None:
            on = [entries.get(path) or listed.entries[path] for path in paths[start:end]]
            pages.append(add_page(packer, on))
        else:
            of = listed.of.pages[number]
            pages.append(Kept(of, [packs[pack] for pack in of.packs]))
    return pages


class _Listed:
    """The entries of a version, whose paths and digests are known, page by page as they are asked for."""

    def __init__(self, blobs: Blobs, of: Manifest, put: Mapping[str, bytes]) -> None:
        self.of = of
        self.put = put
        self.paths = sorted(put)
        self._blobs = blobs
        self._starts = list(accumulate((page.count for page in of.pages), initial=0))
        self._path_of = {digest: path for path, digest in put.items()}
        self.entries: dict[str, Entry] = {}  # of pages that were read
        self._there: set[int] = set()
        if self._starts[-1] != len(self.paths):
            raise Corrupt("The pages of a manifest have not as many entries as it says.")

    def on(self, number: int) -> Sequence[str]:
        """The paths on a page."""
        return self.paths[self._starts[number] : self._starts[number + 1]]

    def page(self, path: str) -> int:
        """The number of the page that a path is on."""
        return self.between(path, path)[0]

    def between(self, first: str, last: str) -> Sequence[int]:
        """The numbers of the pages with paths from the first to the last."""
        begin, end = bisect_left(self.paths, first), bisect_right(self.paths, last)
        if begin == end:
            return []
        return range(bisect_right(self._starts, begin) - 1, bisect_right(self._starts, end - 1))

    def read(self, numbers: Iterable[int]) -> None:
        """Read some pages, in one go."""
        wanted = sorted(set(numbers) - self._there)
        pages = read_pages(self._blobs, self.of, [self.of.pages[number] for number in wanted])
        for number, page in zip(wanted, pages, strict=True):
            said = [(entry.path, entry.digest) for entry in page.entries]
            if said != [(path, self.put[path]) for path in self.on(number)]:
                raise Corrupt("A page of a manifest lists other files than the version has.")
            self.entries.update({entry.path: entry for entry in page.entries})
        self._there.update(wanted)

    def chunk(self, digest: bytes) -> Chunk | None:
        """Where content lies that a file of one chunk has."""
        path = self._path_of.get(digest)
        if path is None:
            return None
        with suppress(NotFound, Corrupt):  # then it is stored anew
            self.read([self.page(path)])
            return next(iter(self.entries[path].chunks), None)
        return None
