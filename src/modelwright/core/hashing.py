"""Digests. BLAKE3 names our own content; SHA-256 stands beside it only where a standard asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

CHUNK = 1 << 20  # bytes read at a time: constant memory whatever the size
DIGEST_LENGTH = 64  # hexadecimal characters


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """The BLAKE3 digest of some bytes: 64 lower-case hexadecimal characters."""
    from blake3 import blake3

    return blake3(data).hexdigest()


def digest_chunks(chunks: Iterable[bytes]) -> str:
    """The digest of a stream, in constant memory."""
    from blake3 import blake3

    hasher = blake3()
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def digest_file(path: Path) -> str:
    """The digest of a file's content, in constant memory."""
    return digest_chunks(read_chunks(path))


def digest_value(value: Any) -> str:
    """The digest of a plain value (or record) by its canonical JSON: equal values, equal digests."""
    return digest_bytes(msgspec.json.encode(value, order="deterministic", enc_hook=str))


def read_chunks(path: Path, size: int = CHUNK) -> Iterator[bytes]:
    """The content of a file, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece
