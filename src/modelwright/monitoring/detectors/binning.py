"""Cells that both samples are counted in. The reference alone decides where the cells are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright.monitoring.detectors.base import ColumnKind, Values

CELLS = 10  # for numbers: deciles of the reference
MOST_CATEGORIES = 50  # rarer categories of the reference share one cell with those it never saw
Counts = NDArray[np.float64]


def counts(reference: Values, current: Values) -> tuple[Counts, Counts]:
    """Rows per cell in the reference and in the present; cells that are empty in both are left out.

    Numbers fall between quantiles of the reference, or, where it has few distinct values, each of these is a cell;
    categories are cells, the most frequent ones by name. There is a cell for what the reference never saw, and one for
    missing values: a column that goes missing has drifted too.
    """
    if reference.kind is ColumnKind.NUMERIC and len(reference.distinct) > CELLS:
        quantiles = np.quantile(reference.ordered, np.linspace(0.0, 1.0, CELLS + 1)[1:-1])
        edges = np.unique(quantiles)
        one, other = (_between(edges, sample.present) for sample in (reference, current))
    else:
        known = _frequent(reference)
        one, other = (_among(known, sample.present) for sample in (reference, current))
        one[-1], other[-1] = one[-1] + reference.other, other[-1] + current.other
    one, other = np.append(one, reference.missing), np.append(other, current.missing)
    used = (one + other) > 0
    return one[used].astype(float), other[used].astype(float)


def shares(cell_counts: Counts) -> Counts:
    """Probabilities of the cells, with half a row added to each so that none is zero (Jeffreys' prior)."""
    padded = cell_counts + 0.5
    share: Counts = padded / padded.sum()
    return share


def null_scale(reference: Values, current: Values) -> float:
    """1/n + 1/m: the size of sampling noise in a squared difference of shares."""
    return 1.0 / reference.rows + 1.0 / current.rows


def _between(edges: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def _frequent(reference: Values) -> NDArray[Any]:
    distinct, frequency = np.unique(reference.present, return_counts=True)
    kept = np.argsort(-frequency, kind="stable")[:MOST_CATEGORIES]
    return np.sort(distinct[kept])


def _among(known: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    if not len(known):
        return np.array([len(values)])
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    cell = np.where(known[place] == values, place, len(known))
    return np.bincount(cell, minlength=len(known) + 1)
