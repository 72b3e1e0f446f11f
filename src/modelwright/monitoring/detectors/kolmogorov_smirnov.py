"""The two-sample Kolmogorov-Smirnov test, for numbers."""

from __future__ import annotations

import numpy as np

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values
from modelwright.monitoring.detectors.tails import kolmogorov


class KolmogorovSmirnov:
    """The largest distance between the two distribution functions, between 0 and 1; missing values are left out.

    Sensitive to the middle of a distribution and to many rows: with ten thousand it finds shifts nobody cares about,
    which is why its effect has a floor.
    """

    name = "kolmogorov-smirnov"
    floor = 0.1
    kinds = frozenset({ColumnKind.NUMERIC})

    def compare(self, reference: Values, current: Values) -> Comparison:
        one, other = reference.ordered, current.ordered
        if not len(one) or not len(other):
            return NO_DIFFERENCE
        points = np.concatenate([one, other])
        gap = np.searchsorted(one, points, "right") / len(one) - np.searchsorted(other, points, "right") / len(other)
        distance = float(np.abs(gap).max())
        return Comparison(effect=distance, p_value=kolmogorov(distance, len(one), len(other)))
