"""A column of a profile as a sample, so that every detector takes it on either side.

The sample is drawn evenly by rank from what the sketch holds: quantiles of numbers (Karnin, Lang and Liberty), counts of
the frequent categories (Misra and Gries) and of all others together. A sketch is off by some share e of the rows in 99
cases of a hundred. By chance alone the distribution function of n rows is off by more than 1.628 / sqrt(n) in one case of a
hundred (Kolmogorov), so no more than (1.628 / e)^2 rows are drawn: then what a detector takes for noise covers what the
sketch does not know, and no p-value is smaller than it may be.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelwright.monitoring.detectors.base import ColumnKind, Values

MOST: Final = 100_000  # rows drawn where the sketch is exact
RARE: Final = 10  # categories of fewer rows are not kept of predictions
_KOLMOGOROV: Final = 1.628  # the 99 % point of sqrt(n) D
_CATEGORIES: Final = ("string", "large_string", "bool", "dictionary")


def values_of_sketch(sketch: Any, kind: str) -> tuple[Values, float] | None:
    """A column's sketch (`TableSketch.columns`) as a sample, and by what share of the rows it may be off.

    `kind` is Arrow's name of the column's type. None where the sketch keeps nothing to compare by: categories about people,
    times, lists.
    """
    if sketch.finite:
        counted = sketch.counted()
        numbers, weights = counted or sketch.quantiles.weighted()
        error = 0.0 if counted or sketch.quantiles.exact else sketch.quantiles.error
        places, missing = _drawn(weights, sketch.rows - sketch.finite, error)
        return Values(ColumnKind.NUMERIC, numbers[places].astype(float), missing), error
    if not kind.startswith(_CATEGORIES):
        return None if sketch.count or not sketch.rows else (Values(ColumnKind.NUMERIC, np.array([]), sketch.rows), 0.0)
    if not sketch.quoting and sketch.count:
        return None
    names = sorted(sketch.frequent.counts, key=str)
    held = np.array([sketch.frequent.counts[name] for name in names], np.int64)
    rest = sketch.count - int(held.sum())
    error = sketch.frequent.error / sketch.count if sketch.count else 0.0
    places, missing = _drawn(np.append(held, rest), sketch.rows - sketch.count, error)
    named = places[places < len(names)]
    texts = np.asarray([str(name) for name in names], dtype=str)
    return Values(ColumnKind.CATEGORICAL, texts[named], missing, other=len(places) - len(named)), error


def _drawn(weights: NDArray[Any], missing: int, error: float) -> tuple[NDArray[Any], int]:
    """Places in what is held, each as often as its weight says, and the rows missing: no more than `error` allows."""
    ends = np.cumsum(weights)
    present = int(ends[-1]) if len(ends) else 0
    most = MOST if not error else max(1, min(MOST, int((_KOLMOGOROV / error) ** 2)))
    share = min(1.0, most / max(1, present + missing))
    rows = round(present * share)
    middles = (np.arange(rows) + 0.5) * (present / max(1, rows))
    return np.searchsorted(ends, middles, side="right").clip(max=max(0, len(weights) - 1)), round(missing * share)
