"""Chunks: pieces of content that are stored once, many of them in one object.

An object that holds chunks is a *pack*: their bytes one after the other and nothing else; where each begins is known to the
manifests that name it. A chunk is verified by its own digest whenever it is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import Final
from zlib import crc32

import msgspec
from blake3 import blake3

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, ModelwrightError, NotFound

PACK: Final = 32 << 20  # bytes after which a pack is closed; none is longer than this and one chunk
_RUN: Final = 8 << 20  # bytes of neighbouring chunks that are read at once
_ROOM: Final = PACK + (8 << 20)
_GAP: Final = 64 << 10  # bytes between two chunks that are rather read than left out
_FIND: Final = (
    "SELECT packs.digest, start, size, proof FROM places JOIN packs ON packs.number = places.pack WHERE places.key = ?"
)
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS packs (number INTEGER PRIMARY KEY, digest BLOB UNIQUE)",
    "CREATE TABLE IF NOT EXISTS places (key INTEGER PRIMARY KEY, pack INTEGER, start INTEGER, size INTEGER, proof INTEGER)",
)
_CONTEXT: Final = "modelwright datasets: a file by the digests of its chunks"


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of content, and where it lies."""

    digest: bytes
    pack: bytes  # the digest of the object that it lies in
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where it ends in its pack."""
        return self.start + self.size


def digest_of(chunks: Sequence[bytes]) -> bytes:
    """The digest of a file by those of its chunks: the chunk's own where there is one, of nothing where there is none."""
    if len(chunks) == 1:
        return chunks[0]
    return blake3(b"".join(chunks), derive_key_context=_CONTEXT).digest() if chunks else blake3(b"").digest()


def _key(digest: bytes) -> int:
    """What stands for a chunk's digest in the file of known chunks: its first eight bytes."""
    return int.from_bytes(digest[:8], "little", signed=True)


def _proof(digest: bytes, pack: bytes, start: int, size: int) -> int:
    """A checksum of all that a row says: a row that was written otherwise, or spoilt, does not have it."""
    return crc32(b"%d %d" % (start, size), crc32(pack, crc32(digest)))


class KnownChunks:
    """Where chunks lie that were stored from here or were met in manifests: a cache, in a file or in memory.

    It may be deleted at any time; then something may be stored twice. What it says is believed once the pack is found, and
    of the file only rows that prove to be as they were written: a wrong one would spoil the manifest that relies on it.
    """

    def __init__(self, path: Path | None) -> None:
        self._met: dict[bytes, Chunk] = {}
        self._further: Callable[[bytes], Chunk | None] = lambda digest: None
        self._database: sqlite3.Connection | None = None
        self._empty = False  # the file, when it was opened: then only what is kept from here is in it
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._database = self._open(path)
            except sqlite3.DatabaseError:  # damaged: it is only a cache
                path.unlink(missing_ok=True)
                self._database = self._open(path)
            with suppress(sqlite3.DatabaseError):
                self._empty = self._database.execute("SELECT 1 FROM places LIMIT 1").fetchone() is None

    def meet(self, chunks: Iterable[Chunk]) -> None:
        """Remember, in memory, where some chunks lie."""
        self._met.update({chunk.digest: chunk for chunk in chunks})

    def ask(self, further: Callable[[bytes], Chunk | None]) -> None:
        """Have somebody asked for chunks that were not met."""
        self._further = further

    def find(self, digest: bytes) -> Chunk | None:
        """Where a chunk lies, or None."""
        found = self._met.get(digest) or self._further(digest)
        if found is not None or self._database is None or self._empty:
            return found
        with suppress(sqlite3.DatabaseError):  # it is only a cache
            row = self._database.execute(_FIND, (_key(digest),)).fetchone()
            if row is not None:
                *place, proof = row
                return Chunk(digest, *place) if proof == _proof(digest, *place) else None
        return None

    def keep(self, pack: bytes, chunks: Sequence[Chunk]) -> None:
        """Remember where chunks lie that were stored just now, in a pack, beyond this process."""
        self.meet(chunks)
        if self._database is None:
            return
        with suppress(sqlite3.DatabaseError), self._database as database:
            database.execute("INSERT OR IGNORE INTO packs (digest) VALUES (?)", (pack,))
            (number,) = database.execute("SELECT number FROM packs WHERE digest = ?", (pack,)).fetchone()
            rows = [
                (_key(each.digest), number, each.start, each.size, _proof(each.digest, pack, each.start, each.size))
                for each in chunks
            ]
            rows.sort()  # as they lie in the file: a page of it is written once
            database.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Give the file back."""
        if self._database is not None:
            self._database.close()

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # a row that a power cut spoilt does not prove, and is passed over
        for table in _TABLES:
            database.execute(table)
        return database


class Packer:
    """Stores chunks that are not stored yet, in packs.

        with Packer(blobs, known) as packer:
            digest = packer.add(piece)
            packer.flush()
            chunk = packer.where(digest)

    A full pack is stored by a thread of its own while the next one is filled. Where the block ends with an error, packs
    that were stored before it remain, for the collector.
    """

    def __init__(self, blobs: Blobs, known: KnownChunks) -> None:
        self._blobs = blobs
        self._known = known
        self._found: dict[bytes, Chunk] = {}  # of what was added here: where it lies
        self._ahead: dict[bytes, int] = {}  # what goes into the next pack: sizes by digest
        self._room: memoryview | None = None  # of the next pack; used again, as fresh memory costs much
        self._size = 0
        self._spare: memoryview | None = None  # the memory of the pack that was stored last
        self._under_way: dict[bytes, int] = {}  # what is in the pack that is being stored
        self._storing: Future[str] | None = None
        self._beside: ThreadPoolExecutor | None = None
        self._packs: dict[bytes, int | None] = {}  # packs of others, and their size
        self.stored = 0  # bytes that were stored, in all packs

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.flush()
            else:
                with suppress(ModelwrightError):  # there is an error to tell already
                    self._settle()  # so that whoever begins again need not store it again
        finally:
            if self._beside is not None:
                self._beside.shutdown()

    def add(self, piece: bytes | memoryview) -> bytes:
        """Store a chunk, unless it is; gives its digest. It is on the disk after the next `flush`."""
        digest = blake3(piece).digest()
        if not self._awaited(digest) and not self.has(digest):
            self.room(len(piece))[: len(piece)] = piece
            self._take(digest, len(piece))
        return digest

    def room(self, size: int) -> memoryview:
        """Memory for so many bytes, or more, to read what is to be added into; see `added`."""
        begin = self._size
        if self._room is None or len(self._room) < begin + size:
            room = memoryview(mmap(-1, max(begin + size, _ROOM)))  # of which nothing is taken before it is written to
            if self._room is not None:
                room[:begin] = self._room[:begin]
            self._room = room
        return self._room[begin:]

    def added(self, size: int) -> bytes:
        """Store the first bytes of `room` as a chunk; as `add`, but for a copy of them."""
        assert self._room is not None
        digest = blake3(self._room[self._size : self._size + size]).digest()
        if not self._awaited(digest) and not self.has(digest):
            self._take(digest, size)
        return digest

    def _awaited(self, digest: bytes) -> bool:
        return digest in self._ahead or digest in self._under_way

    def _take(self, digest: bytes, size: int) -> None:
        self._ahead[digest] = size
        self._size += size
        if self._size >= PACK:
            self.send()

    def has(self, digest: bytes) -> bool:
        """Whether a chunk is stored, and its pack is there."""
        if digest in self._found:
            return True
        chunk = self._known.find(digest)
        if chunk is None or chunk.end > self._size_of(chunk.pack):
            return False
        self._found[digest] = chunk
        return True

    def holds(self, chunks: Iterable[Chunk]) -> bool:
        """Whether chunks lie where a manifest says that they do."""
        sizes = self._packs
        for chunk in chunks:
            size = sizes[chunk.pack] if chunk.pack in sizes else self._size_of(chunk.pack)
            if size is None or chunk.start + chunk.size > size:
                return False
        return True

    def where(self, digest: bytes) -> Chunk:
        """Where a chunk lies that was added, and flushed."""
        return self._found[digest]

    def flush(self) -> None:
        """Store what was added."""
        self._settle()
        if self._ahead and self._room is not None:
            self._keep(self._blobs.put(self._room[: self._size]), self._ahead)
            self._ahead, self._size = {}, 0

    def send(self) -> None:
        """Have what was added stored from now on, by the thread beside, once what was sent before is."""
        if self._room is None or not self._ahead:
            return
        self._settle()
        self._beside = self._beside or ThreadPoolExecutor(1, "packs")
        self._storing = self._beside.submit(copy_context().run, self._blobs.put, self._room[: self._size])
        self._under_way, self._ahead, self._size = self._ahead, {}, 0
        self._room, self._spare = self._spare, self._room

    def _settle(self) -> None:
        """Wait for what was sent."""
        if self._storing is not None:
            storing, self._storing = self._storing, None
            self._keep(storing.result(), self._under_way)
            self._under_way = {}

    def _keep(self, pack: str, sizes: Mapping[bytes, int]) -> None:
        """Learn where chunks lie that were stored."""
        start, stored, name = 0, [], bytes.fromhex(pack)
        for digest, size in sizes.items():
            stored.append(Chunk(digest, name, start, size))
            start += size
        self._found |= {chunk.digest: chunk for chunk in stored}
        self._known.keep(name, stored)
        self.stored += start

    def _size_of(self, pack: bytes) -> int:
        if pack not in self._packs:
            try:
                self._packs[pack] = self._blobs.size(pack.hex())
            except NotFound:
                self._packs[pack] = None
        return self._packs[pack] or -1


def read_chunk(blobs: Blobs, chunk: Chunk) -> bytes:
    """The content of a chunk, verified."""
    content = b"".join(blobs.part(chunk.pack.hex(), chunk.start, chunk.end))
    _check(content, chunk)
    return content


def read_chunks(blobs: Blobs, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
    """The contents of chunks, verified, in their order; neighbours in a pack are read together."""
    for run in _runs(chunks):
        start = run[0].start
        data = memoryview(b"".join(blobs.part(run[0].pack.hex(), start, run[-1].end)))
        for chunk in run:
            content = data[chunk.start - start : chunk.end - start]
            _check(content, chunk)
            yield chunk, bytes(content)


def read_into(blobs: Blobs, chunks: Sequence[Chunk], room: memoryview) -> None:
    """The contents of chunks, verified, one behind the other in `room`, which is as long as they are together.

    Neighbours in a pack are read together, and what comes of them is put down once. Where it raises, `room` holds anything.
    """
    place = 0
    for run in _runs(chunks):
        if all(later.start == earlier.end for earlier, later in pairwise(run)):
            begin = place
            for piece in blobs.part(run[0].pack.hex(), run[0].start, run[-1].end):
                if place + len(piece) > begin + run[-1].end - run[0].start:
                    raise _damaged(run[-1])
                room[place : place + len(piece)] = piece
                place += len(piece)
            for chunk in run:
                _check(room[begin : min(begin + chunk.size, place)], chunk)
                begin += chunk.size
        else:
            for chunk, content in read_chunks(blobs, run):
                room[place : place + chunk.size] = content
                place += chunk.size


def _runs(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    run: list[Chunk] = []
    for chunk in chunks:
        near = run and chunk.pack == run[-1].pack and 0 <= chunk.start - run[-1].end <= _GAP
        if run and (not near or chunk.end - run[0].start > _RUN):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def _check(data: bytes | memoryview, chunk: Chunk) -> None:
    if len(data) != chunk.size or blake3(data).digest() != chunk.digest:
        raise _damaged(chunk)


def _damaged(chunk: Chunk) -> Corrupt:
    return Corrupt(
        f"The pack {chunk.pack.hex()} holds something else where the chunk {chunk.digest.hex()} should be.",
        mend=f"Copy objects/{chunk.pack.hex()[:2]}/{chunk.pack.hex()} of a backup over it. More of that: mw doctor.",
        details={"digest": chunk.pack.hex()},
    )


def by_place(chunks: Mapping[str, Sequence[Chunk]]) -> list[str]:
    """Names of what consists of chunks, in the order in which these lie in the packs: the order to read them in."""
    return sorted(chunks, key=lambda name: (chunks[name][0].pack, chunks[name][0].start) if chunks[name] else (b"", 0))
