"""What lies under a prefix of a bucket, as the source of a version; what was read before is told by its size and ETag."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.folders import Seen, check_path
from modelwright.core.hashing import digest_bytes
from modelwright.datasets.chunks import KnownChunks, Packer, digest_of
from modelwright.datasets.manifest import Entry, write_manifest
from modelwright.datasets.records import DatasetRecord
from modelwright.datasets.trees import Told, content
from modelwright.store.buckets import S3Settings, unreachable
from modelwright.store.objects import open_store

SCHEME: Final = "s3://"
_PIECE: Final = 8 << 20


class Listed(msgspec.Struct, frozen=True):
    """An object of a bucket: its path below the prefix, its bytes, its ETag."""

    path: str
    size: int
    mark: str


class Prefix:
    """The objects below `s3://bucket/prefix/`."""

    def __init__(self, address: str, s3: S3Settings) -> None:
        self.address = f"{address.rstrip('/')}/"
        self._store = open_store(self.address, s3)

    def listed(self) -> list[Listed]:
        """All of them, by their paths; `Invalid` where there is none, or one whose path no folder could have."""
        import obstore

        with self._reached():
            found = [
                Listed(each["path"], each["size"], str(each["e_tag"]))
                for page in obstore.list(self._store, chunk_size=1000)
                for each in page
                if each["path"] and not each["path"].endswith("/")
            ]
        if not found:
            raise Invalid(f"There is nothing at {self.address}.", mend="Name a prefix that has objects below it.")
        for each in found:
            check_path(each.path)
        return sorted(found, key=lambda each: each.path)

    def fetch(self, listed: Listed, target: Path) -> Path:
        """Write an object to a file, as it was listed; `Conflict` where it was changed since."""
        import obstore
        from obstore.exceptions import PreconditionError

        with self._reached():
            try:
                answer = obstore.get(self._store, listed.path, options={"if_match": listed.mark})
                with target.open("wb") as file:
                    for piece in answer.stream(min_chunk_size=_PIECE):
                        file.write(piece)
            except (PreconditionError, FileNotFoundError):
                raise Conflict(
                    f"{self.address}{listed.path} changed while it was read.", mend="Try again when nothing writes there."
                ) from None
        if target.stat().st_size != listed.size:
            raise Conflict(
                f"{self.address}{listed.path} came with other than its {listed.size:,} bytes.", mend="Try again."
            )
        return target

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise unreachable(self.address, error) from None


class Memory:
    """Which object had which content when it was read last: a cache in a file, or nothing where there is no place.

    What rows were made of it depends on how it was read (types, separators, what stands for a missing value): each `manner`
    has a memory of its own.
    """

    def __init__(self, place: Path | None, address: str, manner: str = "") -> None:
        named = f"{address}\n{manner}" if manner else address
        self._path = place and place / f"prefix-{digest_bytes(named.encode())[:32]}"
        self._held: dict[str, tuple[Listed, bytes]] = {}
        if self._path is not None:
            try:
                self._held = msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, tuple[Listed, bytes]])
            except (OSError, msgspec.MsgspecError):
                self._held = {}

    def digest(self, listed: Listed) -> bytes | None:
        """The digest of its content, if it is as it was."""
        held = self._held.get(listed.path)
        return held[1] if held is not None and held[0] == listed else None

    def keep(self, found: Mapping[Listed, bytes]) -> None:
        """Remember what was read, and nothing else."""
        self._held = {listed.path: (listed, digest) for listed, digest in found.items()}
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.urandom(6).hex()}")  # others may add the same prefix at this time
            try:
                partial.write_bytes(msgspec.msgpack.encode(self._held))
                partial.replace(self._path)
            finally:
                partial.unlink(missing_ok=True)


def prepare_prefix(
    blobs: Blobs,
    prefix: Prefix,
    memory: Memory,
    *,
    known: KnownChunks,
    before: Sequence[Entry],
    verify: bool,
    told: Told,
) -> DatasetRecord:
    """Store what lies under a prefix as files, and return the record; what is as it was is not fetched, unless `verify`."""
    by_digest = {entry.digest: entry for entry in before}
    ready: dict[Listed, Entry] = {}
    ahead: dict[Listed, list[bytes]] = {}
    done = 0
    with tempfile.TemporaryDirectory(prefix="modelwright-fetch-") as folder, Packer(blobs, known) as packer:
        for listed in prefix.listed():
            entry = None if verify else by_digest.get(memory.digest(listed) or b"")
            if entry is not None and all(packer.has(chunk.digest) for chunk in entry.chunks):
                chunks = [packer.where(chunk.digest) for chunk in entry.chunks]
                ready[listed] = Entry(listed.path, listed.size, entry.digest, False, chunks)
            else:
                file = prefix.fetch(listed, Path(folder) / f"object{Path(listed.path).suffix}")
                ahead[listed] = [packer.add(piece) for piece in content(str(file), Seen.of(file.stat()))]
                file.unlink()
            done += listed.size
            told(done)
        packer.flush()
        for listed, digests in ahead.items():
            chunks = [packer.where(digest) for digest in digests]
            ready[listed] = Entry(listed.path, listed.size, digest_of(digests), False, chunks)
        manifest, about = write_manifest(blobs, packer, ready.values())
    memory.keep({listed: entry.digest for listed, entry in ready.items()})
    return DatasetRecord(
        bytes=about.bytes,
        files=about.count,
        manifest=manifest,
        content=about.content,
        stored=packer.stored,
        source=prefix.address,
    )
