"""Stored parts as local files: fetched once, verified by digest before they are used."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt
from modelwright.core.folders import Seen
from modelwright.core.hashing import digest_file
from modelwright.datasets.chunks import read_chunks
from modelwright.datasets.linking import damaged, is_content
from modelwright.datasets.manifest import Entry

_AGE: Final = 5_000_000_000  # nanoseconds; more than the coarsest file system rounds by
_PARTIAL: Final = re.compile(r"(?:^|/)\.[0-9a-f]{16}\.part$")
_WRITING: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_BY_NUMBER: Final = os.utime in os.supports_fd and os.chmod in os.supports_fd  # not on Windows


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
            if not (path.exists() and is_content(entry, path)):
                assemble(self._blobs, entry, path)
            self._verified.add(digest)
            return path

    def _place(self) -> Path:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="modelwright-datasets-")  # removed with this object
            self._folder = Path(self._temporary.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder


def read_entry(blobs: Blobs, entry: Entry) -> Iterator[bytes]:
    """The content of an entry, chunk by chunk; `Corrupt` names its file."""
    try:
        for _, data in read_chunks(blobs, entry.chunks):
            yield data
    except Corrupt as error:
        raise damaged(blobs, [entry], error) from None


def assemble(blobs: Blobs, entry: Entry, path: Path, *, mode: int = 0o600) -> None:
    """Write the content of an entry to a file, which appears under its name, instead of what is there, once it is whole.

    Its time of modification is a few seconds ago: so any change of it, from now on, shows.
    """
    Writer().write(str(path), read_entry(blobs, entry), mode)


def is_partial(path: str) -> bool:
    """Whether a file is what a `Writer` that was killed leaves."""
    return _PARTIAL.search(path) is not None


class Writer:
    """Writes files, each whole or not at all, with as few calls of the system as it takes: there may be many."""

    def __init__(self) -> None:
        self._name = f".{secrets.token_hex(8)}.part"  # as `is_partial` knows it

    def write(self, path: str, pieces: Iterable[bytes], mode: int, *, clear: bool = False) -> Seen:
        """Write one as `assemble` does, and tell how it is found; `IsADirectoryError` if a folder is in its place.

        `clear`: what is in its place goes the moment before. That is quicker, for ext4 sends a file to the disk that is
        renamed over another, and waits; and who is killed in that moment leaves none under that name.
        """
        partial = f"{path[: path.rindex(os.sep) + 1]}{self._name}"
        descriptor = os.open(partial, _WRITING, mode)
        try:
            try:
                for piece in pieces:
                    rest: bytes | memoryview = piece
                    while (done := os.write(descriptor, rest)) < len(rest):
                        rest = memoryview(rest)[done:]
                moment = time.time_ns() - _AGE
                os.utime(descriptor if _BY_NUMBER else partial, ns=(moment, moment))
                found = os.fstat(descriptor)
                if stat.S_IMODE(found.st_mode) != mode:  # what the process takes away from every mode
                    os.chmod(descriptor if _BY_NUMBER else partial, mode)  # noqa: PTH101
                    found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if clear:
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108
            os.replace(partial, path)  # noqa: PTH105
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(partial)  # noqa: PTH108
            if isinstance(error, OSError) and error.filename is None:  # whoever is told of a full disk wants to know which
                error.filename = path
            raise
        return Seen.of(found)
