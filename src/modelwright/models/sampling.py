"""Rows like those of an example: within the range of each column or among its levels, with gaps where there may be some.

An example is often short and tidy. A converted model is compared on rows that it does not hold, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.signature import Column, DataType

ROWS = 200
MISSING = 0.1  # of the values of a column that may be missing


def sample(table: pa.Table, columns: Sequence[Column], *, rows: int = ROWS, seed: int = 0, gaps: bool = True) -> pa.Table:
    """Rows of the same types; the same arguments give the same rows."""
    random = np.random.default_rng(seed)
    made = {}
    for column in columns:
        found = table[column.name]
        values = _values(random, column, found, rows)
        if gaps and column.nullable:
            values = [None if random.random() < MISSING else value for value in values]
        made[column.name] = pa.array(values, type=_plain(found.type)).cast(found.type, safe=False)
    return pa.table(made)


def _values(random: np.random.Generator, column: Column, found: pa.ChunkedArray, rows: int) -> list[Any]:
    known = found.drop_null() if not pa.types.is_floating(found.type) else found.filter(pc.is_finite(found))
    if column.categories:
        return [column.categories[i] for i in random.integers(0, len(column.categories), rows)]
    if len(known) == 0:
        return [None] * rows
    if column.dtype in (DataType.FP32, DataType.FP64):
        low, high = float(pc.min(known).as_py()), float(pc.max(known).as_py())
        return [*map(float, random.uniform(low, high, rows))]
    if column.dtype in (DataType.INT32, DataType.INT64) and not pa.types.is_dictionary(found.type):
        return [*map(int, random.integers(pc.min(known).as_py(), pc.max(known).as_py(), rows, endpoint=True))]
    listed = known.to_pylist()
    return [listed[i] for i in random.integers(0, len(listed), rows)]


def _plain(found: pa.DataType) -> pa.DataType:
    return found.value_type if pa.types.is_dictionary(found) else found
