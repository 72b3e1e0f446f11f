"""How good the decisions are that a threshold makes of the scores: an event is called where the score reaches it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelwright.evaluation.metrics.base import Array, Metric, Prepare, Weigher, weighted_sums
from modelwright.evaluation.records import Direction, Task

# From weighted counts: called and event (hits), called and no event (false alarms), missed events, rightly not called.
Rate = Callable[[Array, Array, Array, Array], Array]


def _counts(rate: Rate) -> Prepare:
    def prepare(labels: Array, scores: Array, threshold: float) -> Weigher:
        called, event = scores >= threshold, labels == 1
        cells = [called & event, called & ~event, ~called & event, ~called & ~event]
        return weighted_sums([cell.astype(np.float64) for cell in cells], rate)

    return prepare


def _decision(name: str, title: str, rate: Rate, undefined: str = "") -> Metric:
    return Metric(
        name=name,
        title=title,
        task=Task.BINARY,
        direction=Direction.HIGHER,
        perfect=1.0,
        prepare=_counts(rate),
        low=0.0,
        high=1.0,
        undefined=undefined,
    )


ACCURACY = _decision("accuracy", "Accuracy", lambda hit, alarm, miss, quiet: (hit + quiet) / (hit + alarm + miss + quiet))
PRECISION = _decision("precision", "Precision", lambda hit, alarm, miss, quiet: hit / (hit + alarm), "nothing was called")
RECALL = _decision("recall", "Recall", lambda hit, alarm, miss, quiet: hit / (hit + miss), "no row is an event")
F1 = _decision(
    "f1",
    "F1",
    lambda hit, alarm, miss, quiet: 2 * hit / (2 * hit + alarm + miss),
    "nothing was called and nothing happened",
)
