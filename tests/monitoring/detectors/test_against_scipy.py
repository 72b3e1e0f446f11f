"""Where our definitions are those of SciPy, the numbers are too."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from modelwright.monitoring.detectors import chi_square, kolmogorov_smirnov, tails, values_of, wasserstein
from modelwright.monitoring.detectors.domain import area
from modelwright.monitoring.detectors.jensen_shannon import divergence


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 50])
@pytest.mark.parametrize("x", [0.0, 0.01, 0.5, 3.0, 9.0, 40.0, 200.0])
def test_the_chi_square_tail(x, freedom):
    assert tails.chi_square(x, freedom) == pytest.approx(stats.chi2.sf(x, freedom), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.96, 6.0])
def test_the_normal_tail(z):
    assert tails.normal_two_sided(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)


def test_kolmogorov_smirnov():
    random = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.3):
        one, other = random.normal(0, 1, 700), random.normal(shift, 1, 300)
        ours, theirs = (
            kolmogorov_smirnov.KolmogorovSmirnov().compare(values_of(one), values_of(other)),
            stats.ks_2samp(one, other),
        )
        assert ours.effect == pytest.approx(theirs.statistic, abs=1e-12)
        assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.01)


def test_wasserstein():
    random = np.random.default_rng(2)
    one, other = random.normal(0, 1, 200), random.normal(0.5, 2, 90)
    ours = wasserstein.distance(np.sort(one), np.sort(other))
    assert ours == pytest.approx(stats.wasserstein_distance(one, other), abs=1e-12)


def test_chi_square():
    one, other = ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 20 + ["b"] * 30 + ["c"] * 10
    ours = chi_square.ChiSquare().compare(values_of(one), values_of(other))
    theirs = stats.chi2_contingency([[50, 30, 20], [20, 30, 10]], correction=False)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-10)


def test_jensen_shannon():
    p, q = np.array([0.1, 0.4, 0.5, 0.0]), np.array([0.3, 0.3, 0.2, 0.2])
    assert np.sqrt(divergence(p, q) / np.log(2)) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)


def test_the_area_under_the_curve():
    random = np.random.default_rng(3)
    scores, truth = random.integers(0, 20, 300), random.integers(0, 2, 300)
    u = stats.mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic
    assert area(scores, truth) == pytest.approx(u / (truth.sum() * (300 - truth.sum())), abs=1e-12)
