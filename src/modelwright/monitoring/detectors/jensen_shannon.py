"""The Jensen-Shannon distance, freed of its noise."""

from __future__ import annotations

import math

import numpy as np

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values
from modelwright.monitoring.detectors.binning import Counts, counts, null_scale
from modelwright.monitoring.detectors.tails import chi_square


def divergence(p: Counts, q: Counts) -> float:
    """The Jensen-Shannon divergence of two distributions over the same cells, in nats: between 0 and ln 2."""
    middle = (p + q) / 2.0
    return float((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2.0)


def _relative_entropy(p: Counts, q: Counts) -> float:
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))


class JensenShannon:
    """The square root of the divergence in bits, between 0 (alike) and 1 (nothing in common).

    For small differences eight times the divergence in nats behaves like the PSI, so its expectation under no drift
    is (cells - 1)(1/n + 1/m) / 8; that is taken off first, and the same chi-square law gives the p-value.
    """

    name = "jensen-shannon"
    floor = 0.1
    kinds = frozenset(ColumnKind)

    def compare(self, reference: Values, current: Values) -> Comparison:
        if not reference.rows or not current.rows:
            return NO_DIFFERENCE
        p_counts, q_counts = counts(reference, current)
        found = divergence(p_counts / p_counts.sum(), q_counts / q_counts.sum())
        scale, freedom = null_scale(reference, current), len(p_counts) - 1
        beyond_noise = max(0.0, found - freedom * scale / 8.0)
        return Comparison(effect=math.sqrt(beyond_noise / math.log(2.0)), p_value=chi_square(8.0 * found / scale, freedom))
