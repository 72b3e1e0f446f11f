"""Versions of files at the caller's side: from a folder to a record, and how two versions differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt
from modelwright.core.folders import Index, Seen
from modelwright.datasets.chunks import KnownChunks, Packer, digest_of
from modelwright.datasets.linked import Linked
from modelwright.datasets.linking import Linking
from modelwright.datasets.manifest import (
    Entry,
    Manifest,
    Page,
    by_path,
    differing,
    write_manifest,
)
from modelwright.datasets.trees import Told, content, store

if TYPE_CHECKING:
    from modelwright.datasets.records import DatasetDiff, DatasetRecord, DatasetVersion


class Prepared(NamedTuple):
    """The manifest of files that are stored, the bytes that were for it, and what was linked."""

    digest: str
    manifest: Manifest
    stored: int
    linked: Linked | None


def prepare_files(
    blobs: Blobs,
    root: Path,
    *,
    known: KnownChunks,
    index: Index,
    found: Mapping[str, Seen],
    before: Sequence[Page],
    verify: bool,
    link: bool,
    told: Told,
) -> Prepared:
    """Store what a folder (or a single file) holds, as it was `found`; with `link` large files are taken over."""
    linking = Linking(blobs) if link else None
    with Packer(blobs, known) as packer:
        entries = store(root, packer, index, before, found=found, verify=verify, linking=linking, told=told)
        digest, manifest = write_manifest(blobs, packer, entries, before=before)
    linked = linking.done if linking is not None else None
    return Prepared(digest, manifest, packer.stored + (linked.bytes if linked else 0), linked)


def prepare_listed(
    blobs: Blobs, files: Mapping[str, Path], *, known: KnownChunks, md5: Mapping[str, str], source: str
) -> DatasetRecord:
    """Store files that lie anywhere, each under its path in the version, and return the record that describes them.

    `md5` says what some of them must be; `Corrupt` names one that is not.
    """
    from modelwright.datasets.records import DatasetRecord

    with Packer(blobs, known) as packer:
        stored = {path: _listed(file, packer, path, md5.get(path)) for path, file in files.items()}
        packer.flush()
        entries = []
        for path, digests in stored.items():
            chunks = [packer.where(digest) for digest in digests]
            entries.append(Entry(path, sum(chunk.size for chunk in chunks), digest_of(digests), False, chunks))
        digest, manifest = write_manifest(blobs, packer, entries)
    return DatasetRecord(
        bytes=manifest.bytes,
        files=manifest.count,
        manifest=digest,
        content=manifest.content,
        stored=packer.stored,
        source=source,
    )


def _listed(file: Path, packer: Packer, path: str, md5: str | None) -> list[bytes]:
    import hashlib

    found = hashlib.md5(usedforsecurity=False)
    digests = []
    for piece in content(str(file), Seen.of(file.stat())):
        found.update(piece)
        digests.append(packer.add(piece))
    if md5 is not None and found.hexdigest() != md5:
        raise Corrupt(f"{path} should have the MD5 {md5}, and {file} has {found.hexdigest()}.", mend="Fetch it again.")
    return digests


def compare_files(blobs: Blobs, before: DatasetVersion, old: Manifest, after: DatasetVersion, new: Manifest) -> DatasetDiff:
    """Which files differ. Pages that both versions share are not read."""
    from modelwright.datasets.records import DatasetDiff, FilesDiff, RowsDiff

    was, now = differing(blobs, old, new)
    earlier, later = by_path(was), by_path(now)
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
            same=new.count - len(added) - len(changed),
            bytes_before=before.bytes,
            bytes_after=after.bytes,
        ),
    )
