"""The signature of a model: the columns it takes and the columns it gives. Pure; shared by the registry and serving."""

from __future__ import annotations

from enum import StrEnum

import msgspec

LEVELS = 8  # of a column that are named to people


class DataType(StrEnum):
    """Column types, by the names that the Open Inference Protocol gives them (STRING stands for its BYTES)."""

    BOOL = "BOOL"
    INT32 = "INT32"
    INT64 = "INT64"
    FP32 = "FP32"
    FP64 = "FP64"
    STRING = "STRING"
    DATETIME = "DATETIME"  # RFC 3339 on the wire, microseconds since 1970 in UTC in memory


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `nullable` and `categories` (the known levels of a STRING) survive every format and every door."""

    name: str
    dtype: DataType
    nullable: bool = False
    categories: list[str] | None = None

    def told(self, beside: Column | None = None) -> str:
        """What it is but its name, for people; of its levels those first that the one beside it has not."""
        if self.categories is None:
            words = [self.dtype.value]
        else:
            others = set(beside.categories or ()) if beside else set[str]()
            own = [level for level in self.categories if level not in others] or self.categories
            more = len(self.categories) - len(own[:LEVELS])
            words = [f"{self.dtype.value}: {', '.join(own[:LEVELS])}" + (f" and {more:,} more" if more else "")]
        return ", ".join([*words, "may be missing"] if self.nullable else words)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What goes in and what comes out, in order."""

    inputs: list[Column]
    outputs: list[Column]
