"""Quantiles of many numbers: the sketch of Karnin, Lang and Liberty ("Optimal quantile approximation in streams", 2016).

A number at level i stands for 2^i numbers. A level that is full is sorted, and every second number of it goes up a level,
beginning with the first or the second by the toss of a coin. Whole sorted batches go in at the level where they are no more
than `K`: each number is the middle of the run that it stands for, so that a batch is off by half a run at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

K: Final = 512
ERROR: Final = 0.01  # a rank is off by at most this share of all numbers, in 99 cases of 100
_SHRINK: Final = 2 / 3  # capacity of a level against the one above it
_LEAST: Final = 8


class Quantiles:
    """The distribution of numbers, without NaN and the infinities."""

    def __init__(self) -> None:
        self.n = 0
        self.levels: list[Any] = []  # arrays of floats in order; each number of level i stands for 2^i
        self._tossed = 0

    @property
    def exact(self) -> bool:
        """Whether every number is still there."""
        return len(self.levels) <= 1

    @property
    def error(self) -> float:
        """By what share of all numbers a rank may be off, in 99 cases of 100."""
        return 0.0 if self.exact else ERROR

    def add(self, ordered: Any) -> None:
        """Take in numbers that are in order."""
        self.n += len(ordered)
        level = max(0, math.ceil(math.log2(len(ordered) / K))) if len(ordered) else 0
        start = 0
        for at in range(level, -1, -1):
            run = 1 << at
            count = (len(ordered) - start) // run
            end = start + count * run
            if count:
                self._put(at, ordered[start + run // 2 : end : run])
            start = end
        self._shrink()

    def merge(self, other: Quantiles) -> None:
        """Take in what another has seen."""
        self.n += other.n
        for at, numbers in enumerate(other.levels):
            self._put(at, numbers)
        self._shrink()

    def weighted(self) -> tuple[Any, Any]:
        """The numbers that are left, in order, and how many each stands for; these add up to `n`."""
        if not self.levels:
            return np.zeros(0), np.zeros(0, np.int64)
        numbers = np.concatenate(self.levels)
        weights = np.repeat([1 << at for at in range(len(self.levels))], [len(each) for each in self.levels])
        order = np.argsort(numbers, kind="stable")
        return numbers[order], weights[order]

    def quantiles(self, probabilities: Sequence[float]) -> list[float]:
        """The numbers at these probabilities: interpolated linearly while every number is there, else one of them."""
        numbers, weights = self.weighted()
        return quantiles_of(numbers, weights, probabilities, interpolate=self.exact)

    def below(self, values: Any) -> Any:
        """How many numbers are smaller than each of some values."""
        numbers, weights = self.weighted()
        return np.concatenate([[0], np.cumsum(weights)])[np.searchsorted(numbers, values, side="left")]

    def _put(self, level: int, numbers: Any) -> None:
        while len(self.levels) <= level:
            self.levels.append(np.zeros(0))
        held = self.levels[level]
        joined = np.concatenate([held, np.asarray(numbers, np.float64)])
        self.levels[level] = np.sort(joined, kind="stable") if len(held) else joined

    def _shrink(self) -> None:
        """Send numbers up until no more are left than the levels have room for."""
        while sum(map(len, self.levels)) > sum(room := self._room()):
            at = next(i for i, held in enumerate(self.levels) if len(held) > room[i])
            held = self.levels[at]
            odd = len(held) % 2
            stays, goes = held[:odd], held[odd:]
            self.levels[at] = stays
            self._put(at + 1, goes[self._toss() :: 2])

    def _room(self) -> list[int]:
        top = len(self.levels) - 1
        return [max(_LEAST, math.ceil(K * _SHRINK ** (top - at))) for at in range(top + 1)]

    def _toss(self) -> int:
        """A coin that falls the same way whenever the same numbers come in the same order."""
        self._tossed += 1
        x = (self._tossed * 0x9E3779B97F4A7C15 + self.n * 0xBF58476D1CE4E5B9) & (1 << 64) - 1
        x ^= x >> 31
        return (x * 0x94D049BB133111EB >> 40) & 1


def quantiles_of(numbers: Any, weights: Any, probabilities: Sequence[float], *, interpolate: bool) -> list[float]:
    """Quantiles of numbers in order, each of which is there so many times."""
    ends = np.cumsum(weights)
    places = np.asarray(probabilities) * (ends[-1] - 1)
    lower = numbers[np.searchsorted(ends, np.floor(places), side="right")]
    if not interpolate:
        return [float(x) for x in lower]
    upper = numbers[np.searchsorted(ends, np.ceil(places), side="right")]
    above = places - np.floor(places)
    return [float(x) for x in lower * (1 - above) + upper * above]
