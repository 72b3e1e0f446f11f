"""A stored file that is read without being put together: as a file object over its chunks."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import pyarrow.dataset as pds

from modelwright.core.blobs import Blobs
from modelwright.datasets.chunks import Chunk, read_chunks
from modelwright.datasets.manifest import Entry

_KEPT: Final = 32 << 20  # bytes of chunks in memory


class ChunkFile(io.RawIOBase):
    """The content of an entry, to be read at any place. Only the chunks that are touched are fetched, and verified."""

    def __init__(self, blobs: Blobs, entry: Entry) -> None:
        self._blobs = blobs
        self._chunks = entry.chunks
        self._starts = [0]
        for chunk in entry.chunks:
            self._starts.append(self._starts[-1] + chunk.size)
        self._place = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
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
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self.read(-1)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, as many as there are up to `size`."""
        whole = self._starts[-1]
        end = whole if size is None or size < 0 else min(whole, self._place + size)
        if self._place >= end:
            return b""
        first = bisect_right(self._starts, self._place) - 1
        last = bisect_right(self._starts, end - 1)
        data = b"".join(self._contents(first, last))
        found = data[self._place - self._starts[first] : end - self._starts[first]]
        self._place = end
        return found

    def _contents(self, first: int, last: int) -> Sequence[bytes]:
        here = {number: self._kept[number] for number in range(first, last) if number in self._kept}
        missing = [number for number in range(first, last) if number not in here]
        read = read_chunks(self._blobs, [self._chunks[number] for number in missing])
        for number, (_, content) in zip(missing, read, strict=True):
            here[number] = content
            self._keep(number, content)
        return [here[number] for number in range(first, last)]

    def _keep(self, number: int, content: bytes) -> None:
        self._kept[number] = content
        self._bytes += len(content)
        while self._bytes > _KEPT and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone)


def arrow_dataset(blobs: Blobs, entries: Sequence[Entry]) -> Any:
    """Entries that are Parquet files as one Arrow dataset: what scans it reads the columns and row groups it needs."""
    form = pds.ParquetFileFormat()
    fragments = [form.make_fragment(ChunkFile(blobs, entry)) for entry in entries]
    return pds.FileSystemDataset(fragments, fragments[0].physical_schema, form)


def chunks_of(entries: Sequence[Entry]) -> list[Chunk]:
    """All chunks of some entries."""
    return [chunk for entry in entries for chunk in entry.chunks]
