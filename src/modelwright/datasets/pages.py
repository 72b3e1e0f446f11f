"""Where the pages of a Parquet file begin, read from the headers of the pages themselves.

A header is a struct in Thrift's compact protocol, of which two fields are needed: the size of the page behind it, and the
header's own length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

_HEADER: Final = 4096  # bytes read at first; a header with long extremes is longer
_COMPRESSED: Final = 3  # the field with the page's size
_TRUE, _FALSE, _BYTE, _SHORT, _INT, _LONG, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


def page_borders(path: Path) -> Sequence[int]:
    """The offsets at which column chunks and their pages begin, and where the last of them ends, in order.

    `ValueError` (or Arrow's own) if the file is not Parquet, or damaged.
    """
    found: set[int] = set()
    size = path.stat().st_size
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        about = parquet.metadata
        for group in range(about.num_row_groups):
            for number in range(about.num_columns):
                column = about.row_group(group).column(number)
                starts = [start for start in (column.data_page_offset, column.dictionary_page_offset) if start]
                if not starts:  # of a group without rows
                    continue
                place = min(starts)
                end = place + column.total_compressed_size
                if not 0 < end <= size:
                    raise ValueError(f"a column chunk of {path} ends at {end}, the file at {size}")
                while place < end:
                    found.add(place)
                    file.seek(place)
                    head = file.read(min(_HEADER, end - place))
                    try:
                        length, content = _header(head)
                    except IndexError:
                        length, content = _header(head + file.read(end - place - len(head)))
                    place += length + content
                found.add(end)
    return sorted(found)


def _header(data: bytes) -> tuple[int, int]:
    """The length of a page's header, and the size of the page behind it."""
    reader = _Reader(data)
    content = reader.struct(_COMPRESSED)
    if content is None or content < 0:
        raise ValueError("a page's header does not say how long the page is")
    return reader.place, content


class _Reader:
    """Thrift's compact protocol, as far as it takes to pass over a struct."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, wanted: int | None = None) -> int | None:
        """Pass over a struct; gives the integer in the field `wanted`."""
        field, found = 0, None
        while head := self._byte():
            delta, kind = head >> 4, head & 0x0F
            field = field + delta if delta else self._signed()
            if field == wanted:
                found = self._signed()
            else:
                self._skip(kind)
        return found

    def _skip(self, kind: int) -> None:
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self.place += 1
        elif kind in (_SHORT, _INT, _LONG):
            self._varint()
        elif kind == _DOUBLE:
            self.place += 8
        elif kind == _BINARY:
            length = self._varint()
            self.place += length
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            for _ in range(count):
                self._element(head & 0x0F)
        elif kind == _STRUCT:
            self.struct()
        else:
            raise ValueError(f"a page's header holds a field of kind {kind}")

    def _element(self, kind: int) -> None:
        if kind in (_TRUE, _FALSE):  # in a list they take a byte
            self.place += 1
        else:
            self._skip(kind)

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _signed(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
