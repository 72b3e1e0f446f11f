"""Large files that the store takes over as they are: hashed on all cores, linked or cloned, and nothing is copied.

Such a file is an object of its own, and its chunks are stretches of that of one length. So whatever reads chunks reads it,
at any place and verified; but a later version shares none of them unless it shares all.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from blake3 import blake3

from modelwright.core.blobs import Adopting, Blobs, How
from modelwright.core.errors import Corrupt
from modelwright.core.folders import Seen
from modelwright.datasets.chunks import Chunk, digest_of
from modelwright.datasets.linked import Linked
from modelwright.datasets.manifest import Entry

WHOLE: Final = 4 << 20  # bytes from which a file is taken over; a shorter one is as quickly copied into a pack
STRETCH: Final = 1 << 20  # bytes of a chunk. Part of the format: with another number a file has another digest
_READ: Final = 2 << 20  # bytes read and hashed in one step: they stay in a core's cache
_THREADS: Final = min(4, os.cpu_count() or 1)
_READING: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Linking:
    """Takes files over, and keeps count."""

    def __init__(self, blobs: Blobs) -> None:
        self._store = blobs if isinstance(blobs, Adopting) else None
        self._counts: dict[How, int] = dict.fromkeys(("linked", "cloned", "there"), 0)
        self._bytes = self._copied = 0
        self._first = self._why = ""

    @property
    def done(self) -> Linked:
        """What became of the files so far."""
        return Linked(
            linked=self._counts["linked"],
            cloned=self._counts["cloned"],
            bytes=self._bytes,
            copied=self._copied,
            first=self._first,
            why=self._why,
        )

    def entry(self, path: str, file: str, seen: Seen) -> Entry | None:
        """Take a file over, and give the entry for it; None where it has to be copied, which is counted with the reason.

        `Conflict` if it changes meanwhile.
        """
        why = "the objects lie behind a server" if self._store is None else self._store.refusal(Path(file))
        if self._store is not None and not why:
            name, digests = hash_whole(file)
            how = self._store.adopt(Path(file), name, seen)
            if how is not None:
                self._counts[how] += 1
                self._bytes += seen.size if how != "there" else 0
                return Entry(path, seen.size, digest_of(digests), seen.executable, _chunks(name, digests, seen.size))
            why = "its file system takes no link to it"
        if not self._copied:
            self._first, self._why = path, why
        self._copied += 1
        return None


def hash_whole(file: str) -> tuple[str, list[bytes]]:
    """The digest of a file's content, and those of its stretches. Memory: some windows of `_READ` bytes."""
    descriptor = os.open(file, _READING)
    whole, digests = blake3(), list[bytes]()
    free = [memoryview(bytearray(_READ)) for _ in range(2 * _THREADS + 2)]
    waiting = deque[Future[tuple[memoryview, int, list[bytes]]]]()

    def look(place: int, room: memoryview) -> tuple[memoryview, int, list[bytes]]:
        size = _fill(descriptor, room, place)
        return room, size, [blake3(room[at : min(at + STRETCH, size)]).digest() for at in range(0, size, STRETCH)]

    try:
        places = iter(range(0, os.fstat(descriptor).st_size, _READ))
        with ThreadPoolExecutor(_THREADS, "hashing") as threads:
            while True:
                while free and (place := next(places, None)) is not None:
                    waiting.append(threads.submit(look, place, free.pop()))
                if not waiting:
                    return whole.hexdigest(), digests
                room, size, found = waiting.popleft().result()
                whole.update(room[:size])
                digests += found
                free.append(room)
    finally:
        os.close(descriptor)


def is_whole(entry: Entry) -> bool:
    """Whether an entry is a file that was taken over: stretches of one object, from its beginning on."""
    place = 0
    for chunk in entry.chunks:
        if chunk.pack != entry.chunks[0].pack or chunk.start != place or place % STRETCH:
            return False
        place = chunk.end
    return len(entry.chunks) > 1 and entry.chunks[0].size == STRETCH and place == entry.size


def is_content(entry: Entry, file: Path) -> bool:
    """Whether a file has the content of an entry; not read further than to the first difference."""
    with file.open("rb") as open_file:
        same = all(blake3(open_file.read(chunk.size)).digest() == chunk.digest for chunk in entry.chunks)
        return same and not open_file.read(1)


def damaged(blobs: Blobs, entries: Iterable[Entry], error: Corrupt) -> Corrupt:
    """The same error, with the file that it is about, and what to do where that was linked to one of somebody's."""
    pack = str(error.details.get("digest", ""))
    path = next((each.path for each in entries if any(chunk.pack.hex() == pack for chunk in each.chunks)), "")
    if not path:
        return error
    details = error.details | {"file": path}
    if not isinstance(blobs, Adopting) or blobs.adopted(pack) is None:
        return Corrupt(f"{path}: {error.message}", mend=error.mend, details=details)
    return Corrupt(
        f"{path} is not as it was stored: it was linked (--link), and somebody has written to that file since.",
        mend="Put the right file in its place and add it again with --link, or restore the objects: mw restore.",
        details=details,
    )


class Own(NamedTuple):
    """The file of an object that is all of an entry."""

    path: str
    seen: Seen


def own_file(blobs: Blobs, entry: Entry) -> Own | None:
    """The file that was taken over for an entry, where it lies here, and may be linked to in its place."""
    if not isinstance(blobs, Adopting) or not is_whole(entry):
        return None
    path = blobs.adopted(entry.chunks[0].pack.hex())
    if path is None:
        return None
    seen = Seen.of(path.stat())
    return Own(str(path), seen) if seen.executable == entry.executable else None


def _chunks(name: str, digests: list[bytes], size: int) -> list[Chunk]:
    pack = bytes.fromhex(name)
    return [
        Chunk(digest, pack, number * STRETCH, min(STRETCH, size - number * STRETCH))
        for number, digest in enumerate(digests)
    ]


def _fill(descriptor: int, room: memoryview, place: int) -> int:
    """Read as many bytes from a place on as there is room for, or as there are."""
    done = 0
    while done < len(room):
        if hasattr(os, "preadv"):
            read = os.preadv(descriptor, [room[done:]], place + done)
        else:
            piece = os.pread(descriptor, len(room) - done, place + done)
            read = len(piece)
            room[done : done + read] = piece
        if not read:
            break
        done += read
    return done
