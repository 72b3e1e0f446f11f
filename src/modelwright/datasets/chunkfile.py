"""A stored file that is read without being put together: as a file object over its chunks."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.dataset as pds

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt
from modelwright.datasets.chunks import Chunk, read_into
from modelwright.datasets.linking import damaged
from modelwright.datasets.manifest import Entry

_KEPT: Final = 32 << 20  # bytes of blocks in memory


class _Block(NamedTuple):
    """Neighbouring chunks that were fetched at once."""

    first: int
    last: int  # the one after them
    start: int  # where in the content they begin
    data: memoryview


class ChunkFile(io.RawIOBase):
    """The content of an entry, to be read at any place. Only the chunks that are touched are fetched, and verified."""

    def __init__(self, blobs: Blobs, entry: Entry, kept: int = _KEPT) -> None:
        """Up to so many bytes, or what was read last, are kept for who reads on."""
        self._blobs = blobs
        self._most = kept
        self._entry = entry
        self._chunks = entry.chunks
        self._starts = [0]
        for chunk in entry.chunks:
            self._starts.append(self._starts[-1] + chunk.size)
        self._place = 0
        self._blocks = deque[_Block]()
        self._held: dict[int, _Block] = {}  # by the number of a chunk
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._starts[-1]}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self.read(-1)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, as many as there are up to `size`."""
        return bytes(self._next(size))

    def read_buffer(self, size: int | None = -1) -> Any:
        """The same as an Arrow buffer, not copied again: Arrow's readers ask for it where a file has it."""
        return pa.py_buffer(self._next(size))

    def _next(self, size: int | None) -> memoryview:
        whole = self._starts[-1]
        end = whole if size is None or size < 0 else min(whole, self._place + size)
        if self._place >= end:
            return memoryview(b"")
        first = bisect_right(self._starts, self._place) - 1
        last = bisect_right(self._starts, end - 1)
        block = self._held.get(first)
        if block is None or block.last < last:
            block = self._fetched(first, last)
        found = block.data[self._place - block.start : end - block.start]
        self._place = end
        return found

    def _fetched(self, first: int, last: int) -> _Block:
        """Some chunks as one block: from the store, but for those that are here."""
        start = self._starts[first]
        room = memoryview(pa.allocate_buffer(self._starts[last] - start)).cast("B")
        missing: list[int] = []
        for number in range(first, last):
            block = self._held.get(number)
            if block is None:
                missing.append(number)
                continue
            begin, end = self._starts[number], self._starts[number + 1]
            room[begin - start : end - start] = block.data[begin - block.start : end - block.start]
        for _, group in groupby(enumerate(missing), lambda each: each[1] - each[0]):
            run = [number for _, number in group]
            begin, end = self._starts[run[0]], self._starts[run[-1] + 1]
            try:
                read_into(self._blobs, [self._chunks[number] for number in run], room[begin - start : end - start])
            except Corrupt as error:
                raise damaged(self._blobs, [self._entry], error) from None
        made = _Block(first, last, start, room.toreadonly())
        self._keep(made)
        return made

    def _keep(self, block: _Block) -> None:
        self._blocks.append(block)
        self._bytes += len(block.data)
        self._held |= dict.fromkeys(range(block.first, block.last), block)
        while self._bytes > self._most and len(self._blocks) > 1:
            gone = self._blocks.popleft()
            self._bytes -= len(gone.data)
            for number in range(gone.first, gone.last):
                if self._held.get(number) is gone:
                    del self._held[number]


def arrow_dataset(blobs: Blobs, entries: Sequence[Entry]) -> Any:
    """Entries that are Parquet files as one Arrow dataset: what scans it reads the columns and row groups it needs."""
    form = pds.ParquetFileFormat()
    fragments = [form.make_fragment(ChunkFile(blobs, entry)) for entry in entries]
    return pds.FileSystemDataset(fragments, fragments[0].physical_schema, form)


def chunks_of(entries: Sequence[Entry]) -> list[Chunk]:
    """All chunks of some entries."""
    return [chunk for entry in entries for chunk in entry.chunks]
