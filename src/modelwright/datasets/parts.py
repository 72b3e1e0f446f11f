"""Rows as objects: Parquet whose bytes depend on nothing but the rows and the library that writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PART_ROWS = 1_000_000
GROUP_ROWS = 122_880  # DuckDB reads row groups in parallel; this is its own unit of work


def write_parts(tables: Iterable[Any], folder: Path) -> Iterator[tuple[Path, int]]:
    """Write tables as Parquet files of at most `PART_ROWS` rows each; gives each file with its rows.

    A table never shares a part with another, so adding a file to a list leaves the parts of the others as they were.
    """
    number = 0
    for table in tables:
        for start in range(0, max(table.num_rows, 1), PART_ROWS):
            piece = table.slice(start, PART_ROWS)
            path = folder / f"{number}.parquet"
            write_parquet(piece, path)
            number += 1
            yield path, piece.num_rows


def write_parquet(table: Any, path: Path) -> None:
    """One table as Parquet (zstd), without metadata of whoever made it.

    A column that holds NaN gets no statistics: Parquet's extremes leave NaN out, and DuckDB concludes from them that there
    is none, so that `isnan` would be false for every row.
    """
    plain = pa.table(table.combine_chunks().columns, schema=table.schema.remove_metadata())
    sound = [field.name for field in plain.schema if not _holds_nan(plain[field.name])]
    pq.write_table(
        plain,
        path,
        compression="zstd",
        compression_level=3,
        row_group_size=GROUP_ROWS,
        version="2.6",
        write_statistics=True if len(sound) == plain.num_columns else sound,
    )


def _holds_nan(column: Any) -> bool:
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())
