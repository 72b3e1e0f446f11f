"""The first Wasserstein distance in standard deviations of the reference, for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright.monitoring.detectors.base import NO_DIFFERENCE, ColumnKind, Comparison, Values

PERMUTATIONS = 999  # the smallest p-value is one in a thousand
SAMPLE = 1000  # rows of each side that are permuted
SEED = 20130701


class Wasserstein:
    """How far values moved on average, less what noise moves them, in standard deviations of the reference.

    The p-value is that of a permutation test on at most a thousand rows of each side, spread evenly over the ordered
    values, with a fixed seed: equal inputs, equal answers. The mean distance of the permuted samples, scaled to the
    full sizes, is what noise alone does. A constant reference is measured by the spread of both sides together.
    """

    name = "wasserstein"
    floor = 0.1
    kinds = frozenset({ColumnKind.NUMERIC})

    def compare(self, reference: Values, current: Values) -> Comparison:
        one, other = reference.ordered, current.ordered
        if not len(one) or not len(other):
            return NO_DIFFERENCE
        scale = float(one.std()) or float(np.concatenate([one, other]).std())
        if not scale:
            return NO_DIFFERENCE
        observed, permuted = distance(one, other) / scale, _permuted(_thin(one), _thin(other)) / scale
        thin = distance(_thin(one), _thin(other)) / scale
        p_value = (1 + int(np.sum(permuted >= thin * (1 - 1e-12)))) / (PERMUTATIONS + 1)
        rows, thinned = (1 / len(one) + 1 / len(other)), (1 / min(len(one), SAMPLE) + 1 / min(len(other), SAMPLE))
        noise = float(permuted.mean()) * float(np.sqrt(rows / thinned))
        return Comparison(effect=max(0.0, observed - noise), p_value=p_value)


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The area between the two distribution functions, in the unit of the values. Both ascending."""
    points = np.sort(np.concatenate([one, other]))
    gap = np.searchsorted(one, points[:-1], "right") / len(one) - np.searchsorted(other, points[:-1], "right") / len(other)
    return float(np.sum(np.abs(gap) * np.diff(points)))


def _thin(ordered: NDArray[Any]) -> NDArray[Any]:
    if len(ordered) <= SAMPLE:
        return ordered
    places = np.linspace(0, len(ordered) - 1, SAMPLE).round().astype(int)
    return np.take(ordered, places)


def _permuted(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """The distance under random relabellings: the pooled values stay where they are, only the labels move."""
    points = np.sort(np.concatenate([one, other]))
    widths = np.diff(points)
    step = np.concatenate([np.full(len(one), 1 / len(one)), np.full(len(other), -1 / len(other))])
    random = np.random.default_rng(SEED)
    found = np.empty(PERMUTATIONS)
    for i in range(PERMUTATIONS):
        found[i] = np.abs(np.cumsum(random.permutation(step))[:-1]) @ widths
    return found
