"""How far two distributions are apart. Both are given as counts over the same values or bins.

The population stability index is the symmetric Kullback-Leibler divergence, PSI = sum((q - p) ln(q / p)). It is never below
zero, so two samples of one distribution are some way apart too: (k - 1)(1/n + 1/m) on average, for k bins and samples of n
and m (the chi-square approximation of Yurdakul and Naranjo, "Statistical properties of the population stability index",
2020). `noise_free_psi` takes that off, so that no change gives about zero whatever the sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Counts = Any  # a NumPy array of counts, one for each value or bin

SMALL, LARGE = 0.1, 0.25  # the rule of thumb of credit scoring, applied to the noise-free index
BINS = 10  # deciles of the first sample
CATEGORIES = 20  # further ones count together


def psi(before: Counts, after: Counts) -> float:
    """The population stability index; half a row is added to every bin, so that an empty one does not make it infinite."""
    p = (before + 0.5) / (before.sum() + 0.5 * len(before))
    q = (after + 0.5) / (after.sum() + 0.5 * len(after))
    return float(np.sum((q - p) * np.log(q / p)))


def expected_psi(bins: int, n: int, m: int) -> float:
    """What the index comes to on average when nothing has changed."""
    return (bins - 1) * (1 / n + 1 / m)


def noise_free_psi(before: Counts, after: Counts) -> float:
    """The index less its expectation; around and below zero there is nothing but noise."""
    used = (before + after) > 0
    return psi(before, after) - expected_psi(int(used.sum()), int(before.sum()), int(after.sum()))


def kolmogorov_smirnov(before: Counts, after: Counts) -> float:
    """The largest gap between the two cumulative distributions, 0 to 1. Counts are in order of the values."""
    return float(np.max(np.abs(np.cumsum(before) / before.sum() - np.cumsum(after) / after.sum())))


def total_variation(before: Counts, after: Counts) -> float:
    """Half the sum of absolute differences of shares: the share of rows that would have to move, 0 to 1."""
    return float(0.5 * np.sum(np.abs(before / before.sum() - after / after.sum())))


def into_deciles(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """Counts by value, in order, put together into bins that each hold about a tenth of the first sample.

    Equal values stay together, so there are fewer bins where a value is frequent.
    """
    cumulated = np.cumsum(before)
    goals = cumulated[-1] * np.arange(1, BINS) / BINS
    cuts = np.unique(np.searchsorted(cumulated, goals))  # positions of the last value of each bin
    starts = np.concatenate([[0], cuts[cuts < len(before) - 1] + 1])
    return np.add.reduceat(before, starts), np.add.reduceat(after, starts)


def into_categories(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """Counts by category with the rare ones put together into a last one."""
    if len(before) <= CATEGORIES:
        return before, after
    order = np.argsort(-(before / before.sum() + after / after.sum()), kind="stable")
    head, tail = order[: CATEGORIES - 1], order[CATEGORIES - 1 :]
    return np.append(before[head], before[tail].sum()), np.append(after[head], after[tail].sum())


def level(index: float) -> str:
    """`none`, `small` or `large`."""
    return "none" if index < SMALL else "small" if index < LARGE else "large"
