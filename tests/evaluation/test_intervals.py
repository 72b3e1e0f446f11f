from __future__ import annotations

import numpy as np
import pytest

from modelwright.core.errors import Invalid
from modelwright.evaluation import METRICS, Bootstrap, Method, estimate, interval, wilson


def test_wilson_agrees_with_the_worked_example_of_newcombe_1998() -> None:
    low, high = wilson(81, 263)
    assert (low, high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (0, 0), (1, 1)])
def test_wilson_stays_within_zero_and_one(successes: int, n: int) -> None:
    low, high = wilson(successes, n)
    assert 0 <= low < high <= 1


def test_the_same_seed_draws_the_same_rows_and_another_does_not() -> None:
    first, again, other = (np.vstack(list(Bootstrap(50, replicates=40, seed=s).weights())) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert (first.sum(axis=1) == 50).all()


def test_clusters_are_drawn_whole() -> None:
    groups = np.repeat(["a", "b", "c"], [2, 3, 4])
    for weights in Bootstrap(9, replicates=30, groups=groups).weights():
        for cluster in ("a", "b", "c"):
            assert (np.ptp(weights[:, groups == cluster], axis=1) == 0).all()


def test_rows_that_move_together_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    day = np.repeat(np.arange(40), 25)
    labels = np.zeros(1000)
    errors = random.normal(0, 1, 40)[day] + random.normal(0, 0.3, 1000)
    figure = METRICS["mean_error"].weigher(labels, errors)
    alone = Bootstrap(1000, replicates=400).replicate({"m": figure})["m"]
    together = Bootstrap(1000, replicates=400, groups=day).replicate({"m": figure})["m"]
    assert together.std() > 3 * alone.std()


@pytest.mark.parametrize("method", list(Method))
def test_the_interval_covers_the_truth_about_as_often_as_it_says(method: Method) -> None:
    """The truth is the AUC of two normals one apart; 90 % intervals over 120 samples must cover 80 to 98 % of the time."""
    truth, covered = 0.7602499, 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        labels = (np.arange(160) < 80).astype(float)
        scores = random.normal(labels, 1)
        bootstrap = Bootstrap(160, replicates=200, seed=seed)
        figure = METRICS["roc_auc"].weigher(labels, scores)
        found = estimate(figure, bootstrap, bootstrap.replicate({"m": figure})["m"], confidence=0.9, method=method)
        assert found.low is not None and found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.80 <= covered / 120 <= 0.98


def test_bca_agrees_with_scipy() -> None:
    from scipy import stats

    values = np.random.default_rng(4).exponential(2, 80)
    figure = METRICS["mean_error"].weigher(np.zeros(80), values)
    bootstrap = Bootstrap(80, replicates=30_000)
    found = estimate(figure, bootstrap, bootstrap.replicate({"m": figure})["m"], method=Method.BCA)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=30_000, method="BCa", random_state=5).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.02)
    assert found.high == pytest.approx(theirs.high, abs=0.02)


def test_a_figure_that_most_redraws_leave_undefined_has_no_interval() -> None:
    assert interval(0.5, np.array([0.5] * 30 + [np.nan] * 70)) is None
    assert interval(float("nan"), np.ones(100)) is None


def test_an_undefined_figure_says_why() -> None:
    figure = METRICS["roc_auc"].weigher(np.ones(30), np.linspace(0, 1, 30))
    bootstrap = Bootstrap(30, replicates=20)
    found = estimate(figure, bootstrap, np.full(20, np.nan), undefined=METRICS["roc_auc"].undefined)
    assert found.value is None and found.note == "undefined: the rows hold one class only"


def test_a_bootstrap_needs_rows_and_a_group_for_each() -> None:
    with pytest.raises(Invalid, match="at least 1 row"):
        Bootstrap(0)
    with pytest.raises(Invalid, match="3 rows and 2 groups"):
        Bootstrap(3, groups=["a", "b"])
