"""Rows of a source that can be read more than once, some at a time, so that nothing has to hold all of them.

Adding a table reads it twice: for what has to be known before the first row is written, and to write it; of a large file
the first reading is of some places. What can be read only once (a query, an Arrow stream) is kept the first time: in memory
as long as it is little, else in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.errors import Conflict, Invalid, Unavailable
from modelwright.core.folders import Seen
from modelwright.datasets.detecting.scan import places
from modelwright.datasets.types import cast_rows

BATCH: Final = 131_072  # rows of one step, at most
_BATCH_BYTES: Final = 16 << 20  # of one step of more rows than one, about
HELD: Final = 64 << 20  # bytes of a source that are kept in memory
_BUFFER: Final = 1 << 20  # bytes of a column of Parquet that are read at once
_SOME: Final = 32 << 20  # bytes of what was kept in files, that stay in memory to be looked at
_PICKED: Final = 8192  # rows of each place there
_GROUPS: Final = 6  # row groups of a file of Parquet that are looked at beforehand, and rows
_LOOKED_AT: Final = 2_000_000


class Room:
    """How much of the parts of one source may be kept in memory, together."""

    def __init__(self, size: int = HELD) -> None:
        self.left = size

    def takes(self, size: int) -> bool:
        """Whether so many bytes more may be, which they are then."""
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


class Stream:
    """Rows in their order, in tables of one schema, as often as they are asked for."""

    def __init__(
        self,
        schema: Any,
        read: Callable[[], Iterable[Any]],
        origin: str,
        some: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """`read` gives tables that have the columns of `schema`; they are cast to its types. `some` gives part of them."""
        self.schema = schema
        self.origin = origin
        self._read = read
        self._some = some or read

    def __iter__(self) -> Iterator[Any]:
        return self._of(self._read)

    def some(self) -> Iterator[Any]:
        """Rows from all over, which are many or all."""
        return self._of(self._some)

    def _of(self, read: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        for table in read():
            for some in _steps(table):
                yield cast_rows(some, self.schema, self.origin)

    def cast(self, schema: Any) -> Stream:
        """The same rows with other types, or columns in another order; `Invalid`, when they are read, if that cannot be."""
        return Stream(schema, self._read, self.origin, self._some)


def _rows_of(size: int, rows: int) -> int:
    """How many rows make a step, where so many rows have that size."""
    return max(1, min(BATCH, _BATCH_BYTES * rows // max(1, size)))


def _steps(table: Any) -> Iterator[Any]:
    """A table cut into steps; none of no rows."""
    rows = _rows_of(table.nbytes, table.num_rows)
    return (table.slice(place, rows) for place in range(0, table.num_rows, rows))


class ParquetRows:
    """The rows of a Parquet file, a batch at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._refusing(), self._open() as file:
            self.schema = file.schema_arrow
            about = file.metadata
            groups = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
            self.size = max(groups, 8 * about.num_rows * about.num_columns)  # bytes in memory, about
            self._step = _rows_of(self.size, about.num_rows)
        self._seen = Seen.of(path.stat())

    def __call__(self) -> Iterator[Any]:
        """`Conflict` where the file is not as it was when it was looked at first."""
        return self._batches(None)

    def some(self) -> Iterator[Any]:
        """The rows of some row groups, evenly over the file: of `_GROUPS` at least, and at least `_LOOKED_AT`."""
        with self._refusing(), self._open() as file:
            groups, rows = file.metadata.num_row_groups, max(1, file.metadata.num_rows)
        count = min(groups, max(_GROUPS, -(-groups * _LOOKED_AT // rows)))
        return self._batches([number * groups // count for number in range(count)])

    def _batches(self, groups: Sequence[int] | None) -> Iterator[Any]:
        with self._refusing(), self._open() as file:
            for batch in file.iter_batches(batch_size=self._step, row_groups=groups):
                yield pa.Table.from_batches([batch])
        refuse_changed(self._path, self._seen)

    def whole(self) -> Any:
        """All of them as one table."""
        with self._refusing():
            found = pq.read_table(self._path, page_checksum_verification=True, partitioning=None)
        refuse_changed(self._path, self._seen)
        return found

    def _open(self) -> Any:
        return pq.ParquetFile(self._path, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER)

    def _refusing(self) -> _Unreadable:
        return _Unreadable(self._path)


def refuse_changed(path: Path, seen: Seen) -> None:
    """`Conflict` where a file is not as it was seen before it was read."""
    try:
        same = Seen.of(path.stat()) == seen
    except FileNotFoundError:
        same = False
    if not same:
        raise Conflict(f"{path} changed while it was read.", mend="Try again when nothing writes to it.")


class _Unreadable:
    """What Arrow says of a file that is no Parquet, in our words."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException) and "Expected all lists to be of size" in str(error):
            raise Invalid(
                f"{self._path} has arrays of one length of which one is missing: Arrow writes such and reads none.",
                mend="Write them as lists of any length, column.cast(pa.list_(pa.float32())), or add the table itself.",
            ) from None
        if isinstance(error, pa.ArrowException | OSError):  # Arrow says OSError of pages that it cannot unpack
            raise Invalid(
                f"{self._path} is not a readable Parquet file: {str(error).rstrip('.')}.",
                mend="Write it again; what was there before is as it was.",
            ) from None


class Kept:
    """Tables that come once: the first reading keeps them while it hands them on, and later ones have them from there.

    They may have different types, which whoever reads them casts. `Unavailable` where the disk takes no more.
    """

    def __init__(self, source: Iterable[Any], folder: Path, room: Room) -> None:
        self._source: Iterator[Any] | None = iter(source)
        self._folder, self._room = folder, room
        self._held: list[Any] = []
        self._files: list[Path] = []
        self._sink: Any = None
        self._some: list[Any] = []  # the first rows of every so-manieth table
        self._step = self._count = 0
        self.rows = 0
        self.schemas: list[Any] = []  # every one that tables had, in the order in which they came

    def __call__(self) -> Iterator[Any]:
        if self._source is None:
            yield from self._again()
            return
        source, self._source = self._source, None
        try:
            for table in source:
                for some in _steps(table) if table.num_rows else (table,):
                    self._keep(some)
                    yield some
        finally:
            if self._sink is not None:
                self._sink.close()

    def all(self) -> Kept:
        """The same, read to its end: so it is known of which schemas it is."""
        for _ in self():
            pass
        return self

    def some(self) -> Iterator[Any]:
        """Of what was kept in files some rows from many places, else all: to be asked for once it has been read."""
        return iter([*self._held, *self._some])

    def forget(self) -> None:
        """Let go of what was kept."""
        self._held.clear()
        for path in self._files:
            path.unlink(missing_ok=True)

    def _keep(self, table: Any) -> None:
        self.rows += table.num_rows
        if not self.schemas or self.schemas[-1] != table.schema:
            self.schemas.append(table.schema)
            if self._sink is not None:
                self._begin(table.schema)
        if self._sink is None:
            if self._room.takes(table.nbytes):
                self._held.append(table)
                return
            self._begin(table.schema)
        self._pick(table)
        try:
            self._sink.write_table(table)
        except OSError as error:
            raise Unavailable(
                f"The rows could not be kept in {self._folder}: {error.strerror or error}",
                mend="Free some space on that disk, or name a folder on another one: TMPDIR.",
            ) from error

    def _pick(self, table: Any) -> None:
        if self._count % (1 << self._step) == 0:
            first = table.slice(0, _PICKED)
            self._some.append(first.take(places(0, first.num_rows, 1)))  # a copy: the rest need not stay
            if sum(each.nbytes for each in self._some) > _SOME and len(self._some) > 1:
                self._step += 1
                del self._some[1::2]
        self._count += 1

    def _begin(self, schema: Any) -> None:
        if self._sink is not None:
            self._sink.close()
        self._files.append(self._folder / f"kept-{len(self._files)}-{id(self):x}.arrow")
        self._sink = pa.ipc.new_stream(
            str(self._files[-1]), schema, options=pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=False)
        )

    def _again(self) -> Iterator[Any]:
        yield from self._held
        for path in self._files:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    yield pa.Table.from_batches([batch])


def ahead(tables: Iterable[Any]) -> Iterator[Any]:
    """The same tables, the next of them read by a thread while somebody is at work on one."""
    there = iter(tables)
    with ThreadPoolExecutor(1, "modelwright-rows") as thread:
        coming = thread.submit(next, there, None)
        while (table := coming.result()) is not None:
            coming = thread.submit(next, there, None)
            yield table


def _disagreeing(streams: Sequence[Stream], said: str) -> tuple[str, str]:
    """Which two files have which column with types that nothing holds both of, and what to do."""
    first = streams[0]
    for stream in streams[1:]:
        for field in first.schema:
            try:
                pa.unify_schemas(
                    [pa.schema([field]), pa.schema([stream.schema.field(field.name)])], promote_options="permissive"
                )
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                other = stream.schema.field(field.name).type
                told = f"Column {field.name!r} is {field.type} in {first.origin} and {other} in {stream.origin}."
                return told, f"Say which it is: types={{{field.name!r}: 'text'}}, --type {field.name}=text."
    return f"The files do not agree on the types of their columns: {said}", "Declare types."


def unified(streams: Sequence[Stream]) -> list[Stream]:
    """Streams with the columns of the first, and types that hold the values of all."""
    first = streams[0]
    for stream in streams[1:]:
        if set(stream.schema.names) != set(first.schema.names):
            differing = sorted(set(stream.schema.names) ^ set(first.schema.names))
            raise Invalid(f"{stream.origin} and {first.origin} do not have the same columns: {', '.join(differing)}.")
    try:
        ordered = [pa.schema([stream.schema.field(name) for name in first.schema.names]) for stream in streams]
        schema = pa.unify_schemas(ordered, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        said, mend = _disagreeing(streams, str(error))
        raise Invalid(said, mend=mend) from None
    return [stream.cast(schema) for stream in streams]
