"""Rows as Parquet whose bytes depend on nothing but the rows and the library that writes them, and change where these do.

Row groups and pages end where the content says so: rows put in or taken out change the pages around them and no others.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelwright.core.errors import Invalid, Unavailable
from modelwright.datasets.streams import ahead
from modelwright.datasets.types import lacks_arrays

LEAST_ROWS: Final = 65_536  # rows of a row group that content has ended; DuckDB's unit of work is 122,880
MOST_ROWS: Final = 262_144
MOST_BYTES: Final = 64 << 20  # in memory, of a row group of more rows than one: texts and pictures may be large
_ENDS: Final = (1 << 64) >> 16  # one row in 65,536 ends a group
_BLOCK: Final = 65_536  # rows looked at in one step: what is computed of them fits into a processor's cache
_FEW: Final = 4  # a column of numbers has a dictionary if each of its first values is there so often, on average
_PAGES: Final = {"min_chunk_size": 64 << 10, "max_chunk_size": 256 << 10, "norm_level": 1}  # bytes before compression
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)


class Watching(Protocol):
    """What is told of each row group as it is written, while it is in memory."""

    def group(self, rows: Any, file: Any, start: int, end: int) -> None:
        """Its rows, in one piece, lie from `start` to `end` in a file that is open for reading."""
        ...

    def end(self) -> None:
        """The file has ended."""
        ...


def write_parts(
    tables: Iterable[Any], folder: Path, by: Sequence[str] = (), watching: Watching | None = None
) -> Iterator[tuple[Path, int]]:
    """Write tables as Parquet files, one each; gives each file with its rows. For `by` see `group_ends`."""
    for number, table in enumerate(tables):
        path = folder / f"{number}.parquet"
        write_parquet(table, path, by, watching)
        yield path, table.num_rows


def write_parquet(table: Any, path: Path, by: Sequence[str] = (), watching: Watching | None = None) -> None:
    """One table as Parquet (zstd), without metadata of whoever made it.

    A column that holds NaN gets no statistics: Parquet's extremes leave NaN out, and DuckDB concludes from them that there
    is none, so that `isnan` would be false for every row. Text has a dictionary, and so have numbers that are few; other
    whole numbers and times are stored as differences.
    `Unavailable` where the disk takes no more; `Invalid` for a missing array among those of one length.
    """
    plain = pa.table(table.columns, schema=table.schema.remove_metadata())
    if lost := [field.name for field in plain.schema if lacks_arrays(field.type, plain[field.name])]:
        raise Invalid(
            f"{', '.join(lost)}: arrays of one length of which some are missing cannot be read back from Parquet.",
            mend="Make them lists of any length: column.cast(pyarrow.list_(pyarrow.float32())).",
        )
    nan = {field.name for field in plain.schema if _holds_nan(plain[field.name])}
    write_rows([plain], plain.schema, path, by, watching, nan=nan)


def write_rows(
    tables: Iterable[Any],
    schema: Any,
    path: Path,
    by: Sequence[str] = (),
    watching: Watching | None = None,
    *,
    nan: Container[str],
) -> int:
    """The same of rows that come table by table; gives their number. Memory: two row groups, whatever the number of rows.

    Where the next one ends, a thread finds out while one is written.

    `nan` are the columns that hold NaN; arrays of one length are all there.
    """
    groups = ahead(row_groups(tables, schema, by))
    first = next(groups)
    sound = [name for name in schema.names if name not in nan]
    listed = [field.name for field in schema if _is_text(field.type) or _are_few(first[field.name])]
    steps = {field.name for field in schema if _has_steps(field.type)} - set(listed)
    rows = 0
    try:
        with (
            pa.OSFile(str(path), "wb") as sink,
            path.open("rb", buffering=0) as file,
            pq.ParquetWriter(
                sink,
                schema,
                compression="zstd",
                compression_level=3,
                version="2.6",
                write_statistics=True if len(sound) == len(schema) else sound,
                use_dictionary=True if len(listed) == len(schema) else listed,
                column_encoding=dict.fromkeys(steps, "DELTA_BINARY_PACKED") or None,
                use_content_defined_chunking=_PAGES,
            ) as writer,
        ):
            for group in chain([first], groups):
                begin = sink.tell()
                writer.write_table(group, row_group_size=max(1, group.num_rows))
                rows += group.num_rows
                if watching is not None:
                    watching.group(group, file, begin, sink.tell())
            if watching is not None:
                watching.end()
    except OSError as error:
        raise Unavailable(
            f"The rows could not be written to {path.parent}: {error.strerror or error}",
            mend="Free some space on that disk, or name a folder on another one: TMPDIR.",
        ) from error
    return rows


def group_ends(table: Any, by: Sequence[str] = ()) -> list[int]:
    """After which rows a row group of a table ends; see `row_groups`."""
    return list(accumulate(group.num_rows for group in row_groups([table], table.schema, by)))


def row_groups(tables: Iterable[Any], schema: Any, by: Sequence[str] = ()) -> Iterator[Any]:
    """Rows as row groups, each in one piece: one at least, which may be empty.

    One ends after a row whose values in the columns `by` pick it, or at `MOST_ROWS`, however the rows come. Without `by` it
    is all columns; then a column more moves every end. Between two ends lie at least `LEAST_ROWS`, unless those hold more
    than `MOST_BYTES`: then it ends before the row with which it would.
    """
    names = [name for name in by if name in schema.names] or schema.names
    held: list[Any] = []
    picked: list[int] = []  # rows after which a group may end, from the first that is held
    rows, done = 0, False
    for table in tables:
        for place in range(0, table.num_rows, _BLOCK):
            block = table.slice(place, _BLOCK)
            picked += [rows + each for each in _picked(block.select(names)).tolist()]
            held.append(block)
            rows += block.num_rows
            while (end := _end(picked, held)) <= rows:
                done = True
                group, held = _split(held, end)
                yield group
                picked, rows = [each - end for each in picked if each > end], rows - end
    if rows or not done:
        yield pa.concat_tables([*held, schema.empty_table()]).combine_chunks()


def _end(picked: Sequence[int], held: Sequence[Any]) -> int:
    """After how many rows a group ends, of which these are the first."""
    end = min(next((each for each in picked if each >= LEAST_ROWS), MOST_ROWS), MOST_ROWS)
    if sum(table.nbytes for table in held) > MOST_BYTES:  # which is no less than what is counted here, and quicker
        reached = np.cumsum(np.concatenate([bytes_of_rows(table) for table in held]))
        fit = int(np.searchsorted(reached, MOST_BYTES, side="right"))
        return end if fit == len(reached) else min(end, max(1, fit))
    return end


def bytes_of_rows(table: Any) -> Any:
    """How many bytes the values of each row take, as an array; the same however the table is cut."""
    sizes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if column.num_chunks:
            sizes += np.concatenate([_bytes_of(chunk) for chunk in column.chunks])
    return sizes


def _bytes_of(values: Any) -> Any:
    """The same of one array. Of values behind an index that index counts, of pairs their values."""
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return _bytes_of(values.storage)
    if _is_text(kind):
        return pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    if pa.types.is_struct(kind):
        return sum((_bytes_of(each) for each in values.flatten()), np.zeros(len(values), np.int64))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        inner = values.items if pa.types.is_map(kind) else values.values
        reached = np.concatenate([np.zeros(1, np.int64), np.cumsum(_bytes_of(inner))])
        bounds = values.offsets.to_numpy()
        return (reached[bounds[1:]] - reached[bounds[:-1]]) * values.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(kind):
        inner = values.values.slice(values.offset * kind.list_size, len(values) * kind.list_size)
        return _bytes_of(inner).reshape(len(values), kind.list_size).sum(axis=1)
    try:
        return np.full(len(values), kind.bit_width // 8, np.int64)
    except ValueError:  # what has no width
        return np.zeros(len(values), np.int64)


def _split(held: Sequence[Any], end: int) -> tuple[Any, list[Any]]:
    """The first rows of some tables as one in one piece, and the rest of them."""
    joined = pa.concat_tables(held)
    return joined.slice(0, end).combine_chunks(), [joined.slice(end)] if joined.num_rows > end else []


def _picked(rows: Any) -> Any:
    """After which of some rows a group may end."""
    hashes = np.zeros(rows.num_rows, np.uint64)
    for column in rows.columns:
        hashes ^= _hash(column)
        hashes *= _MULTIPLIER
    hashes ^= hashes >> np.uint64(29)
    hashes *= _MIX
    return np.flatnonzero(hashes ^ (hashes >> np.uint64(32)) < np.uint64(_ENDS)) + 1


def _hash(column: Any) -> Any:
    """A number for each value; the same for equal values. What has no fixed width and is no text gives zeros."""
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies one, too
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _hash_texts(values)
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif not (pa.types.is_primitive(kind) and kind.bit_width <= 64):
        return np.zeros(len(values), np.uint64)
    whole = values.view({8: pa.uint8(), 16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}[values.type.bit_width])
    whole = whole.fill_null(0) if whole.null_count else whole
    return whole.to_numpy(zero_copy_only=False).astype(np.uint64, copy=False) * _MIX


def _hash_texts(values: Any) -> Any:
    """By their length and their last eight bytes."""
    values = (pc.fill_null(values, "") if values.null_count else values).cast(pa.large_string())
    _, offsets, content = values.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(values) + 1 + values.offset)[values.offset :]
    texts = np.frombuffer(content, np.uint8)[bounds[0] : bounds[-1]] if content else np.empty(0, np.uint8)
    data = np.concatenate([np.zeros(8, np.uint8), texts])
    words = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))
    lengths = (bounds[1:] - bounds[:-1]).astype(np.uint64)
    beyond = (np.uint64(8) - np.minimum(lengths, np.uint64(8))) * np.uint64(8)  # bits of the texts before it
    last = np.where(beyond < 64, words[bounds[1:] - bounds[0]] >> np.minimum(beyond, np.uint64(63)), np.uint64(0))
    return (last ^ (lengths << np.uint64(56))) * _MIX


def _is_text(kind: Any) -> bool:
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _are_few(column: Any) -> bool:
    """Whether these are numbers or times that repeat, by the first of them: so it is the same when rows are appended."""
    if not (pa.types.is_floating(column.type) or _has_steps(column.type)):
        return False
    first = column.slice(0, LEAST_ROWS)
    return len(pc.unique(first)) * _FEW <= len(first)


def _has_steps(kind: Any) -> bool:
    """Whether Parquet holds it as a whole number."""
    return any(check(kind) for check in (pa.types.is_integer, pa.types.is_timestamp, pa.types.is_date32, pa.types.is_time))


def _holds_nan(column: Any) -> bool:
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())
