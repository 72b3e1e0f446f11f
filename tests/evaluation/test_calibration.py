from __future__ import annotations

import numpy as np
import pytest

from modelwright.core.errors import Invalid
from modelwright.evaluation import calibration_of
from modelwright.evaluation.calibration import debiased_error, expected_error, reliability


def draw(seed: int, n: int, bend: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Events whose log-odds are `bend` times those of the score, plus `shift`."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0.02, 0.98, n)
    odds = bend * np.log(scores / (1 - scores)) + shift
    return (random.random(n) < 1 / (1 + np.exp(-odds))).astype(float), scores


def test_a_calibrated_model_has_slope_one_and_intercept_zero() -> None:
    found = calibration_of(*draw(1, 20_000))
    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    assert found.rms_error < 0.01


def test_an_overconfident_model_has_a_slope_below_one() -> None:
    found = calibration_of(*draw(2, 20_000, bend=0.5))
    assert found.slope.value == pytest.approx(0.5, abs=0.05)
    assert found.rms_error > 0.05


def test_a_model_that_predicts_too_little_has_a_positive_intercept() -> None:
    assert calibration_of(*draw(3, 20_000, shift=0.8)).intercept.value == pytest.approx(0.8, abs=0.06)


def test_the_plain_error_is_biased_upwards_and_the_debiased_one_is_not() -> None:
    curves = [reliability(*draw(seed, 300), bins=15) for seed in range(150)]
    squares = [np.mean([(b.mean_score - b.rate) ** 2 for b in curve]) for curve in curves]
    assert np.mean([expected_error(curve) for curve in curves]) > 0.05
    assert np.mean([debiased_error(curve) ** 2 for curve in curves]) < 0.25 * np.mean(squares)


def test_the_slope_agrees_with_an_unpenalised_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    labels, scores = draw(5, 3000, bend=0.8, shift=0.1)
    logit = np.log(scores / (1 - scores))[:, None]
    theirs = LogisticRegression(C=1e12, tol=1e-10).fit(logit, labels)
    assert calibration_of(labels, scores).slope.value == pytest.approx(theirs.coef_[0, 0], abs=1e-4)


def test_equal_scores_share_a_bin_and_bins_add_up_to_all_rows() -> None:
    labels, scores = draw(6, 500)
    scores = np.where(scores < 0.5, 0.25, scores)
    found = calibration_of(labels, scores, bins=10)
    assert sum(b.n for b in found.bins) == 500
    assert sum(b.mean_score == 0.25 for b in found.bins) <= 1
    assert all(b.low <= b.rate <= b.high for b in found.bins)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([1, 1, 1, 1], [0.2, 0.4, 0.6, 0.8]), ([0, 1, 0, 1], [0.5] * 4), ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])],
    ids=["one class", "one score", "classes apart"],
)
def test_where_no_slope_exists_the_answer_says_so(labels: list[float], scores: list[float]) -> None:
    found = calibration_of(labels, scores)
    assert found.slope.value is None
    assert found.slope.note.startswith("undefined")


def test_scores_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(Invalid, match="leave"):
        calibration_of([0, 1], [-2.0, 3.0])
