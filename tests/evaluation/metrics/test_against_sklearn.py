"""The metrics equal scikit-learn's, ties, weights and extremes included."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from modelwright.evaluation import METRICS
from modelwright.evaluation.metrics.probability import ECE_BINS

EXACT = 1e-12
BY_SCORE = {
    "roc_auc": reference.roc_auc_score,
    "average_precision": reference.average_precision_score,
    "log_loss": reference.log_loss,
    "brier": reference.brier_score_loss,
}
BY_DECISION = {
    "accuracy": reference.accuracy_score,
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
}
OF_NUMBERS = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}


def binary(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = np.round(random.random(n), 2)  # two digits: many ties, and scores of exactly 0 and 1
    labels = (random.random(n) < scores * 0.7).astype(float)
    return labels, scores, random.integers(0, 5, n).astype(float)


@pytest.mark.parametrize("name", BY_SCORE)
@pytest.mark.parametrize("seed", range(5))
def test_of_scores(name: str, seed: int) -> None:
    labels, scores, weights = binary(seed)
    assert METRICS[name](labels, scores) == pytest.approx(BY_SCORE[name](labels, scores), abs=EXACT)
    weighed = METRICS[name].weigher(labels, scores)(weights[None, :])[0]
    assert weighed == pytest.approx(BY_SCORE[name](labels, scores, sample_weight=weights), abs=EXACT)


@pytest.mark.parametrize("name", BY_DECISION)
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.73])
def test_of_decisions(name: str, threshold: float) -> None:
    labels, scores, weights = binary(7)
    called = scores >= threshold
    assert METRICS[name](labels, scores, threshold=threshold) == pytest.approx(BY_DECISION[name](labels, called), abs=EXACT)
    weighed = METRICS[name].weigher(labels, scores, threshold=threshold)(weights[None, :])[0]
    assert weighed == pytest.approx(BY_DECISION[name](labels, called, sample_weight=weights), abs=EXACT)


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_of_numbers(name: str, offset: float) -> None:
    random = np.random.default_rng(3)
    labels = random.normal(offset, 2, 300)
    values, weights = labels + random.normal(0.3, 1, 300), random.random(300)
    assert METRICS[name](labels, values) == pytest.approx(OF_NUMBERS[name](labels, values), rel=1e-9)
    weighed = METRICS[name].weigher(labels, values)(weights[None, :])[0]
    assert weighed == pytest.approx(OF_NUMBERS[name](labels, values, sample_weight=weights), rel=1e-9)


def test_the_mean_error_keeps_its_sign() -> None:
    assert METRICS["mean_error"]([1.0, 2.0], [2.0, 4.0]) == pytest.approx(1.5)


def test_the_calibration_error_is_the_weighted_gap_of_each_bin() -> None:
    labels, scores, _ = binary(11)
    expected = 0.0
    for low in np.arange(ECE_BINS) / ECE_BINS:
        here = (scores >= low) & ((scores < low + 1 / ECE_BINS) | (low == (ECE_BINS - 1) / ECE_BINS))
        if here.any():
            expected += here.mean() * abs(scores[here].mean() - labels[here].mean())
    assert METRICS["ece"](labels, scores) == pytest.approx(expected, abs=1e-9)
