"""Calibration: whether a predicted 0.2 means that one in five such cases comes true."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.evaluation.intervals import wilson
from modelwright.evaluation.metrics import Array, checked
from modelwright.evaluation.records import Bin, Calibration, Estimate, Task

_INWARDS = 1e-6  # scores of 0 and 1 have no logit
_STEPS = 50
_CONVERGED = 1e-10


def calibration_of(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, bins: int = 10, confidence: float = 0.95
) -> Calibration:
    """The reliability curve over bins of equally many rows, its summary errors, and the logistic recalibration."""
    y, p = checked(labels, scores, Task.BINARY)
    if p.min() < 0 or p.max() > 1:
        raise Invalid("Calibration is a property of probabilities; these scores leave [0, 1].")
    curve = reliability(y, p, bins=bins, confidence=confidence)
    slope, intercept = recalibration(y, p, confidence=confidence)
    return Calibration(
        bins=curve, ece=expected_error(curve), rms_error=debiased_error(curve), slope=slope, intercept=intercept
    )


def reliability(labels: Array, scores: Array, *, bins: int, confidence: float = 0.95) -> list[Bin]:
    """Rows in order of their score, cut into bins of equally many; equal scores always share a bin."""
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, scores, side="right")
    found = []
    for each in np.unique(bin_of):
        here = bin_of == each
        n, events = int(here.sum()), float(labels[here].sum())
        low, high = wilson(events, n, confidence=confidence)
        found.append(Bin(n=n, mean_score=float(scores[here].mean()), rate=events / n, low=low, high=high))
    return found


def expected_error(bins: list[Bin]) -> float:
    """The mean distance between score and rate. Chance alone makes it positive: the more bins, the more."""
    return sum(each.n * abs(each.mean_score - each.rate) for each in bins) / sum(each.n for each in bins)


def debiased_error(bins: list[Bin]) -> float:
    """The root mean square distance, less what chance adds in bins of finite size (Kumar, Liang and Ma, 2019).

    0 where the distance is no larger than chance explains.
    """
    usable = [each for each in bins if each.n > 1]
    rows = sum(each.n for each in usable)
    if rows == 0:
        return 0.0
    square = sum(
        each.n / rows * ((each.mean_score - each.rate) ** 2 - each.rate * (1 - each.rate) / (each.n - 1)) for each in usable
    )
    return float(np.sqrt(max(0.0, square)))


def recalibration(labels: Array, scores: Array, *, confidence: float = 0.95) -> tuple[Estimate, Estimate]:
    """Slope and intercept of the event on the logit of the score (Cox, 1958), with Wald intervals.

    The intercept is that of calibration in the large: the slope is held at 1 for it.
    """
    logit = np.log(np.clip(scores, _INWARDS, 1 - _INWARDS) / (1 - np.clip(scores, _INWARDS, 1 - _INWARDS)))
    ones = np.ones_like(logit)
    free = _logistic(np.column_stack([ones, logit]), labels, np.zeros_like(logit))
    held = _logistic(ones[:, None], labels, logit)
    n = len(labels)
    return _wald(free, 1, n, confidence), _wald(held, 0, n, confidence)


def _logistic(design: Array, labels: Array, offset: Array) -> tuple[Array, Array] | None:
    """Coefficients and their standard errors by Newton's method; None where no finite maximum exists."""
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta + offset, -500, 500)))
        information = (design * (p * (1 - p))[:, None]).T @ design
        if np.linalg.matrix_rank(information) < len(beta):
            return None
        step = np.linalg.solve(information, design.T @ (labels - p))
        beta = beta + np.clip(step, -5, 5)
        if np.abs(step).max() < _CONVERGED:
            return beta, np.sqrt(np.diag(np.linalg.inv(information)))
    return None


def _wald(fit: tuple[Array, Array] | None, which: int, n: int, confidence: float) -> Estimate:
    if fit is None:
        return Estimate(value=None, n=n, note="undefined: one class only, one score only, or the classes do not overlap")
    value, half = float(fit[0][which]), float(fit[1][which]) * NormalDist().inv_cdf((1 + confidence) / 2)
    return Estimate(value=value, low=value - half, high=value + half, n=n)
