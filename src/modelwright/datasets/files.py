"""Versions of files at the caller's side: from a folder to a record, and how two versions differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.core.folders import Index
from modelwright.datasets.chunks import KnownChunks, Packer
from modelwright.datasets.manifest import Entry, Manifest, by_path, entries_of, write_manifest
from modelwright.datasets.records import DatasetDiff, DatasetRecord, DatasetVersion, FilesDiff, RowsDiff
from modelwright.datasets.trees import Told, store


def prepare_files(
    blobs: Blobs,
    root: Path,
    *,
    known: KnownChunks,
    index: Index,
    before: Sequence[Entry],
    verify: bool,
    told: Told,
) -> DatasetRecord:
    """Store what a folder (or a single file) holds and return the record that describes it."""
    by_digest = {entry.digest: entry for entry in before}
    with Packer(blobs, known) as packer:
        entries = store(root, packer, index, by_digest, verify=verify, told=told)
        digest, manifest = write_manifest(blobs, packer, entries)
    return DatasetRecord(
        bytes=manifest.bytes,
        files=manifest.count,
        manifest=digest,
        content=manifest.content,
        stored=packer.stored,
        source=f"{root.name}/" if root.is_dir() else root.name,
    )


def compare_files(blobs: Blobs, before: DatasetVersion, old: Manifest, after: DatasetVersion, new: Manifest) -> DatasetDiff:
    """Which files differ. Pages that both versions share are not read."""
    shared = {page.content for page in old.pages} & {page.content for page in new.pages}
    same = sum(page.count for page in new.pages if page.content in shared)
    earlier = by_path(entries_of(blobs, old, [page for page in old.pages if page.content not in shared]))
    later = by_path(entries_of(blobs, new, [page for page in new.pages if page.content not in shared]))
    added = {path: entry for path, entry in later.items() if path not in earlier}
    gone = {earlier[path].same: path for path in sorted(earlier, reverse=True) if path not in later}
    moved = {gone.pop(entry.same): path for path, entry in added.items() if entry.same in gone}
    changed = [path for path, entry in later.items() if path in earlier and entry.same != earlier[path].same]
    return DatasetDiff(
        before=before.ref,
        after=after.ref,
        rows_before=0,
        rows_after=0,
        rows=RowsDiff(by_key=False, added=0, removed=0, changed=0, same=0),
        files=FilesDiff(
            added=sorted(added.keys() - set(moved.values())),
            removed=sorted(path for path in earlier if path not in later and path not in moved),
            changed=sorted(changed),
            moved=dict(sorted(moved.items())),
            same=same + len(later) - len(added) - len(changed),
            bytes_before=before.bytes,
            bytes_after=after.bytes,
        ),
    )
