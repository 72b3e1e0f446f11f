"""An append-only file of frames: what is in it survives the death of the process that wrote it.

    frame: length (4 bytes, little-endian), CRC-32 of the content (4 bytes), content

A frame is handed to the kernel with one `write` before the answer that it speaks of is sent, so a killed process loses
nothing it has answered. (A killed machine may lose the last moments: predictions are data, and not worth a flush each.) A
frame that was cut off by the end of the process is known by its length or checksum, and ends the reading.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct("<II")
SUFFIX = ".journal"


class Journal:
    """One file, open for appending. Safe to call from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.frames = 0
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append(self, content: bytes) -> None:
        """Write one frame; `OSError` (a full disk) if the kernel does not take all of it."""
        frame = _HEADER.pack(len(content), zlib.crc32(content)) + content
        with self._lock:
            written = os.write(self._file, frame)
            if written != len(frame):
                os.ftruncate(self._file, self.size)
                raise OSError(f"{self.path.name}: only {written} of {len(frame)} bytes were written")
            self.size += len(frame)
            self.frames += 1

    def close(self) -> None:
        """No more frames."""
        with self._lock:
            os.close(self._file)


def read(path: Path) -> Iterator[bytes]:
    """The whole frames of a file, in order."""
    data = memoryview(path.read_bytes())
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        content = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(content) != length or zlib.crc32(content) != checksum:
            return
        yield bytes(content)
        at += _HEADER.size + length
