"""Three versions of a folder into one: file by file, by path."""

from __future__ import annotations

from collections.abc import Sequence

from modelwright.core.blobs import Blobs
from modelwright.datasets.chunks import KnownChunks, Packer
from modelwright.datasets.manifest import Entry, by_path, write_manifest
from modelwright.datasets.records import DatasetRecord, MergeConflict


class MergedFiles:
    """The files of both sides, where `base` is what they came from. No content is read."""

    def __init__(self, base: Sequence[Entry], ours: Sequence[Entry], theirs: Sequence[Entry], *, settle: str) -> None:
        self.added = self.removed = self.changed = 0
        self.conflicts: list[MergeConflict] = []
        self.entries: list[Entry] = []
        sides = by_path(base), by_path(ours), by_path(theirs)
        for path in sorted(set().union(*sides)):
            self._take(path, *(side.get(path) for side in sides), settle=settle)

    def _take(self, path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None, *, settle: str) -> None:
        taken = ours
        if _same(ours, base):
            taken = theirs
        elif not _same(theirs, base) and not _same(theirs, ours):
            self.conflicts.append(_conflict(path, base, ours, theirs))
            taken = theirs if settle == "theirs" else ours
        if taken is not None:
            self.entries.append(taken)
        if not _same(taken, ours):
            self.added += ours is None
            self.removed += taken is None
            self.changed += ours is not None and taken is not None

    def record(self, blobs: Blobs, known: KnownChunks, source: str) -> DatasetRecord:
        """Store the manifest and say what the version is."""
        with Packer(blobs, known) as packer:
            digest, manifest = write_manifest(blobs, packer, self.entries)
        return DatasetRecord(
            bytes=manifest.bytes,
            files=manifest.count,
            manifest=digest,
            content=manifest.content,
            stored=packer.stored,
            source=source,
        )


def _same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same == other.same


def _conflict(path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None) -> MergeConflict:
    what = "changed in both" if base else "added in both"
    if ours is None:
        what = "removed in ours, changed in theirs"
    if theirs is None:
        what = "changed in ours, removed in theirs"
    was, one, other = (None if each is None else each.digest.hex() for each in (base, ours, theirs))
    return MergeConflict(what=what, path=path, base=was, ours=one, theirs=other)
