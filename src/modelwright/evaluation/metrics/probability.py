"""How good scores are as probabilities: proper scores, and the expected calibration error."""

from __future__ import annotations

import numpy as np

from modelwright.evaluation.metrics.base import Array, Metric, Weigher, weighted_sums
from modelwright.evaluation.records import Direction, Task

ECE_BINS = 15  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017
_SMALLEST = np.finfo(np.float64).eps  # a score of 0 or 1 is moved this far inwards before its logarithm is taken


def _mean(total: Array, weight: Array) -> Array:
    return total / weight


def _log_loss(labels: Array, scores: Array, threshold: float) -> Weigher:
    p = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    loss = -np.where(labels == 1, np.log(p), np.log1p(-p))
    return weighted_sums([loss, np.ones_like(loss)], _mean)


def _brier(labels: Array, scores: Array, threshold: float) -> Weigher:
    return weighted_sums([(scores - labels) ** 2, np.ones_like(labels)], _mean)


def _ece(labels: Array, scores: Array, threshold: float) -> Weigher:
    bin_of = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    errors = [np.where(bin_of == b, scores - labels, 0.0) for b in range(ECE_BINS)]

    def combine(weight: Array, *gaps: Array) -> Array:
        return np.asarray(np.sum(np.abs(gaps), axis=0) / weight)

    return weighted_sums([np.ones_like(labels), *errors], combine)


LOG_LOSS = Metric(
    name="log_loss",
    title="Log loss (nats)",
    task=Task.BINARY,
    direction=Direction.LOWER,
    perfect=0.0,
    prepare=_log_loss,
    low=0.0,
    probabilities=True,
)
BRIER = Metric(
    name="brier",
    title="Brier score",
    task=Task.BINARY,
    direction=Direction.LOWER,
    perfect=0.0,
    prepare=_brier,
    low=0.0,
    high=1.0,
    probabilities=True,
)
ECE = Metric(
    name="ece",
    title="Expected calibration error",
    task=Task.BINARY,
    direction=Direction.LOWER,
    perfect=0.0,
    prepare=_ece,
    low=0.0,
    high=1.0,
    probabilities=True,
)
