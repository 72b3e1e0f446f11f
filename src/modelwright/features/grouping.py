"""Entities as small whole numbers, the same in the source and in the rows asked for: these are sorted and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SPARE = 1024  # numbers that nobody has, beside four for each row, before they are written anew


class Grouped(NamedTuple):
    """The entity of each row, from 0 to below `number`; -1 in the rows asked for where the source has none like it."""

    source: Any  # int64
    asked: Any  # int64
    number: int


def grouped(source: Sequence[Any], asked: Sequence[Any]) -> Grouped:
    """Number the entities of columns of integers, text or booleans, of the same types on both sides.

    Nothing is missing in those of the source; a request with a missing part has no entity.
    """
    found = _numbered(source[0], asked[0])
    for mine, theirs in zip(source[1:], asked[1:], strict=True):
        more = _numbered(mine, theirs)
        found = _small(
            Grouped(
                found.source * more.number + more.source,
                np.where((found.asked < 0) | (more.asked < 0), -1, found.asked * more.number + more.asked),
                found.number * more.number,
            )
        )
    return found


def _numbered(mine: Any, theirs: Any) -> Grouped:
    if not pa.types.is_integer(mine.type):
        return _looked_up(mine, theirs)
    numbers = mine.to_numpy()
    if not len(numbers):
        return Grouped(numbers, np.full(len(theirs), -1), 1)
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > len(numbers) * 4 + SPARE:
        return _looked_up(mine, theirs)
    asked = pc.fill_null(theirs, high + 1 if high < np.iinfo(np.int64).max else low - 1).to_numpy()
    outside = (asked < low) | (asked > high)
    return Grouped(numbers - low if low else numbers, np.where(outside, -1, asked - low), high - low + 1)


def _looked_up(mine: Any, theirs: Any) -> Grouped:
    encoded = _whole(mine).dictionary_encode()
    there = pc.index_in(_whole(theirs), value_set=encoded.dictionary)
    codes, asked = encoded.indices.to_numpy(), pc.fill_null(there, -1).to_numpy()
    return Grouped(codes.astype(np.int64), asked.astype(np.int64), max(1, len(encoded.dictionary)))


def _small(found: Grouped) -> Grouped:
    """The same with numbers anew where most belong to nobody: two columns side by side multiply."""
    if found.number <= len(found.source) * 4 + SPARE:
        return found
    return _looked_up(pa.array(found.source), pa.array(found.asked))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
