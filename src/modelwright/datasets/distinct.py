"""How many different values a column of whole numbers or times has, without a table of them: one look at each value.

Where least and greatest lie close together, every number between them has a place in an array, and is marked there. Else
the values are followed as long as each is greater than the one before, as they are in most keys; of others SQL has to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

WIDEST: Final = 64 << 20  # numbers that have a place: bytes of memory
_BATCH: Final = 1 << 17


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
