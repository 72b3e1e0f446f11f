"""A metric on parts of the rows: where the model is worse than it is as a whole, beyond what chance explains."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.evaluation.intervals import interval
from modelwright.evaluation.metrics import Array, Metric, Weigher
from modelwright.evaluation.records import Direction, Estimate, Plan, Slice, Slices, Task

MISSING = "(missing)"


class Part:
    """The rows of one slice, and its metric as a figure over the weights of all rows."""

    def __init__(self, column: str, value: str, rows: npt.NDArray[np.intp], metric: Metric, data: Data) -> None:
        self.column, self.value, self.rows = column, value, rows
        self.positives = int(data.labels[rows].sum()) if metric.task is Task.BINARY else None
        self._weigh = metric.weigher(data.labels[rows], data.scores[rows], threshold=data.threshold)

    @property
    def key(self) -> str:
        return f"slice:{self.column}={self.value}"

    def weigh(self, weights: Array) -> Array:
        """The metric of this slice under weights of all rows; a redraw may leave no row of it."""
        return self._weigh(weights[:, self.rows])

    def small(self, plan: Plan) -> bool:
        """Whether it holds too few rows, or too few of either class, for a verdict."""
        if len(self.rows) < plan.min_rows:
            return True
        return self.positives is not None and min(self.positives, len(self.rows) - self.positives) < plan.min_positives


class Data:
    """Labels, scores and threshold, which always go together."""

    def __init__(self, labels: Array, scores: Array, threshold: float) -> None:
        self.labels, self.scores, self.threshold = labels, scores, threshold


def parts(columns: Mapping[str, Any], metric: Metric, data: Data) -> list[Part]:
    """One part for each value of each column; missing values are a part of their own."""
    found = []
    for column, values in columns.items():
        texts = value_texts(values)
        if len(texts) != len(data.labels):
            raise Invalid(f"Slice column {column!r} has {len(texts)} values for {len(data.labels)} rows.")
        names, of = np.unique(texts, return_inverse=True)
        found += [Part(column, str(name), np.flatnonzero(of == i), metric, data) for i, name in enumerate(names)]
    return found


def value_texts(values: Any) -> npt.NDArray[np.str_]:
    """The values of a column (Arrow, pandas, NumPy or a list) as text; None and NaN are `(missing)`."""
    items = values.to_pylist() if hasattr(values, "to_pylist") else np.asarray(values).tolist()
    missing = (None, "nan", "NaN", "NaT", "<NA>")
    return np.array([MISSING if each is None or str(each) in missing else str(each) for each in items], dtype=np.str_)


def judge(metric: Metric, whole: Estimate, found: list[Part], replicates: Mapping[str, Array], plan: Plan) -> Slices:
    """Each slice's estimate against the whole, and the flags.

    The whole is taken as fixed and the slice as normal around its value with the bootstrap's spread; the one-sided p-values
    of all slices that are not small go through Benjamini and Hochberg's procedure (1995).
    """
    judged = [_slice(metric, whole, part, replicates[part.key], plan) for part in found]
    p_values = np.array([each.p_value for each in judged if each.p_value is not None])
    limit = _bh_limit(p_values, plan.false_discovery_rate)
    marked = [_flag(each, limit) for each in judged]
    able = [each for each in marked if each.p_value is not None]
    worst = min(able, key=lambda each: goodness(metric, each.estimate.value or 0.0), default=None)
    return Slices(metric=metric.name, whole=whole, slices=marked, worst=worst)


def goodness(metric: Metric, value: float) -> float:
    """The value turned so that larger is better."""
    return {Direction.HIGHER: value, Direction.LOWER: -value, Direction.ZERO: -abs(value)}[metric.direction]


def _slice(metric: Metric, whole: Estimate, part: Part, replicates: Array, plan: Plan) -> Slice:
    value, small = float(part._weigh(np.ones((1, len(part.rows))))[0]), part.small(plan)
    note = "" if np.isfinite(value) else f"undefined: {metric.undefined}"
    if small:
        note = note or "too few rows for a verdict"
    bounds = interval(value, replicates, confidence=plan.confidence)
    estimate = Estimate(
        value=value if np.isfinite(value) else None,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        n=len(part.rows),
        note=note,
    )
    p_value = None
    if not small and bounds and whole.value is not None:
        shortfall = goodness(metric, whole.value) - goodness(metric, value)
        spread = float(np.nanstd(replicates))
        p_value = 1 - NormalDist().cdf(shortfall / spread) if spread > 0 else float(shortfall <= 0)
    return Slice(
        column=part.column, value=part.value, estimate=estimate, positives=part.positives, small=small, p_value=p_value
    )


def _bh_limit(p_values: Array, rate: float) -> float:
    """The largest p-value that is still a discovery; below 0 where there is none."""
    ordered = np.sort(p_values)
    passing = ordered[ordered <= rate * np.arange(1, len(ordered) + 1) / max(1, len(ordered))]
    return float(passing[-1]) if passing.size else -1.0


def _flag(each: Slice, limit: float) -> Slice:
    return msgspec.structs.replace(each, flagged=each.p_value is not None and each.p_value <= limit)


def figures(found: list[Part]) -> dict[str, Weigher]:
    """What a bootstrap is to compute for the slices."""
    return {part.key: part.weigh for part in found}
