"""Stretches of stored rows, each profiled once: a version that has row groups of the one before reads only the others.

A segment is some row groups in succession. It ends where the bytes of a group say so, as chunks do: so a row put in or
taken out changes the segment around it and no other. What is kept of one is an object, named in the version's profile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt
from modelwright.datasets.records import DatasetColumn, Profile, Segment
from modelwright.datasets.sketches.column import ColumnSketch, Written

FORMAT: Final = "modelwright-sketch-1"
_ENDS: Final = 8  # a segment has so many row groups on average
_MOST: Final = 32
_CODED: Final = 4  # bytes: a column of text with fewer for each value has a dictionary, whose words alone are looked at
_THREADS: Final = min(4, os.cpu_count() or 1)  # more than cores take turns at Python's lock, and longer


def is_text(kind: str) -> bool:
    """Whether a column of this Arrow type holds texts."""
    return kind.startswith(("string", "large_string", "dictionary"))


class _Stretch(NamedTuple):
    file: Path
    groups: list[int]
    digest: str
    rows: int


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    format: str
    columns: dict[str, Written]
    kinds: dict[str, str] = {}  # of rows that are no version's: the columns' types, and which of them are about a person
    personal: list[str] = []


class TableSketch:
    """The sketches of a table's columns, by name; of a version, of some of its rows, or of rows that just came in."""

    def __init__(self, columns: Sequence[DatasetColumn]) -> None:
        self.columns = {column.name: ColumnSketch(quoting=not column.personal) for column in columns}
        self.kinds = {column.name: column.type for column in columns}

    @property
    def rows(self) -> int:
        """How many there are."""
        return max((each.rows for each in self.columns.values()), default=0)

    def add(self, rows: Any, threads: ThreadPoolExecutor | None = None) -> None:
        """Take in an Arrow table or record batch with these columns."""

        def one(name: str) -> None:
            column = rows.column(name)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                self.columns[name].add(chunk)

        list(map(one, self.columns) if threads is None else threads.map(one, self.columns))

    def grow(self, rows: Any) -> None:
        """Take in a table that may have further columns, or not all: what it has not is missing in it."""
        before = self.rows
        for field in rows.schema:
            if field.name not in self.columns:
                self.columns[field.name] = ColumnSketch()
                self.columns[field.name].rows = before
                self.kinds[field.name] = str(field.type)
        for name, column in self.columns.items():
            if name not in rows.column_names:
                column.rows += rows.num_rows
            else:
                for chunk in rows.column(name).chunks:
                    column.add(chunk)

    def forget(self, *, fewer_than: int) -> None:
        """Leave out what quotes single rows: examples, and texts that fewer rows hold. They count among all others."""
        for name, column in self.columns.items():
            column.examples = []
            if not is_text(self.kinds[name]):
                continue
            column.least = column.greatest = None
            counts = column.frequent.counts
            column.frequent.counts = {value: count for value, count in counts.items() if count >= fewer_than}
            column.frequent.error += max((count for count in counts.values() if count < fewer_than), default=0)

    def merge(self, other: TableSketch) -> None:
        """Take in what another has seen: rows that come after these. What one has no column for is missing in it."""
        before, further = self.rows, other.rows
        for name, found in other.columns.items():
            if name not in self.columns:
                self.columns[name] = ColumnSketch(quoting=found.quoting)
                self.columns[name].rows = before
                self.kinds[name] = other.kinds[name]
        for name, column in self.columns.items():
            if name in other.columns:
                column.merge(other.columns[name])
            else:
                column.rows += further


def sketch_files(
    blobs: Blobs, files: Sequence[Path], columns: Sequence[DatasetColumn], before: Profile | None
) -> tuple[TableSketch, list[Segment]]:
    """What is in some Parquet files, one after the other, and the segments that it was put together from.

    A segment that the profile `before` has is not read. Memory: one row group, and the sketches.
    """
    known = {segment.digest: segment for segment in (before.segments if before else [])}
    whole, segments = TableSketch(columns), []
    with ThreadPoolExecutor(_THREADS) as threads:
        for stretch in _stretches(files, columns):
            segment = known.get(stretch.digest)
            if segment is not None and blobs.exists(segment.sketch):
                whole.merge(read_segment(blobs, segment, columns))
            else:
                made = _sketch(stretch, columns, threads)
                segment = Segment(digest=stretch.digest, rows=stretch.rows, sketch=blobs.put(pack_segment(made)))
                whole.merge(made)
            segments.append(segment)
    return whole, segments


def sketch_of(blobs: Blobs, profile: Profile, columns: Sequence[DatasetColumn]) -> TableSketch:
    """The sketches of a whole version, put together from those that are stored."""
    whole = TableSketch(columns)
    for segment in profile.segments:
        whole.merge(read_segment(blobs, segment, columns))
    return whole


def keep_sketch(blobs: Blobs, sketch: TableSketch) -> str:
    """Store a sketch of rows that are no version's; its digest."""
    return blobs.put(pack_segment(sketch, alone=True))


def kept_sketch(blobs: Blobs, digest: str) -> TableSketch:
    """What `keep_sketch` stored; `Corrupt` if the object is none."""
    stored = _read(blobs, digest)
    found = TableSketch([])
    found.kinds = dict(stored.kinds)
    found.columns = {
        name: ColumnSketch.read(each, quoting=name not in stored.personal) for name, each in stored.columns.items()
    }
    return found


def read_segment(blobs: Blobs, segment: Segment, columns: Sequence[DatasetColumn]) -> TableSketch:
    """The sketches of one segment; `Corrupt` if the object is none."""
    found, stored = TableSketch(columns), _read(blobs, segment.sketch)
    try:
        found.columns = {c.name: ColumnSketch.read(stored.columns[c.name], quoting=not c.personal) for c in columns}
    except (ValueError, KeyError) as error:
        raise Corrupt(f"The object {segment.sketch[:12]} holds no sketch of these columns: {error}") from None
    return found


def _read(blobs: Blobs, digest: str) -> _Stored:
    try:
        data = blobs.read(digest)
        size = int.from_bytes(data[:8], "little")
        if size > 1 << 30:
            raise ValueError("no sketch is that large")
        plain = pa.decompress(data[8:], size, codec="zstd", asbytes=True)
        stored = msgspec.msgpack.decode(plain, type=_Stored)
        if stored.format != FORMAT:
            raise ValueError(f"its format is {stored.format!r}, not {FORMAT!r}")
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        raise Corrupt(f"The object {digest[:12]} holds no sketch: {error}") from None
    return stored


def pack_segment(sketch: TableSketch, *, alone: bool = False) -> bytes:
    """Sketches as the bytes of an object; `alone` where no version says what the columns are."""
    columns = {name: each.write() for name, each in sketch.columns.items()}
    kinds = sketch.kinds if alone else {}
    personal = [name for name, each in sketch.columns.items() if not each.quoting] if alone else []
    plain = msgspec.msgpack.encode(_Stored(FORMAT, columns, kinds, personal))
    packed: bytes = pa.compress(plain, codec="zstd", asbytes=True)
    return len(plain).to_bytes(8, "little") + packed


def _sketch(stretch: _Stretch, columns: Sequence[DatasetColumn], threads: ThreadPoolExecutor) -> TableSketch:
    made = TableSketch(columns)
    with pq.ParquetFile(stretch.file) as parquet:
        about, coded = parquet.metadata.row_group(stretch.groups[0]), []
        for number, column in enumerate(columns):
            chunk = about.column(number) if about.num_columns == len(columns) else None
            if column.type == "string" and chunk and chunk.total_uncompressed_size < _CODED * chunk.num_values:
                coded.append(column.name)
    with pq.ParquetFile(stretch.file, read_dictionary=coded) as parquet:
        for group in stretch.groups:
            made.add(parquet.read_row_group(group), threads)
    return made


def _stretches(files: Sequence[Path], columns: Sequence[DatasetColumn]) -> Iterator[_Stretch]:
    """The segments of each file. One is what its bytes are, and which columns are about a person."""
    meant = repr([(column.name, column.type, column.personal) for column in columns]).encode()
    for path in files:
        with pq.ParquetFile(path) as parquet, path.open("rb") as file:
            about = parquet.metadata
            groups: list[int] = []
            hasher, rows = blake3(meant), 0
            for number in range(about.num_row_groups):
                group = about.row_group(number)
                digest = _digest(file, _bounds(group))
                groups.append(number)
                hasher.update(digest)
                rows += group.num_rows
                if digest[0] % _ENDS == 0 or len(groups) == _MOST or number == about.num_row_groups - 1:
                    yield _Stretch(path, groups, hasher.hexdigest(), rows)
                    groups, hasher, rows = [], blake3(meant), 0


def _bounds(group: Any) -> tuple[int, int]:
    chunks = [group.column(number) for number in range(group.num_columns)]
    spans = []
    for chunk in chunks:
        starts = [start for start in (chunk.data_page_offset, chunk.dictionary_page_offset) if start]
        spans += [(min(starts), min(starts) + chunk.total_compressed_size)] if starts else []
    return min((start for start, _ in spans), default=0), max((end for _, end in spans), default=0)


def _digest(file: Any, bounds: tuple[int, int]) -> bytes:
    hasher, (start, end) = blake3(), bounds
    file.seek(start)
    while start < end:
        data = file.read(min(1 << 22, end - start))
        hasher.update(data)
        start += len(data)
    return hasher.digest()
