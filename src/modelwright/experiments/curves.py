"""Thinning a curve without losing its spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence


def thin(values: Sequence[float], most: int) -> list[int]:
    """The positions of at most `most` values (three or more) that show the same outline, in order.

    The first and the last stay. What lies between is cut into stretches of equal length, and of each stretch its lowest and
    its highest stay; of a stretch that holds nothing but NaN, its first.
    """
    if len(values) <= most:
        return list(range(len(values)))
    inner = len(values) - 2
    stretches = max(1, (most - 2) // 2)
    kept = {0, len(values) - 1}
    for number in range(stretches):
        start, end = 1 + inner * number // stretches, 1 + inner * (number + 1) // stretches
        kept |= _extremes(values, start, end, both=most >= 4)
    return sorted(kept)


def _extremes(values: Sequence[float], start: int, end: int, *, both: bool) -> set[int]:
    real = [position for position in range(start, end) if not math.isnan(values[position])]
    if not real:
        return {start}
    high = max(real, key=values.__getitem__)
    return {high, min(real, key=values.__getitem__)} if both else {high}
