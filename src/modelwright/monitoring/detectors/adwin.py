"""ADWIN: a second opinion on a stream of losses that needs no baseline (Bifet and Gavalda, 2007)."""

from __future__ import annotations

import math
from collections.abc import Iterable

BUCKETS = 5  # of each size, before two merge into one of twice the size
CHECK_EVERY = 32  # values


class Adwin:
    """A window over the latest values that forgets its older part once the two parts differ in mean.

    Buckets of 1, 2, 4, ... values keep only count, sum and squared deviations, so memory grows with the logarithm of
    the window. A cut is made where |mean difference| exceeds sqrt(2 v ln(2/d') / m) + 2 ln(2/d') / (3 m), with v the
    variance, 1/m = 1/n0 + 1/n1 and d' = delta / ln n.
    """

    def __init__(self, delta: float = 0.002) -> None:
        self.delta = delta
        self.changes: list[int] = []  # the values (counted from 1) after which the window was cut
        self.seen = 0
        self._buckets: list[tuple[int, float, float]] = []  # oldest first: count, mean, squared deviations

    @property
    def size(self) -> int:
        """Values in the window."""
        return sum(count for count, _, _ in self._buckets)

    @property
    def mean(self) -> float:
        """The mean of the window; 0 when it is empty."""
        return sum(count * mean for count, mean, _ in self._buckets) / self.size if self._buckets else 0.0

    def update(self, values: Iterable[float]) -> bool:
        """Take further values in order; true where the window was cut: the mean has changed."""
        before = len(self.changes)
        for value in values:
            self.seen += 1
            self._buckets.append((1, float(value), 0.0))
            self._compress()
            if self.seen % CHECK_EVERY == 0 and self._cut():
                self.changes.append(self.seen)
        return len(self.changes) > before

    def _compress(self) -> None:
        size, end = 1, len(self._buckets)
        while True:
            start = end
            while start > 0 and self._buckets[start - 1][0] == size:
                start -= 1
            if end - start <= BUCKETS:
                return
            self._buckets[start : start + 2] = [_merged(self._buckets[start], self._buckets[start + 1])]
            size, end = size * 2, start + 1

    def _cut(self) -> bool:
        found = False
        while (place := self._difference()) is not None:
            del self._buckets[:place]
            found = True
        return found

    def _difference(self) -> int | None:
        """How many of the oldest buckets differ from the rest, or None."""
        n = self.size
        if n < 2 * CHECK_EVERY:
            return None
        whole = (0, 0.0, 0.0)
        for bucket in self._buckets:
            whole = _merged(whole, bucket)
        log_term = math.log(2.0 * math.log(n) / self.delta)
        old_count, old_sum, total = 0, 0.0, whole[0] * whole[1]
        for place, (count, mean, _) in enumerate(self._buckets[:-1], start=1):
            old_count, old_sum = old_count + count, old_sum + count * mean
            new_count = n - old_count
            if min(old_count, new_count) < 5:
                continue
            inverse = 1.0 / old_count + 1.0 / new_count
            bound = math.sqrt(2.0 * inverse * (whole[2] / n) * log_term) + 2.0 / 3.0 * inverse * log_term
            if abs(old_sum / old_count - (total - old_sum) / new_count) > bound:
                return place
        return None


def _merged(one: tuple[int, float, float], other: tuple[int, float, float]) -> tuple[int, float, float]:
    (n, mean, spread), (m, mean_2, spread_2) = one, other
    gap = mean_2 - mean
    return n + m, mean + gap * m / (n + m), spread + spread_2 + gap * gap * n * m / (n + m)
