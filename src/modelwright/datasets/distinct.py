"""How many different values a column of whole numbers or times has, without a table of them: one look at each value.

Where least and greatest lie close together, every number between them has a place in an array, and is marked there. Else
the values are followed as long as each is greater than the one before, as they are in most keys; of others SQL has to tell.
Texts, and keys of several columns, are followed likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from modelwright.datasets.scans import batches_of

MANY: Final = 1 << 19  # rows; a table of fewer is made before what computes is imported
WIDEST: Final = 64 << 20  # numbers that have a place: bytes of memory
_BATCH: Final = 1 << 17
_ROWS: Final = 1 << 14  # of keys that are followed together


def count_numbers(files: Sequence[Path], name: str) -> tuple[int, int, int] | None:
    """Rows, values and different values of a column in some Parquet files; None where that takes another way."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    bounds: list[int] | None = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            kind = parquet.schema_arrow.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date32(kind)):
                return None
            if pa.types.is_uint64(kind):
                return None
            rows += parquet.metadata.num_rows
            bounds = None if bounds is None else _bounds(parquet, name, bounds, whole=pa.types.is_integer(kind))
    if bounds and max(bounds) - min(bounds) < WIDEST:
        counted = _marked(_values(files, name), min(bounds), max(bounds))
    else:
        counted = _ascending(_values(files, name))
    return None if counted is None else (rows, *counted)


def count_ascending(files: Sequence[Path], names: Sequence[str], *, least: int = MANY) -> tuple[int, int, int] | None:
    """The same of some columns together, of texts too, where each row's are greater than those of the row before.

    None where they are not, where one is missing or a fraction, and of fewer rows than `least`.
    """
    import pyarrow.parquet as pq

    rows = 0
    for file in files:
        with pq.ParquetFile(file) as parquet:
            if not all(_is_ordered(parquet.schema_arrow.field(name).type) for name in names):
                return None
            rows += parquet.metadata.num_rows
    if rows < least:
        return None
    last: list[Any] = []
    for batch in batches_of(files, names, _ROWS):
        keys = [batch.column(name) for name in names]
        for column in keys:
            column.validate(full=True)  # of texts that are no UTF-8 the query says so
        if not batch.num_rows or any(column.null_count for column in keys):
            return None
        if last and not _ascend(last, [column.slice(0, 1) for column in keys]):
            return None
        if not _ascend([column.slice(0, batch.num_rows - 1) for column in keys], [column.slice(1) for column in keys]):
            return None
        last = [column.slice(batch.num_rows - 1) for column in keys]
    return rows, rows, rows


def _is_ordered(kind: Any) -> bool:
    import pyarrow.types as of

    return any(is_it(kind) for is_it in (of.is_integer, of.is_string, of.is_large_string, of.is_timestamp, of.is_date32))


def _ascend(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether each of some rows is less than the one at its place in the others, by their columns in turn."""
    import pyarrow.compute as pc

    less = pc.less(before[-1], after[-1])
    for one, other in zip(reversed(before[:-1]), reversed(after[:-1]), strict=True):
        less = pc.or_(pc.less(one, other), pc.and_(pc.equal(one, other), less))
    return not less.false_count


def _bounds(parquet: Any, name: str, known: list[int], *, whole: bool) -> list[int] | None:
    """The extremes that the row groups name, after those already known; None if one names none."""
    if not whole:
        return None
    number = parquet.schema_arrow.get_field_index(name)
    found = list(known)
    for group in range(parquet.metadata.num_row_groups):
        about = parquet.metadata.row_group(group).column(number)
        if about.path_in_schema != name:  # of nested columns before it
            return None
        if about.num_values == 0:
            continue
        if about.statistics is None or not about.statistics.has_min_max:
            if about.statistics is None or about.statistics.null_count != about.num_values:
                return None
            continue
        found += [about.statistics.min, about.statistics.max]
    return found


def _values(files: Sequence[Path], name: str) -> Iterator[Any]:
    """The values that are there, as arrays of 64-bit numbers. (Arrow's own way to NumPy imports pandas if it
    is there, and what computes anything imports all that can be computed: a tenth of a second.)"""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_BATCH, columns=[name]):
                column = batch.column(0)
                if column.null_count:
                    column = column.drop_null()
                if pa.types.is_timestamp(column.type):
                    column = column.view(pa.int64())
                elif pa.types.is_date32(column.type):
                    column = column.view(pa.int32())
                wide = column if pa.types.is_int64(column.type) else column.cast(pa.int64())
                yield np.frombuffer(wide.buffers()[1], np.int64)[wide.offset : wide.offset + len(wide)]


def _marked(values: Iterator[Any], low: int, high: int) -> tuple[int, int] | None:
    """How many values there are, and how many different ones; None if one is not between the bounds."""
    import numpy as np

    seen, count = np.zeros(high - low + 1, np.bool_), 0
    for each in values:
        if len(each):
            if each.min() < low or each.max() > high:
                return None
            seen[each - low] = True
            count += len(each)
    return count, int(np.count_nonzero(seen))


def _ascending(values: Iterator[Any]) -> tuple[int, int] | None:
    """The same of values of which each is greater than the one before; None if one is not."""
    last, count = None, 0
    for each in values:
        if not len(each):
            continue
        if (last is not None and each[0] <= last) or not (each[1:] > each[:-1]).all():
            return None
        last, count = each[-1], count + len(each)
    return count, count
