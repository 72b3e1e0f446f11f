"""How far a column's distribution moved from one version to another, by their sketches alone: no row is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.datasets import distances
from modelwright.datasets.checks import Measure
from modelwright.datasets.kinds import is_number
from modelwright.datasets.records import DatasetColumn
from modelwright.datasets.sketches.column import ColumnSketch


def shift(column: DatasetColumn, before: ColumnSketch, after: ColumnSketch, measure: Measure) -> float | None:
    """The distance; None where one side has no value at all. `Invalid` if the column has no distribution to measure.

    Of numbers, `ks` and the share in each of the ten bins of `psi` are within twice the sketches' rank error of what all
    rows would give; of categories, exact up to 512 values, and beyond with the rare ones put together.
    """
    held = "text" if isinstance(before.least, str) else "numbers" if before.finite else ""
    if held and (held == "numbers") != is_number(column.type):
        raise Invalid(f"{column.name} held {held} before and is {column.type} now: such cannot be compared.")
    if is_number(column.type):
        if measure is Measure.TV:
            raise Invalid(f"{column.name} holds numbers, of which tv is not told.", mend="Measure psi or ks.")
        if not (before.finite and after.finite):
            return None
        one, other = _numbers(before, after)
        together = distances.into_deciles
    elif column.type in ("string", "bool"):
        if column.personal:
            raise Invalid(f"{column.name} is about a person: its values are not kept, so nothing is compared.")
        if measure is Measure.KS:
            raise Invalid(f"{column.name} holds categories, which have no order.", mend="Measure psi or tv.")
        if not (before.count and after.count):
            return None
        one, other = _categories(before, after)
        together = distances.into_categories
    else:
        raise Invalid(f"{column.name} holds {column.type}, of which no distribution is kept.")
    if measure is Measure.PSI:
        return distances.noise_free_psi(*together(one, other))
    return (distances.kolmogorov_smirnov if measure is Measure.KS else distances.total_variation)(one, other)


def _numbers(before: ColumnSketch, after: ColumnSketch) -> tuple[Any, Any]:
    """Rows on both sides at or below each number that either kept, and above the one before it."""
    sides = [each.counted() or each.quantiles.weighted() for each in (before, after)]
    places = np.unique(np.concatenate([numbers for numbers, _ in sides]))
    counts = [np.bincount(np.searchsorted(places, numbers), weights, len(places)) for numbers, weights in sides]
    return counts[0], counts[1]


def _categories(before: ColumnSketch, after: ColumnSketch) -> tuple[Any, Any]:
    """Rows on both sides of each value that either counted, and of all others."""
    values = sorted({*before.frequent.counts, *after.frequent.counts}, key=str)
    one, other = (np.array([side.frequent.counts.get(value, 0) for value in values], float) for side in (before, after))
    rest = max(0.0, before.count - one.sum()), max(0.0, after.count - other.sum())
    return (np.append(one, rest[0]), np.append(other, rest[1])) if any(rest) else (one, other)
