"""Distances between counts: their bounds, their zero, and freedom from noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.datasets import distances

counts = st.lists(st.integers(0, 500), min_size=2, max_size=30).filter(any)


@given(counts, st.integers(2, 9))
def test_the_same_shares_are_no_distance_apart(values, times):
    before = np.array(values, dtype=float)
    assert distances.kolmogorov_smirnov(before, before * times) == pytest.approx(0, abs=1e-12)
    assert distances.total_variation(before, before * times) == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=30))
def test_distances_are_symmetric_and_within_their_bounds(pairs):
    before, after = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    if not (before.sum() and after.sum()):
        return
    for measure in (distances.kolmogorov_smirnov, distances.total_variation):
        assert 0 <= measure(before, after) <= 1 + 1e-12
        assert measure(before, after) == pytest.approx(measure(after, before))
    assert distances.psi(before, after) >= 0


@given(counts)
def test_putting_values_together_loses_no_row(values):
    before = np.array(values, dtype=float)
    after = before[::-1].copy()
    for together in (distances.into_deciles, distances.into_categories):
        a, b = together(before, after)
        assert (a.sum(), b.sum()) == (before.sum(), after.sum())
        assert len(a) == len(b) <= 20


def test_values_that_share_nothing_are_as_far_apart_as_can_be():
    before, after = np.array([10.0, 0.0]), np.array([0.0, 10.0])
    assert distances.kolmogorov_smirnov(before, after) == 1
    assert distances.total_variation(before, after) == 1


def test_psi_follows_its_formula():
    before, after = np.array([600.0, 400.0]), np.array([500.0, 500.0])
    by_hand = (0.5 - 0.6) * np.log(0.5 / 0.6) + (0.5 - 0.4) * np.log(0.5 / 0.4)
    assert distances.psi(before, after) == pytest.approx(by_hand, rel=0.01)


@pytest.mark.parametrize("size", [200, 5000])
def test_noise_alone_comes_to_about_zero_whatever_the_size(size):
    draw = np.random.default_rng(7)
    found = []
    for _ in range(300):
        before, after = draw.multinomial(size, [0.1] * 10), draw.multinomial(size, [0.1] * 10)
        found.append(distances.noise_free_psi(before.astype(float), after.astype(float)))
    raw = distances.expected_psi(10, size, size)
    assert abs(np.mean(found)) < 0.15 * raw
