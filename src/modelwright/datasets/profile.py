"""What is in a table, as figures of every column: what its sketches (see `sketches` and `segments`) amount to.

Counts, extremes, mean and standard deviation are exact. So are quantiles of up to 512 numbers and counts of up to 1,024
different and 512 frequent values; beyond, they are estimates, and the profile says how good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from modelwright.datasets.engine import EPOCH, day, moment
from modelwright.datasets.kinds import INTEGERS, is_number, is_plain, real, scalar
from modelwright.datasets.records import (
    ColumnProfile,
    DatasetColumn,
    Histogram,
    Profile,
    Scalar,
    Segment,
    ValueCount,
)
from modelwright.datasets.segments import TableSketch
from modelwright.datasets.sketches.column import ColumnSketch
from modelwright.datasets.sketches.distinct import ERROR as DISTINCT_ERROR
from modelwright.datasets.sketches.quantiles import ERROR as RANK_ERROR
from modelwright.datasets.sketches.quantiles import quantiles_of

BINS = 30
TOP = 50
MILLISECONDS_A_DAY = 86_400_000
OUTSTANDING = 0.05  # of the values: one number that so many rows have is told though there are many others
PROBABILITIES = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99)


def is_discrete(column: ColumnProfile) -> bool:
    """Whether its frequent values are all of its values: then they are its distribution."""
    return sum(value.count for value in column.top) == column.count


def profile_of(sketch: TableSketch, columns: Sequence[DatasetColumn], segments: Sequence[Segment] = ()) -> Profile:
    """The figures that sketches of a table with these columns amount to."""
    return Profile(
        rows=sketch.rows,
        columns=[_column(column, sketch.columns[column.name]) for column in columns],
        segments=list(segments),
    )


def _column(column: DatasetColumn, of: ColumnSketch) -> ColumnProfile:
    number, plain = is_number(column.type), is_plain(column.type)
    quotable = plain and not column.personal
    shown = quotable or number
    distinct = min(of.distinct.count(), of.count) if plain else None  # an estimate may be more than there are
    moments: dict[str, Any] = {}
    if number and of.finite and of.low is not None and of.high is not None:
        counted = of.counted()
        found = (
            quantiles_of(*counted, PROBABILITIES, interpolate=True) if counted else of.quantiles.quantiles(PROBABILITIES)
        )
        moments = {
            "mean": real(of.mean),
            "sd": real(of.sd),
            "quantiles": {str(p): quantile for p, quantile in zip(PROBABILITIES, found, strict=True)},
            "rank_error": 0.0 if counted or of.quantiles.exact else RANK_ERROR,
            "histogram": _histogram(column, of),
        }
    return ColumnProfile(
        name=column.name,
        type=column.type,
        count=of.count,
        missing=of.missing,
        distinct=distinct,
        distinct_exact=of.distinct.exact,
        distinct_error=0.0 if of.distinct.exact else DISTINCT_ERROR,
        minimum=_cell(of.least, column.type) if shown else None,
        maximum=_cell(of.greatest, column.type) if shown else None,
        infinite=of.count - of.finite if number else 0,
        top=_top(column, of, distinct or 0) if quotable else [],
        top_error=of.frequent.error if quotable else 0,
        examples=[_cell(each, column.type) for each in of.examples] if quotable else [],
        personal=column.personal,
        **moments,
    )


def _top(column: DatasetColumn, of: ColumnSketch, distinct: int) -> list[ValueCount]:
    """Categories have frequent values; so have numbers and times of which there are few, or a value that stands out."""
    found = of.frequent.counts
    if column.type not in ("string", "bool") and distinct > TOP:
        found = {value: count for value, count in found.items() if count >= OUTSTANDING * of.count}
    elif distinct == of.count and distinct > TOP:
        return []
    listed = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:TOP]
    return [ValueCount(value=_cell(value, column.type), count=count) for value, count in listed]


def bin_edges(column: DatasetColumn, low: float, high: float) -> list[float]:
    """About `BINS` edges of equal width from the lowest to the highest value; whole numbers for a column of them."""
    if column.type.startswith(INTEGERS):
        whole = max(1, math.ceil((high - low + 1) / BINS))
        return [low + i * whole for i in range(math.ceil((high - low + 1) / whole) + 1)]
    width = (high - low) / BINS
    if not math.isfinite(width):
        return []
    return [low + i * width for i in range(BINS)] + [high] if width > 0 else [low, low + 1.0]


def _histogram(column: DatasetColumn, of: ColumnSketch) -> Histogram | None:
    edges = bin_edges(column, of.low or 0.0, of.high or 0.0)
    if len(edges) < 2 or not edges[1] > edges[0]:
        return None
    counted = of.counted()
    if counted is None:
        below = of.quantiles.below(np.array(edges[:-1]))
        return Histogram(edges=edges, counts=[int(n) for n in np.diff(np.append(below, of.finite))])
    numbers, counts = counted
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    return Histogram(edges=edges, counts=np.bincount(places, counts, len(edges) - 1).astype(int).tolist())


def _cell(value: Any, kind: str) -> Scalar:
    """A counted value as it travels: what was counted as a whole number is a date or a time again."""
    if value is None or not kind.startswith(("date", "time")):
        return scalar(value)
    if kind.startswith("timestamp"):
        return scalar(moment(value))
    if kind.startswith("date"):
        return scalar(day(value if "32" in kind else value // MILLISECONDS_A_DAY))
    unit = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}.get(kind[kind.find("[") + 1 : -1])
    return str((EPOCH + (timedelta(**{unit: value}) if unit else timedelta(microseconds=value // 1000))).time())
