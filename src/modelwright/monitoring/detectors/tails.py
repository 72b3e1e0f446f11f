"""Tail probabilities that the detectors need: how likely is a statistic at least this large by chance alone?

Written here because SciPy is no dependency of ours; the tests compare every one with SciPy's.
"""

from __future__ import annotations

import math


def normal_two_sided(z: float) -> float:
    """P(|Z| >= z) for a standard normal Z."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def chi_square(statistic: float, freedom: int) -> float:
    """P(X >= statistic) for a chi-square variable: the regularised upper incomplete gamma function Q(k/2, x/2).

    By its power series below the mean and Lentz's continued fraction above it, where each converges fast.
    """
    if freedom < 1 or statistic <= 0.0:
        return 1.0
    a, x = freedom / 2.0, statistic / 2.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1.0:
        return min(1.0, max(0.0, 1.0 - front * _lower_series(a, x)))
    return min(1.0, front * _upper_fraction(a, x))


def _lower_series(a: float, x: float) -> float:
    term = total = 1.0 / a
    n = a
    while term > total * 1e-16:
        n += 1.0
        term *= x / n
        total += term
    return total


def _upper_fraction(a: float, x: float) -> float:
    tiny = 1e-300
    b = x + 1.0 - a
    c, d = 1.0 / tiny, 1.0 / b
    value = d
    for i in range(1, 10_000):
        numerator = -i * (i - a)
        b += 2.0
        d = 1.0 / _away_from_zero(numerator * d + b, tiny)
        c = _away_from_zero(b + numerator / c, tiny)
        value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def kolmogorov(distance: float, n: int, m: int) -> float:
    """P(D >= distance) for two samples of n and m, by Kolmogorov's limit with the finite-size term of Stephens (1970).

    Within about a hundredth of the exact value once both samples have some tens of rows.
    """
    root = math.sqrt(n * m / (n + m))
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:  # the tail differs from 1 by less than 1e-12, while its alternating series converges slowly
        return 1.0
    total = sum((1.0 if k % 2 else -1.0) * math.exp(-2.0 * k * k * x * x) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * total))
