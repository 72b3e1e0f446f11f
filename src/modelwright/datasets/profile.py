"""What is in a table: figures of every column, by DuckDB over the stored parts.

One query reads every column's counts, extremes, moments and quantiles together; histograms and frequent values need the
extremes first and are one small query each. Memory does not grow with the rows, but for exact quantiles and distinct
counts, which are given up for estimates beyond `EXACT_ROWS`.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from modelwright.core.clock import isoformat
from modelwright.datasets.engine import identifier, row, rows
from modelwright.datasets.records import (
    ColumnProfile,
    DatasetColumn,
    Histogram,
    Profile,
    Scalar,
    ValueCount,
)

BINS = 30
TOP = 50
EXAMPLES = 5
EXACT_ROWS = 1_000_000
PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)

_INTEGERS = ("int", "uint")
_NUMBERS = (*_INTEGERS, "float", "double", "halffloat", "decimal")
_PLAIN = (*_NUMBERS, "string", "bool", "date", "timestamp", "time")


def is_number(kind: str) -> bool:
    """Whether a column of this Arrow type holds numbers."""
    return kind.startswith(_NUMBERS)


def is_plain(kind: str) -> bool:
    """Whether its values can be compared and counted: everything but bytes, lists and structs."""
    return kind.startswith(_PLAIN)


def is_discrete(column: ColumnProfile) -> bool:
    """Whether its frequent values are all of its values: then they are its distribution."""
    return sum(value.count for value in column.top) == column.count


def profile_table(connection: Any, table: str, columns: list[DatasetColumn]) -> Profile:
    """Profile a table or view of a connection (see `engine.connect`) that has these columns."""
    total = int(row(connection, f"SELECT count(*) AS n FROM {identifier(table)}")["n"])
    exact = total <= EXACT_ROWS
    wanted = [
        f"{sql} AS {identifier(f'{i}.{figure}')}" for i, c in enumerate(columns) for figure, sql in _figures(c, exact)
    ]
    found = row(connection, f"SELECT {', '.join(wanted)} FROM {identifier(table)}")
    quotable = [column for column in columns if not column.personal and is_plain(column.type)]
    head = _head(connection, table, quotable)
    profiles = []
    for i, column in enumerate(columns):
        figures = {key.partition(".")[2]: value for key, value in found.items() if key.startswith(f"{i}.")}
        profiles.append(_column(connection, table, column, total, exact, figures, head))
    return Profile(rows=total, columns=profiles)


def _figures(column: DatasetColumn, exact: bool) -> list[tuple[str, str]]:
    """The aggregates of one column, by name."""
    x = present(column)
    figures = [("count", f"count({x})")]
    if not is_plain(column.type):
        return figures
    figures += [
        ("distinct", f"count(DISTINCT {x})" if exact else f"approx_count_distinct({x})"),
        ("minimum", f"min({x})"),
        ("maximum", f"max({x})"),
    ]
    if is_number(column.type):
        y = finite(column)
        quantile = "quantile_cont" if exact else "approx_quantile"
        probabilities = ", ".join(str(p) for p in PROBABILITIES)
        figures += [
            ("finite", f"count({y})"),
            ("lowest", f"min({y})"),
            ("highest", f"max({y})"),
            ("mean", f"avg({y})"),
            ("sd", f"stddev_samp({y})"),
            ("quantiles", f"{quantile}({y}, [{probabilities}])"),
        ]
    return figures


def present(column: DatasetColumn) -> str:
    """SQL for a column's values with NaN as missing."""
    name = identifier(column.name)
    return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END" if _is_float(column) else name


def finite(column: DatasetColumn) -> str:
    """SQL for a column of numbers as doubles, with NaN and the infinities as missing."""
    name = identifier(column.name)
    return f"CASE WHEN isfinite({name}) THEN {name}::DOUBLE END" if _is_float(column) else f"{name}::DOUBLE"


def _is_float(column: DatasetColumn) -> bool:
    return column.type.startswith(("float", "double", "halffloat"))


def _head(connection: Any, table: str, columns: list[DatasetColumn]) -> list[dict[str, Any]]:
    if not columns:
        return []
    names = ", ".join(identifier(column.name) for column in columns)
    return rows(connection, f"SELECT {names} FROM {identifier(table)} LIMIT {EXAMPLES}")


def _column(
    connection: Any,
    table: str,
    column: DatasetColumn,
    total: int,
    exact: bool,
    figures: dict[str, Any],
    head: list[dict[str, Any]],
) -> ColumnProfile:
    count = int(figures["count"])
    number, quotable = is_number(column.type), not column.personal and is_plain(column.type)
    extremes = quotable or number
    moments: dict[str, Any] = {}
    if number and figures["finite"]:
        low, high = float(figures["lowest"]), float(figures["highest"])
        moments = {
            "mean": _real(figures["mean"]),
            "sd": _real(figures["sd"]),
            "quantiles": {str(p): float(q) for p, q in zip(PROBABILITIES, figures["quantiles"], strict=True)},
            "histogram": _histogram(connection, table, column, low, high),
        }
    return ColumnProfile(
        name=column.name,
        type=column.type,
        count=count,
        missing=total - count,
        distinct=figures.get("distinct"),
        distinct_exact=exact,
        minimum=scalar(figures.get("minimum")) if extremes else None,
        maximum=scalar(figures.get("maximum")) if extremes else None,
        infinite=count - int(figures["finite"]) if number else 0,
        top=_top(connection, table, column) if quotable and _has_frequent(column, figures) else [],
        examples=[scalar(each[column.name]) for each in head if each[column.name] is not None] if quotable else [],
        personal=column.personal,
        **moments,
    )


def _has_frequent(column: DatasetColumn, figures: dict[str, Any]) -> bool:
    """Categories have frequent values; so have numbers and times of which there are only a few different ones."""
    few = figures["distinct"] <= TOP
    text = column.type in ("string", "bool")
    return few or (text and figures["distinct"] < figures["count"])


def bin_edges(column: DatasetColumn, low: float, high: float) -> list[float]:
    """About `BINS` edges of equal width from the lowest to the highest value; whole numbers for a column of them."""
    if column.type.startswith(_INTEGERS):
        whole = max(1, math.ceil((high - low + 1) / BINS))
        return [low + i * whole for i in range(math.ceil((high - low + 1) / whole) + 1)]
    width = (high - low) / BINS
    if not math.isfinite(width):
        return []
    return [low + i * width for i in range(BINS)] + [high] if width > 0 else [low, low + 1.0]


def _histogram(connection: Any, table: str, column: DatasetColumn, low: float, high: float) -> Histogram | None:
    edges = bin_edges(column, low, high)
    if not edges:
        return None
    bins, width = len(edges) - 1, edges[1] - edges[0]
    x = finite(column)
    counts = [0] * bins
    if width > 0:
        place = f"least(greatest(floor(({x} - ?::DOUBLE) / ?::DOUBLE), 0), {bins - 1})::INT"
        query = f"SELECT {place} AS bin, count(*) AS n FROM {identifier(table)} WHERE {x} IS NOT NULL GROUP BY 1"
        for found in rows(connection, query, (low, width)):
            counts[found["bin"]] = found["n"]
    return Histogram(edges=edges, counts=counts) if width > 0 else None


def _top(connection: Any, table: str, column: DatasetColumn) -> list[ValueCount]:
    query = f"""
        SELECT {present(column)} AS value, count(*) AS n FROM {identifier(table)}
        WHERE value IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT {TOP}"""
    return [ValueCount(value=scalar(found["value"]), count=found["n"]) for found in rows(connection, query)]


def scalar(value: Any) -> Scalar:
    """A cell as it travels: times as RFC 3339 text in UTC, decimals as floats, bytes by their hexadecimal digits."""
    if isinstance(value, datetime):
        return isoformat(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return _real(value)
    if value is None or isinstance(value, int | str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _real(value: Any) -> float | None:
    """A float that JSON can hold, or None."""
    return float(value) if value is not None and math.isfinite(value) else None
