"""Stored parts as local files: fetched once, verified by digest before they are used."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.core.hashing import digest_file


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

    def _place(self) -> Path:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="modelwright-datasets-")  # removed with this object
            self._folder = Path(self._temporary.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder
