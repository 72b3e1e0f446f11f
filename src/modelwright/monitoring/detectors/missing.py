"""The share of rows without a value."""

from __future__ import annotations

import math

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values
from modelwright.monitoring.detectors.tails import normal_two_sided


class MissingShare:
    """The difference of the two shares, between 0 and 1, with the pooled two-proportion z-test."""

    name = "missing"
    floor = 0.05
    kinds = frozenset(ColumnKind)

    def compare(self, reference: Values, current: Values) -> Comparison:
        n, m = reference.rows, current.rows
        if not n or not m:
            return NO_DIFFERENCE
        difference = current.missing / m - reference.missing / n
        pooled = (reference.missing + current.missing) / (n + m)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        if not error:
            return NO_DIFFERENCE
        return Comparison(effect=abs(difference), p_value=normal_two_sided(difference / error))
