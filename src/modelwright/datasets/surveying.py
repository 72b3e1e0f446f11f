"""What has to be known of rows before the first of them is written: missing values, NaN, and what columns are about.

A large file of Parquet is looked at in places first, and what was found is compared with what all of its rows hold when
they are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.datasets.classes import Finding
from modelwright.datasets.detecting import scan_columns
from modelwright.datasets.detecting.scan import ROWS, places

_BYTES: Final = 16 << 20  # of a column's sample, but for the first few values
_FEW: Final = 1000


class Survey:
    """What is known of the rows of some tables, each of which becomes a part. Memory: a sample of each column."""

    def __init__(self, schema: Any, *, sampling: bool = True) -> None:
        """Without `sampling` nothing is found of what columns are about."""
        self.schema = schema
        self.rows = 0
        self.nulls = dict.fromkeys(schema.names, 0)
        self.nan: list[set[str]] = []  # of each part, the columns that hold NaN
        self._samples = {name: _Sample(schema.field(name).type) for name in schema.names} if sampling else {}

    def part(self, tables: Iterable[Any]) -> Iterable[Any]:
        """Look at the rows of the next part; hands them on."""
        nan: set[str] = set()
        self.nan.append(nan)
        for table in tables:
            self.rows += table.num_rows
            for name, column in zip(table.column_names, table.columns, strict=True):
                self.nulls[name] += column.null_count
                if pa.types.is_floating(column.type) and name not in nan and pc.any(pc.is_nan(column)).as_py():
                    nan.add(name)
                if self._samples:
                    self._samples[name].add(column)
            yield table

    def findings(self) -> list[Finding]:
        """What the columns are about."""
        return scan_columns({name: sample.values for name, sample in self._samples.items()})

    @property
    def missing(self) -> set[str]:
        """The columns of which values are missing."""
        return {name for name, count in self.nulls.items() if count}

    @property
    def empty(self) -> set[str]:
        """The columns without a value."""
        return {name for name, count in self.nulls.items() if count == self.rows}


class _Sample:
    """Values of a column, evenly over all that there are: all of few, at least `ROWS` of many."""

    def __init__(self, kind: Any) -> None:
        self.values = pa.chunked_array([], kind)
        self._step, self._seen = 1, 0

    def add(self, column: Any) -> None:
        """Take in the next ones."""
        there = column.drop_null() if column.null_count else column
        first = -self._seen % self._step
        self._seen += len(there)
        if first >= len(there):
            return
        some = there.take(places(first, len(there), self._step))
        self.values = pa.chunked_array([*self.values.chunks, *some.chunks], self.values.type)
        while len(self.values) > 2 * ROWS or (self.values.nbytes > _BYTES and len(self.values) > _FEW):
            self._step *= 2
            self.values = self.values.take(places(0, len(self.values), 2))
