"""Stored parts as local files: fetched once, verified by digest before they are used."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from blake3 import blake3

from modelwright.core.blobs import Blobs
from modelwright.core.hashing import digest_file
from modelwright.datasets.chunks import read_chunks
from modelwright.datasets.manifest import Entry

_AGE: Final = 5_000_000_000  # nanoseconds; more than the coarsest file system rounds by


class ObjectCache:
    """A folder of verified Parquet files, named by their digests.

    A file that is already there is hashed once before this process trusts it; one that does not match is fetched anew.
    """

    def __init__(self, blobs: Blobs, folder: Path | None) -> None:
        self._blobs = blobs
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._verified: set[str] = set()
        self._lock = threading.Lock()

    def file(self, digest: str) -> Path:
        """The content of an object as a file, to be read only."""
        with self._lock:
            path = self._place() / f"{digest}.parquet"
            if digest in self._verified and path.exists():
                return path
            if not (path.exists() and digest_file(path) == digest):
                path.unlink(missing_ok=True)
                self._blobs.fetch(digest, path)
            self._verified.add(digest)
            return path

    def assembled(self, entry: Entry) -> Path:
        """The content of a manifest's entry as a file, to be read only."""
        digest = entry.digest.hex()
        with self._lock:
            path = self._place() / f"{digest}.parquet"
            if digest in self._verified and path.exists():
                return path
            if not (path.exists() and _consists_of(path, entry)):
                assemble(self._blobs, entry, path)
            self._verified.add(digest)
            return path

    def _place(self) -> Path:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="modelwright-datasets-")  # removed with this object
            self._folder = Path(self._temporary.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder


def assemble(blobs: Blobs, entry: Entry, path: Path, *, mode: int = 0o600, pieces: Iterable[bytes] | None = None) -> None:
    """Write the content of an entry to a file, which appears under its name, instead of what is there, once it is whole.

    `pieces` are its chunks, where they were read already, together with those of others.

    Its time of modification is a few seconds ago: so any change of it, from now on, shows.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with partial.open("xb") as file:
            file.writelines(pieces if pieces is not None else (data for _, data in read_chunks(blobs, entry.chunks)))
        partial.chmod(mode)
        moment = time.time_ns() - _AGE
        os.utime(partial, ns=(moment, moment))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _consists_of(path: Path, entry: Entry) -> bool:
    with path.open("rb") as file:
        return all(blake3(file.read(chunk.size)).digest() == chunk.digest for chunk in entry.chunks) and not file.read(1)
