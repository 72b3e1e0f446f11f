"""The rows of a version as whoever computes gets them: Parquet files in their order, or one Arrow dataset over a lake's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

Rows: TypeAlias = Any  # a sequence of paths (or, to be read once, of file objects), or an Arrow dataset
BATCH: Final = 65_536
_AHEAD: Final = 2  # batches of a file that are read while somebody is at work on one


def is_scan(rows: Rows) -> bool:
    """Whether it is an Arrow dataset, and no list of files."""
    return not isinstance(rows, Sequence)


def schema_of(rows: Rows) -> Any:
    """The columns of all of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if is_scan(rows):
        return rows.schema
    return pa.unify_schemas([pq.read_schema(file).remove_metadata() for file in rows])


def batches_of(rows: Rows, columns: Sequence[str] | None = None, size: int = BATCH) -> Iterator[Any]:
    """Record batches of at most `size` rows, in order; all columns or some."""
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    if is_scan(rows):
        for batch in rows.to_batches(columns=wanted, batch_size=size, batch_readahead=_AHEAD):
            if batch.num_rows:
                yield batch
        return
    for file in rows:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:  # else all columns of the whole file are read at once
            yield from parquet.iter_batches(size, columns=wanted)


def tables_of(rows: Rows, size: int) -> Iterator[Any]:
    """Tables to be worked on one after the other: a file each, or of a dataset about `size` rows each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_scan(rows):
        for file in rows:
            yield pq.read_table(file, partitioning=None)
        return
    held: list[Any] = []
    for batch in batches_of(rows):
        held.append(batch)
        if sum(each.num_rows for each in held) >= size:
            yield pa.Table.from_batches(held, rows.schema)
            held = []
    if held:
        yield pa.Table.from_batches(held, rows.schema)
