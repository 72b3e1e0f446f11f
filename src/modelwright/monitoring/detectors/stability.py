"""The population stability index, freed of its noise."""

from __future__ import annotations

import numpy as np

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values
from modelwright.monitoring.detectors.binning import counts, null_scale, shares
from modelwright.monitoring.detectors.tails import chi_square


class PopulationStability:
    """PSI = sum of (q - p) ln(q / p) over the cells, less what it would be by chance: (cells - 1)(1/n + 1/m).

    Without that correction a small sample looks like drift (a hundred rows in ten cells have a PSI of about 0.1 by
    noise alone). Under no drift PSI / (1/n + 1/m) follows a chi-square law with cells - 1 degrees of freedom, which
    gives the p-value. The usual reading holds for the corrected figure: 0.1 is worth a look, 0.25 is a change.
    """

    name = "psi"
    floor = 0.1
    kinds = frozenset(ColumnKind)

    def compare(self, reference: Values, current: Values) -> Comparison:
        if not reference.rows or not current.rows:
            return NO_DIFFERENCE
        p_counts, q_counts = counts(reference, current)
        p, q = shares(p_counts), shares(q_counts)
        index = float(np.sum((q - p) * np.log(q / p)))
        scale, freedom = null_scale(reference, current), len(p) - 1
        return Comparison(effect=max(0.0, index - freedom * scale), p_value=chi_square(index / scale, freedom))
