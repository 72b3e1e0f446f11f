"""What kinds of values columns hold, and how these are written in SQL and as values that travel."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from modelwright.core.clock import isoformat
from modelwright.datasets.engine import identifier
from modelwright.datasets.records import DatasetColumn, Scalar

INTEGERS = ("int", "uint")
_NUMBERS = (*INTEGERS, "float", "double", "halffloat", "decimal")
_PLAIN = (*_NUMBERS, "string", "bool", "date", "timestamp", "time")


def is_number(kind: str) -> bool:
    """Whether a column of this Arrow type holds numbers."""
    return kind.startswith(_NUMBERS)


def is_floating(kind: str) -> bool:
    """Whether its numbers may be NaN."""
    return kind.startswith(("float", "double", "halffloat"))


def is_plain(kind: str) -> bool:
    """Whether its values can be compared and counted: everything but bytes, lists and structs."""
    return kind.startswith(_PLAIN)


def present(column: DatasetColumn) -> str:
    """SQL for a column's values with NaN as missing."""
    name = identifier(column.name)
    return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END" if is_floating(column.type) else name


def finite(column: DatasetColumn) -> str:
    """SQL for a column of numbers as doubles, with NaN and the infinities as missing."""
    name = identifier(column.name)
    return f"CASE WHEN isfinite({name}) THEN {name}::DOUBLE END" if is_floating(column.type) else f"{name}::DOUBLE"


def scalar(value: Any) -> Scalar:
    """A cell as it travels: times as RFC 3339 text in UTC, decimals as floats, bytes by their hexadecimal digits."""
    if isinstance(value, datetime):
        return isoformat(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return real(value)
    if value is None or isinstance(value, int | str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def quoted(value: Any) -> Scalar:
    """A cell as it is shown to people: `scalar`, but infinities in words, and a decimal in all its digits."""
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, Decimal) and value.is_finite() and Decimal(repr(float(value))) != value:
        return str(value)
    return scalar(value)


def real(value: Any) -> float | None:
    """A float that JSON can hold, or None."""
    return float(value) if value is not None and math.isfinite(value) else None
