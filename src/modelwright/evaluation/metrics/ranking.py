"""How well scores put events above non-events, whatever their scale."""

from __future__ import annotations

import numpy as np

from modelwright.evaluation.metrics.base import Array, Metric, Weigher
from modelwright.evaluation.records import Direction, Task

_ONE_CLASS = "the rows hold one class only"


def _roc_auc(labels: Array, scores: Array, threshold: float) -> Weigher:
    """The chance that an event scores above a non-event, ties counting half (Mann and Whitney, 1947)."""
    events = np.flatnonzero(labels == 1)
    others = np.flatnonzero(labels == 0)
    others = others[np.argsort(scores[others], kind="stable")]
    below = np.searchsorted(scores[others], scores[events], side="left")
    through = np.searchsorted(scores[others], scores[events], side="right")

    def weigh(weights: Array) -> Array:
        up_to = np.zeros((len(weights), len(others) + 1))
        np.cumsum(weights[:, others], axis=1, out=up_to[:, 1:])
        w = weights[:, events]
        won = np.einsum("ij,ij->i", w, up_to[:, below]) + np.einsum("ij,ij->i", w, up_to[:, through])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(won / (2 * w.sum(axis=1) * up_to[:, -1]))

    return weigh


def _average_precision(labels: Array, scores: Array, threshold: float) -> Weigher:
    """Precision averaged over the steps of recall, without interpolation; equal scores are one step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    events = labels[order]

    def weigh(weights: Array) -> Array:
        sorted_weights = weights[:, order]
        taken = np.cumsum(sorted_weights, axis=1)[:, ends]
        found = np.cumsum(sorted_weights * events, axis=1)[:, ends]
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        steps = np.diff(found, axis=1, prepend=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.einsum("ij,ij->i", steps, precision) / found[:, -1])

    return weigh


ROC_AUC = Metric(
    name="roc_auc",
    title="Area under the ROC curve",
    task=Task.BINARY,
    direction=Direction.HIGHER,
    perfect=1.0,
    prepare=_roc_auc,
    low=0.0,
    high=1.0,
    undefined=_ONE_CLASS,
)
AVERAGE_PRECISION = Metric(
    name="average_precision",
    title="Average precision",
    task=Task.BINARY,
    direction=Direction.HIGHER,
    perfect=1.0,
    prepare=_average_precision,
    low=0.0,
    high=1.0,
    undefined="no row is an event",
)
