"""Intervals: Wilson's for a rate, the bootstrap for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.evaluation.metrics import Array, Weigher
from modelwright.evaluation.records import Estimate, Method

_CELLS = 1 << 20  # weights held at a time: about 8 MB, which stays near the processor
_JACKKNIFE_BLOCKS = 200  # left out one after the other for the acceleration of BCa
_ENOUGH = 0.5  # the share of replicates that must be defined for an interval to be given
_normal = NormalDist()


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a rate (1927): within [0, 1], and of use even for 0 of 5. (0, 1) where n is 0."""
    if n <= 0:
        return 0.0, 1.0
    z, rate = _normal.inv_cdf((1 + confidence) / 2), successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


class Bootstrap:
    """Redraws of the same rows with replacement, shared by every figure asked for, so that differences are paired.

    `groups` names a cluster for each row (a day, a customer): clusters are then drawn whole, since rows that share one do
    not vary independently and an interval that ignores it is too narrow (Davison and Hinkley, 1997, section 3.8).
    """

    def __init__(self, rows: int, *, replicates: int = 1000, seed: int = 20, groups: npt.ArrayLike | None = None) -> None:
        if rows < 1 or replicates < 20:
            raise Invalid(f"A bootstrap needs at least 1 row and 20 replicates, not {rows} and {replicates}.")
        self.rows, self.replicates, self.seed = rows, replicates, seed
        self.cluster_of: npt.NDArray[np.intp] | None = None
        self.units = rows
        if groups is not None:
            names, self.cluster_of = np.unique(np.asarray(groups), return_inverse=True)
            self.units = len(names)
            if len(self.cluster_of) != rows:
                raise Invalid(f"There are {rows} rows and {len(self.cluster_of)} groups; each row needs one.")

    def weights(self) -> Iterator[Array]:
        """How often each row was drawn, a block of replicates at a time: arrays (replicates in the block, rows)."""
        random = np.random.default_rng(self.seed)
        block = max(1, _CELLS // max(self.rows, self.units))
        for start in range(0, self.replicates, block):
            size = min(block, self.replicates - start)
            drawn = random.integers(0, self.units, (size, self.units), dtype=np.int64)
            drawn += np.arange(size, dtype=np.int64)[:, None] * self.units
            counts = np.bincount(drawn.ravel(), minlength=size * self.units).reshape(size, self.units).astype(np.float64)
            yield counts if self.cluster_of is None else counts[:, self.cluster_of]

    def replicate(self, figures: Mapping[str, Weigher]) -> dict[str, Array]:
        """The value of every figure in every replicate; NaN where a redraw left it undefined."""
        found: dict[str, list[Array]] = {name: [] for name in figures}
        for weights in self.weights():
            for name, figure in figures.items():
                found[name].append(figure(weights))
        return {name: np.concatenate(values) for name, values in found.items()}

    def jackknife(self, figure: Weigher) -> Array:
        """The figure with one block of units left out at a time, for at most 200 blocks."""
        blocks = min(self.units, _JACKKNIFE_BLOCKS)
        unit = np.arange(self.rows) if self.cluster_of is None else self.cluster_of
        random = np.random.default_rng(self.seed)
        block_of = random.permutation(self.units)[unit] % blocks
        step = max(1, _CELLS // self.rows)
        pieces = [np.arange(at, min(at + step, blocks)) for at in range(0, blocks, step)]
        return np.concatenate([figure((block_of[None, :] != piece[:, None]).astype(np.float64)) for piece in pieces])


def interval(
    value: float, replicates: Array, *, confidence: float = 0.95, jackknife: Array | None = None
) -> tuple[float, float] | None:
    """The percentile interval of the replicates, or with `jackknife` values the BCa interval (Efron, 1987).

    None where too few replicates are defined to say anything.
    """
    defined = np.sort(replicates[np.isfinite(replicates)])
    if not np.isfinite(value) or len(defined) < max(20, _ENOUGH * len(replicates)):
        return None
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if jackknife is not None:
        tails = _corrected(value, defined, jackknife, tails)
    low, high = np.quantile(defined, tails)
    return float(low), float(high)


def _corrected(value: float, defined: Array, jackknife: Array, tails: Array) -> Array:
    """The tails of the percentile interval, moved for bias and for a spread that changes with the value."""
    below = (np.sum(defined < value) + 0.5 * np.sum(defined == value)) / len(defined)
    if not 0 < below < 1:
        return tails
    bias = _normal.inv_cdf(float(below))
    away = np.nanmean(jackknife) - jackknife
    spread = np.nansum(away**2) ** 1.5
    acceleration = float(np.nansum(away**3) / (6 * spread)) if spread > 0 else 0.0
    z = np.array([_normal.inv_cdf(float(tail)) for tail in tails]) + bias
    return np.array([_normal.cdf(float(bias + each / (1 - acceleration * each))) for each in z])


def estimate(
    figure: Weigher,
    bootstrap: Bootstrap,
    replicates: Array,
    *,
    confidence: float = 0.95,
    method: Method = Method.PERCENTILE,
    undefined: str = "",
) -> Estimate:
    """The value of a figure with its interval; without a value, the note says why."""
    value = float(figure(np.ones((1, bootstrap.rows)))[0])
    if not np.isfinite(value):
        return Estimate(value=None, n=bootstrap.rows, note=f"undefined: {undefined or 'not finite'}")
    left_out = bootstrap.jackknife(figure) if method is Method.BCA else None
    found = interval(value, replicates, confidence=confidence, jackknife=left_out)
    if found is None:
        return Estimate(value=value, n=bootstrap.rows, note="no interval: most redraws leave it undefined")
    return Estimate(value=value, low=found[0], high=found[1], n=bootstrap.rows)
