"""Stretches of stored rows, each profiled once: a version that has row groups of the one before reads only the others.

A segment is some row groups in succession. It ends where the bytes of a group say so, as chunks do: so a row put in or
taken out changes the segment around it and no other. What is kept of one is an object, named in the version's profile.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, TypeVar

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
_LOOKED_AT: Final = 8192  # rows of a column of text in memory by which it is told whether its words repeat
_REPEATED: Final = 8  # times, on average, if so
_CODED: Final = 4  # bytes: a column of text with fewer for each value has a dictionary, whose words alone are looked at
_THREADS: Final = min(4, os.cpu_count() or 1)  # more than cores take turns at Python's lock, and longer


_WAITING: Final = 3  # row groups, or stretches, that are held in memory until the thread that profiles them has time
_HELD: Final = 64 << 20  # bytes of a stretch that are held until it is known whether it has to be looked at
T = TypeVar("T")


def is_text(kind: str) -> bool:
    """Whether a column of this Arrow type holds texts."""
    return kind.startswith(("string", "large_string", "dictionary"))


class _Stretch(NamedTuple, Generic[T]):
    groups: list[T]
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
    made = _Sketched(blobs, columns, before)
    with ThreadPoolExecutor(_THREADS) as threads:
        for file in files:
            for stretch in _stretches(file, columns):
                made.take(stretch, lambda file=file, stretch=stretch: _sketch(file, stretch.groups, columns, threads))  # type: ignore[misc]
    return made.whole, made.segments


class Sketching:
    """`sketch_files` of files while they are written, by a thread beside: their rows are in memory, and need not be read.

        with Sketching(blobs, columns, before) as sketching:
            ...  # `group` for each row group that was written, `end` after each file
            whole, segments = sketching.result()

    Memory: some row groups; of a stretch that may be one of the version before also what is held of it, up to `_HELD`.
    """

    def __init__(self, blobs: Blobs, columns: Sequence[DatasetColumn], before: Profile | None) -> None:
        self._columns = columns
        self._made = _Sketched(blobs, columns, before)
        self._forming = _Forming[None](columns)
        self._next = _Making(columns)
        self._held: list[Any] = []  # row groups of the stretch that is written, of which nothing is known yet
        self._waits = bool(before and before.segments)  # it may turn out to be known, so that it need not be looked at
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="modelwright-profile")
        self._waiting = deque[Future[None]]()

    def __enter__(self) -> Sketching:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def group(self, rows: Any, file: Any, start: int, end: int) -> None:
        """A row group was written: a table in one piece, and where in the file that is open for reading its bytes lie."""
        self._held.append(rows)
        stretch = self._forming.add(None, _digest(file, (start, end)), rows.num_rows)
        if stretch is None and (not self._waits or sum(each.nbytes for each in self._held) > _HELD):
            held, self._held = self._held, []
            self._beside(partial(self._next.add, held))
        self._take(stretch)

    def end(self) -> None:
        """The file has ended."""
        self._take(self._forming.rest())

    def result(self) -> tuple[TableSketch, list[Segment]]:
        """What is in all of them, and the segments that it was put together from."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._made.whole, self._made.segments

    def _take(self, stretch: _Stretch[None] | None) -> None:
        if stretch is not None:
            making, held = self._next, self._held
            self._next, self._held = _Making(self._columns), []
            self._beside(lambda: self._made.take(stretch, lambda: making.add(held)))

    def _beside(self, work: Callable[[], object]) -> None:
        """Have something done by the thread, after what it was given before."""
        if len(self._waiting) == _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(copy_context().run, work))  # type: ignore[arg-type]


class _Making:
    """The sketch of a stretch, row group by row group."""

    def __init__(self, columns: Sequence[DatasetColumn]) -> None:
        self._columns = columns
        self._sketch = TableSketch(columns)
        self._coded: list[str] | None = None  # columns of text that repeats, by the first of its rows

    def add(self, groups: Sequence[Any]) -> TableSketch:
        """Take in the next ones; what it is so far."""
        for group in groups:
            if self._coded is None:
                self._coded = [column.name for column in self._columns if _repeats(group, column)]
            for name in self._coded:
                place = group.column_names.index(name)
                group = group.set_column(place, name, group.column(place).dictionary_encode())
            self._sketch.add(group)
        return self._sketch


def _repeats(group: Any, column: DatasetColumn) -> bool:
    """Whether a column holds texts that repeat, by some rows: then only its words need be looked at."""
    if column.type != "string":
        return False
    some = group.column(column.name).slice(0, _LOOKED_AT)
    return len(some.unique()) * _REPEATED < len(some)


class _Sketched:
    """What stretches come to, one after the other."""

    def __init__(self, blobs: Blobs, columns: Sequence[DatasetColumn], before: Profile | None) -> None:
        self.whole, self.segments = TableSketch(columns), list[Segment]()
        self._known = {segment.digest: segment for segment in (before.segments if before else [])}
        self._blobs, self._columns = blobs, columns

    def take(self, stretch: _Stretch[Any], sketch: Callable[[], TableSketch]) -> None:
        """Add one; `sketch` is called where it is not known."""
        segment = self._known.get(stretch.digest)
        if segment is not None and self._blobs.exists(segment.sketch):
            self.whole.merge(read_segment(self._blobs, segment, self._columns))
        else:
            made = sketch()
            stored = self._blobs.put(pack_segment(made))
            segment = Segment(digest=stretch.digest, rows=stretch.rows, sketch=stored)
            self.whole.merge(made)
        self.segments.append(segment)


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


def _sketch(
    file: Path, groups: Sequence[int], columns: Sequence[DatasetColumn], threads: ThreadPoolExecutor
) -> TableSketch:
    made = TableSketch(columns)
    with pq.ParquetFile(file) as parquet:
        about, coded = parquet.metadata.row_group(groups[0]), []
        for number, column in enumerate(columns):
            chunk = about.column(number) if about.num_columns == len(columns) else None
            if column.type == "string" and chunk and chunk.total_uncompressed_size < _CODED * chunk.num_values:
                coded.append(column.name)
    with pq.ParquetFile(file, read_dictionary=coded) as parquet:
        for group in groups:
            made.add(parquet.read_row_group(group), threads)
    return made


class _Forming(Generic[T]):
    """Row groups of a file as they become segments: one is what its bytes are, and which columns are about a person."""

    def __init__(self, columns: Sequence[DatasetColumn]) -> None:
        self._meant = repr([(column.name, column.type, column.personal) for column in columns]).encode()
        self._begin()

    def _begin(self) -> None:
        self._groups, self._hasher, self._rows = list[T](), blake3(self._meant), 0

    def add(self, group: T, digest: bytes, rows: int) -> _Stretch[T] | None:
        """The next one; the segment that ends with it, if one does."""
        self._groups.append(group)
        self._hasher.update(digest)
        self._rows += rows
        return self.rest() if digest[0] % _ENDS == 0 or len(self._groups) == _MOST else None

    def rest(self) -> _Stretch[T] | None:
        """The segment at the end of a file, if anything is left for one."""
        if not self._groups:
            return None
        found = _Stretch(self._groups, self._hasher.hexdigest(), self._rows)
        self._begin()
        return found


def _stretches(path: Path, columns: Sequence[DatasetColumn]) -> Iterator[_Stretch[int]]:
    """The segments of a file, by the numbers of their row groups."""
    forming = _Forming[int](columns)
    with pq.ParquetFile(path) as parquet, path.open("rb") as file:
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            if (found := forming.add(number, _digest(file, _bounds(group)), group.num_rows)) is not None:
                yield found
    if (left := forming.rest()) is not None:
        yield left


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
