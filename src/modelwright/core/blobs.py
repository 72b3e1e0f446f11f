"""The port to content-addressed objects: the same four verbs whether the bytes lie in a folder, in S3 or behind HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from modelwright.core.folders import Seen

How = Literal["linked", "cloned", "there"]  # how a file became an object: "there" means that one of our own is it already


class Blobs(Protocol):
    """Immutable bytes named by their BLAKE3 digest (64 hexadecimal characters).

    Guarantees: a put is atomic and idempotent, and what it has returned survives a crash; a read verifies the digest and
    raises `Corrupt` rather than hand out wrong bytes; an unknown digest is `NotFound`; memory use does not grow with size.
    """

    def put(self, data: bytes | memoryview | Path | Iterable[bytes]) -> str:
        """Store bytes, a file or a stream; return the digest."""
        ...

    def read(self, digest: str) -> bytes:
        """The whole content, verified. For small objects."""
        ...

    def stream(self, digest: str) -> Iterator[bytes]:
        """The content piece by piece; raises `Corrupt` at the end if the whole does not match its digest."""
        ...

    def part(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, piece by piece. Not verified: whoever asks knows what they must be."""
        ...

    def fetch(self, digest: str, path: Path) -> Path:
        """Write the content to a file, verified before the file appears under its name."""
        ...

    def exists(self, digest: str) -> bool: ...

    def size(self, digest: str) -> int:
        """Bytes."""
        ...


@runtime_checkable
class Adopting(Protocol):
    """What objects can besides where they lie in a folder of this machine: files become objects without a copy."""

    def refusal(self, path: Path) -> str:
        """Why a file cannot be taken over, to be read after its name; empty where nothing is in the way of trying."""
        ...

    def adopt(self, path: Path, digest: str, seen: Seen) -> How | None:
        """Make a file the object of that digest, which it had when it was `seen`. It is read-only from then on, if linked.

        `Conflict` where it changed since; None where the file system takes no link to it. What it has returned survives a
        crash. Reading verifies it like any object: whoever makes the file writable and changes it damages the object.
        """
        ...

    def adopted(self, digest: str) -> Path | None:
        """The file of an object that was taken over, to be linked to and never written; None for any other object."""
        ...
