"""The most frequent values: counters of Misra and Gries (1982), merged as Agarwal et al. (2012) show.

A value that more than one in `SURE` rows hold is surely among them, and a count is too low by at most `error` and never too
high. While there are no more different values than counters, every count is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

COUNTERS: Final = 512
SURE: Final = 256  # a batch may be short by one in 512 of its rows, and so may what is put together


class Frequent:
    """Counts by value."""

    def __init__(self) -> None:
        self.counts: dict[Any, int] = {}
        self.error = 0  # rows by which a count may be too low

    def merge(self, counts: Mapping[Any, int], error: int = 0) -> None:
        """Take in counts, each of which may be too low by `error`."""
        for value, count in counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        self.error += error
        if len(self.counts) > COUNTERS:
            cut = sorted(self.counts.values(), reverse=True)[COUNTERS]
            self.counts = {value: count - cut for value, count in self.counts.items() if count > cut}
            self.error += cut


def frequent_of(counts: Any) -> tuple[Any, int]:
    """Which of many exact counts to keep, as positions, and how many rows any of the others has at most."""
    if len(counts) <= COUNTERS:
        return np.arange(len(counts)), 0
    cut = int(counts.sum()) // (2 * COUNTERS)
    kept = np.flatnonzero(counts > cut)
    if len(kept) > COUNTERS:
        cut = int(np.partition(counts[kept], -COUNTERS - 1)[-COUNTERS - 1])
        kept = np.flatnonzero(counts > cut)
    return kept, cut
