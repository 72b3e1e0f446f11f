"""Three versions of a folder into one: file by file, by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from modelwright.core.blobs import Blobs
from modelwright.datasets.chunks import KnownChunks, Packer
from modelwright.datasets.manifest import Entry, by_path, write_manifest
from modelwright.datasets.records import DatasetRecord, MergeConflict


class MergedFiles:
    """The files of both sides, where `base` is what they came from. No content is read."""

    def __init__(self, base: Sequence[Entry], ours: Sequence[Entry], theirs: Sequence[Entry], *, settle: str) -> None:
        self.conflicts: list[MergeConflict] = []
        sides = by_path(base), by_path(ours), by_path(theirs)
        taken: dict[str, Entry] = {}
        for path in sorted(set().union(*sides)):
            found = self._taken(path, *(side.get(path) for side in sides), settle=settle)
            if found is not None:
                taken[path] = found
        self._part(taken, sides[1], settle)
        self.entries: list[Entry] = list(taken.values())
        self.added = len(taken.keys() - sides[1].keys())
        self.removed = len(sides[1].keys() - taken.keys())
        self.changed = sum(not _same(taken[path], sides[1][path]) for path in taken.keys() & sides[1].keys())

    def _taken(
        self, path: str, base: Entry | None, ours: Entry | None, theirs: Entry | None, *, settle: str
    ) -> Entry | None:
        if _same(ours, base):
            return theirs
        if not _same(theirs, base) and not _same(theirs, ours):
            self.conflicts.append(_conflict(path, base, ours, theirs))
            return theirs if settle == "theirs" else ours
        return ours

    def _part(self, taken: dict[str, Entry], ours: Mapping[str, Entry], settle: str) -> None:
        """What is a file on one side and a folder on the other is a conflict; one of them goes."""
        clashes: dict[str, list[str]] = {}
        for path in taken:
            for parent in PurePosixPath(path).parents:
                if str(parent) in taken:
                    clashes.setdefault(str(parent), []).append(path)
        for file, below in clashes.items():
            own = file in ours
            self.conflicts.append(
                MergeConflict(
                    what="a file in ours, a folder in theirs" if own else "a folder in ours, a file in theirs",
                    path=file,
                    ours=ours[file].digest.hex() if own else None,
                    theirs=None if own else taken[file].digest.hex(),
                )
            )
            for path in below if own == (settle != "theirs") else [file]:
                taken.pop(path, None)

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
