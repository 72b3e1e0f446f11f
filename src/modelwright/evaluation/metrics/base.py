"""What a metric is. A metric is prepared once on labels and scores, and then asked for its value under any row weights.

Ones as weights give the plain value, counts of drawn rows a bootstrap replicate, zeros leave rows out: so the interval, the
jackknife, and every resampling of every metric are the same few lines elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.evaluation.records import Direction, Task

Array = npt.NDArray[np.float64]
Weigher = Callable[[Array], Array]  # weights (replicates, rows) to values (replicates,); NaN where undefined
Prepare = Callable[[Array, Array, float], Weigher]  # labels, scores, threshold


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named figure of labels and scores, with the direction in which it improves and the bounds it keeps."""

    name: str
    title: str
    task: Task
    direction: Direction
    perfect: float  # its value for a faultless prediction
    prepare: Prepare
    low: float = -np.inf
    high: float = np.inf
    probabilities: bool = False  # scores must lie in [0, 1]
    undefined: str = ""  # when it has no value, in words

    def weigher(self, labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float = 0.5) -> Weigher:
        """The metric on these rows, still to be weighted. `Invalid` for rows that no metric can be computed on."""
        y, s = checked(labels, scores, self.task)
        if self.probabilities and (s.min() < 0 or s.max() > 1):
            raise Invalid(
                f"{self.name} needs probabilities; the scores run from {s.min():g} to {s.max():g}.",
                mend="Pass predict_proba(...)[:, 1], or ask for roc_auc and average_precision only.",
            )
        return self.prepare(y, s, threshold)

    def __call__(self, labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float = 0.5) -> float:
        """The value on these rows; NaN where it is undefined (see `undefined`)."""
        y = np.asarray(labels)
        return float(self.weigher(y, scores, threshold=threshold)(np.ones((1, len(y))))[0])

    def gain(self, candidate: Array, champion: Array) -> Array:
        """How much better the candidate's values are: positive is better, whatever the direction."""
        if self.direction is Direction.HIGHER:
            return candidate - champion
        if self.direction is Direction.LOWER:
            return champion - candidate
        return np.abs(champion) - np.abs(candidate)


def checked(labels: npt.ArrayLike, scores: npt.ArrayLike, task: Task) -> tuple[Array, Array]:
    """Labels and scores as float arrays of one length; `Invalid` names what makes them unusable."""
    y, s = _column(labels, "labels"), _column(scores, "scores")
    if len(y) != len(s):
        raise Invalid(f"There are {len(y)} labels and {len(s)} scores; each row needs one of each.")
    if len(y) == 0:
        raise Invalid("There are no rows to evaluate.")
    if task is Task.BINARY and (wrong := y[(y != 0) & (y != 1)]).size:
        raise Invalid(f"Binary labels are 0 and 1; found {wrong[0]:g}.", mend="Map the event to 1 and the rest to 0.")
    return y, s


def _column(values: npt.ArrayLike, what: str) -> Array:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(f"The {what} are not numbers: {error}.") from None
    if column.ndim != 1:
        raise Invalid(f"The {what} have shape {column.shape}; one number for each row is needed.")
    if (wrong := ~np.isfinite(column)).any():
        at = int(wrong.argmax())
        raise Invalid(f"The {what} hold {int(wrong.sum())} missing or infinite values, the first in row {at}.")
    return column


def weighted_sums(columns: list[Array], combine: Callable[..., Array]) -> Weigher:
    """The weigher of a metric that is a function of weighted sums over rows: one matrix product for all replicates."""
    stacked = np.column_stack(columns)

    def weigh(weights: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(combine(*(weights @ stacked).T), dtype=np.float64)

    return weigh
