"""How far predicted numbers lie from what came."""

from __future__ import annotations

import numpy as np

from modelwright.evaluation.metrics.base import Array, Metric, Prepare, Weigher, weighted_sums
from modelwright.evaluation.records import Direction, Task


def _mae(labels: Array, scores: Array, threshold: float) -> Weigher:
    return weighted_sums([np.abs(scores - labels), np.ones_like(labels)], lambda total, weight: total / weight)


def _rmse(labels: Array, scores: Array, threshold: float) -> Weigher:
    return weighted_sums([(scores - labels) ** 2, np.ones_like(labels)], lambda total, weight: np.sqrt(total / weight))


def _mean_error(labels: Array, scores: Array, threshold: float) -> Weigher:
    return weighted_sums([scores - labels, np.ones_like(labels)], lambda total, weight: total / weight)


def _r2(labels: Array, scores: Array, threshold: float) -> Weigher:
    centred = labels - labels.mean()  # before squaring: a far-off mean would otherwise eat the digits
    constant = np.ptp(labels) == 0

    def combine(weight: Array, error: Array, first: Array, second: Array) -> Array:
        spread = second - first**2 / weight
        return np.where(constant | (spread <= 0), np.nan, 1 - error / spread)

    return weighted_sums([np.ones_like(labels), (scores - labels) ** 2, centred, centred**2], combine)


def _error(name: str, title: str, prepare: Prepare, *, direction: Direction = Direction.LOWER, low: float = 0.0) -> Metric:
    return Metric(name=name, title=title, task=Task.REGRESSION, direction=direction, perfect=0.0, prepare=prepare, low=low)


MAE = _error("mae", "Mean absolute error", _mae)
RMSE = _error("rmse", "Root mean squared error", _rmse)
MEAN_ERROR = _error("mean_error", "Mean error (bias)", _mean_error, direction=Direction.ZERO, low=-np.inf)
R2 = Metric(
    name="r2",
    title="Share of variance explained",
    task=Task.REGRESSION,
    direction=Direction.HIGHER,
    perfect=1.0,
    prepare=_r2,
    high=1.0,
    undefined="every label is the same",
)
