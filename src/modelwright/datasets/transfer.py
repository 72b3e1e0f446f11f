"""Versions from one place to another, with those they were made from: only the chunks that are missing there travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, NotFound
from modelwright.core.refs import LATEST, Kind, Ref
from modelwright.core.wire import decode
from modelwright.datasets.ancestry import ancestors
from modelwright.datasets.chunks import Chunk, KnownChunks, Packer, read_chunks
from modelwright.datasets.classes import Status, passed_on
from modelwright.datasets.lakes.access import refuse_in_place
from modelwright.datasets.linking import damaged
from modelwright.datasets.manifest import Entry, entries_of, read_manifest, write_manifest
from modelwright.datasets.records import DatasetRecord, DatasetVersion, Profile

Told = Callable[[float], None]


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a push or a pull."""

    source: Ref
    target: Ref  # the same version there
    versions: int = 0  # that were not there
    same: int = 0  # that were
    sent: int = 0  # bytes of chunks and manifests
    bytes: int = 0  # of the versions that were not there, whole


class Holder(Protocol):
    """Where versions of datasets are kept: a workspace, or a depot. `history` gives them all, newest first."""

    @property
    def register(self) -> Any: ...

    @property
    def blobs(self) -> Blobs: ...

    @property
    def address(self) -> str: ...

    def history(self, ref: Ref | str) -> Sequence[DatasetVersion]: ...


def transfer(
    source: Holder, target: Holder, ref: Ref, *, into: str, alone: bool, known: KnownChunks, told: Told
) -> Transfer:
    """Bring a version, and unless `alone` its ancestors, to another place; those that are there are told by their digests.

    `known` is what was learned of the chunks there: it may be empty, and then more is asked or sent. Each version is
    registered when all of it is there, so one that is listed is whole. Ancestors whose content was deleted stay behind.
    `Corrupt` where something arrived that is not what it was; `Gone` where the version's own content was deleted.
    """
    versions = {each.ref: each for each in source.history(ref)}
    wanted = _meant(list(versions.values()), ref).there
    parents = {each.ref: _parents(each) for each in versions.values()}
    chosen = {wanted.ref} if alone else ancestors(parents, wanted.ref)
    name = into or wanted.ref.name
    held = list(target.history(Ref(Kind.DATASET, name)))
    there = {each.digest: each for each in reversed(held) if each.tombstone is None}
    placed: dict[Ref, Ref] = {}
    met: set[str] = set()
    made = same = sent = total = done = 0
    going = [each for each in versions.values() if each.ref in chosen and each.tombstone is None]
    for version in sorted(going, key=lambda each: each.ref.version or 0):
        found = there.get(version.digest)
        if found is not None:
            placed[version.ref] = found.ref
            same += 1
            continue
        for near in [there[versions[each].digest] for each in _parents(version) if each in placed] or held[:1]:
            if near.manifest is not None and not near.masks and near.manifest not in met:
                met.add(near.manifest)
                entries = entries_of(target.blobs, read_manifest(target.blobs, near.manifest))
                known.meet(chunk for entry in entries for chunk in entry.chunks)

        def tell(count: int, before: int = done) -> None:
            told(before + count)

        refuse_in_place(version, "only what is stored here travels")
        record, stored = _bring(source.blobs, target.blobs, version, known, tell)
        told_of = {(each.column, each.tag) for each in record.findings}
        decided = [each for each in version.classes if each.status is Status.CONFIRMED]
        more = [each for each in passed_on(decided, str(version.ref)) if (each.column, each.tag) not in told_of]
        record = replace(
            record,
            findings=[*record.findings, *more],
            parent=_nearest(version.parent, versions, placed),
            merged=placed.get(version.merged) if version.merged else None,
        )
        arrived = target.register(
            name,
            record=record,
            description=version.description,
            tags=version.tags,
            reason=f"brought from {source.address or 'another workspace'}, where it is {version.ref}",
        )
        if arrived.digest != version.digest:
            raise Corrupt(f"{version.ref} arrived as {arrived.ref} with another digest.", mend="Retire it, and try again.")
        placed[version.ref] = there.setdefault(arrived.digest, arrived).ref
        made, sent, total, done = made + 1, sent + stored, total + version.bytes, done + version.bytes
    return Transfer(source=wanted.ref, target=placed[wanted.ref], versions=made, same=same, sent=sent, bytes=total)


def _nearest(ref: Ref | None, versions: Mapping[Ref, DatasetVersion], placed: Mapping[Ref, Ref]) -> Ref | None:
    """What the nearest of the ancestors is there: some may be gone where they were, and leave only a tombstone."""
    while ref is not None and ref not in placed:
        ref = versions[ref].parent if ref in versions else None
    return None if ref is None else placed[ref]


def _bring(
    source: Blobs, target: Blobs, version: DatasetVersion, known: KnownChunks, told: Callable[[int], None]
) -> tuple[DatasetRecord, int]:
    """Store what a version consists of in another place; the record of it there, and the bytes that had to be stored."""
    record = version.as_added
    if version.profile is not None and not target.exists(version.profile):
        profile = source.read(version.profile)
        for segment in decode(profile, Profile).segments:
            if not target.exists(segment.sketch):
                target.put(source.read(segment.sketch))
        target.put(profile)
    if version.manifest is None:
        fresh = [part for part in version.parts if not target.exists(part.digest)]
        for part in fresh:
            target.put(source.stream(part.digest))
        return record, sum(part.bytes for part in fresh)
    entries = entries_of(source, read_manifest(source, version.manifest))
    done = sum(entry.size for entry in entries)
    with Packer(target, known) as packer:
        missing = {chunk.digest: chunk for entry in entries for chunk in entry.chunks if not packer.has(chunk.digest)}
        done -= sum(chunk.size for chunk in missing.values())
        ordered = sorted(missing.values(), key=lambda chunk: (chunk.pack, chunk.start))
        try:
            for chunk, content in read_chunks(source, ordered):
                packer.add(content)
                done += chunk.size
                told(done)
        except Corrupt as error:
            raise damaged(source, entries, error) from None
        packer.flush()
        manifest, _ = write_manifest(target, packer, [_placed(entry, packer) for entry in entries])
    return replace(record, manifest=manifest, stored=packer.stored), packer.stored


def _placed(entry: Entry, packer: Packer) -> Entry:
    chunks: list[Chunk] = [packer.where(chunk.digest) for chunk in entry.chunks]
    return Entry(entry.path, entry.size, entry.digest, entry.executable, chunks)


def _parents(version: DatasetVersion) -> list[Ref]:
    return [ref for ref in (version.parent, version.merged) if ref is not None]


def _meant(versions: Sequence[DatasetVersion], ref: Ref) -> DatasetVersion:
    """The version that a ref stands for, among all of its dataset, newest first."""
    by_alias: Mapping[str | None, DatasetVersion] = {alias: each for each in versions for alias in each.aliases}
    for each in versions:
        if ref.selector is None or ref.alias == LATEST or ref.version == each.ref.version:
            return each
        if ref.digest is not None and each.digest.startswith(ref.digest):
            return each
    if ref.alias in by_alias:
        return by_alias[ref.alias]
    known = ", ".join(f"@{each.ref.version}" for each in versions[:5])
    raise NotFound(
        f"There is no {ref} there.",
        mend=f"The newest that are there: {known}." if versions else "See whether name and place are right.",
    )
