"""Pearson's chi-square test of homogeneity, for categories."""

from __future__ import annotations

import math

import numpy as np

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values
from modelwright.monitoring.detectors.binning import counts
from modelwright.monitoring.detectors.tails import chi_square


class ChiSquare:
    """The test's p-value, and as effect Cramer's V (0 alike, 1 as different as can be), less its null expectation.

    The correction is Bergsma's (2013): chi-square over rows has the expectation (cells - 1) / (rows - 1) by chance.
    """

    name = "chi-square"
    floor = 0.1
    kinds = frozenset({ColumnKind.CATEGORICAL})

    def compare(self, reference: Values, current: Values) -> Comparison:
        if not reference.rows or not current.rows:
            return NO_DIFFERENCE
        table = np.vstack(counts(reference, current))
        rows, freedom = float(table.sum()), table.shape[1] - 1
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / rows
        statistic = float(np.sum((table - expected) ** 2 / expected))
        beyond_noise = max(0.0, statistic / rows - freedom / max(1.0, rows - 1.0))
        return Comparison(effect=math.sqrt(beyond_noise), p_value=chi_square(statistic, freedom))
