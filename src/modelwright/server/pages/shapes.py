"""How a column was distributed before and after, on one scale: what the page of a difference draws for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from modelwright.datasets.records import ColumnProfile, DatasetDiff, Histogram, Profile
from modelwright.server.pages.words import figure, percent

BINS = 24
VALUES = 12  # categories that are drawn, the most frequent of both sides
WIDTH, HEIGHT = 180, 36
FIRST_STRONG, POPPED = "\u2068", "\u2069"  # what stands between reads in its own direction, whatever is beside it

Shares = list[float]  # of the rows of one side, a bin or a value each


def shapes(found: DatasetDiff, before: Profile | None, after: Profile | None) -> dict[str, Markup]:
    """A drawing for each column of which both profiles show a distribution, by the column's name."""
    if before is None or after is None:
        return {}
    old, new = ({each.name: each for each in side.columns} for side in (before, after))
    names = [each.name for each in found.distributions if each.name in old and each.name in new]
    return {name: drawn for name in names if (drawn := shape(old[name], new[name])) is not None}


def shape(before: ColumnProfile, after: ColumnProfile) -> Markup | None:
    """One column: bars are what it is, the line is what it was, both as shares; below it between which values, or which
    value's share moved furthest. None where a profile shows nothing of it, as of a column about people."""
    if before.histogram is not None and after.histogram is not None:
        low = min(before.histogram.edges[0], after.histogram.edges[0])
        high = max(before.histogram.edges[-1], after.histogram.edges[-1])
        bins = min(BINS, max(len(before.histogram.counts), len(after.histogram.counts)))
        old, new = (_binned(each, low, high, bins) for each in (before.histogram, after.histogram))
        first, last = _end(min, before, after, low), _end(max, before, after, high)
        return _drawn(old, new, f"{figure(first)} to {figure(last)}", before.name)
    if before.top and after.top:
        was, now = _shares(before), _shares(after)
        names = sorted({*was, *now}, key=lambda name: (-was.get(name, 0.0), -now.get(name, 0.0), name))[:VALUES]
        moved = max(names, key=lambda name: abs(now.get(name, 0.0) - was.get(name, 0.0)))
        said = f"{FIRST_STRONG}{moved}{POPPED} {percent(was.get(moved, 0.0))} → {percent(now.get(moved, 0.0))}"
        return _drawn([was.get(n, 0.0) for n in names], [now.get(n, 0.0) for n in names], said, before.name)
    return None


def _end(which: Any, before: ColumnProfile, after: ColumnProfile, drawn: float) -> Any:
    """The least or the greatest of both sides; where these are no numbers, as infinities, how far it is drawn."""
    ends = [getattr(side, f"{which.__name__}imum") for side in (before, after)]
    return which((each for each in ends if each is not None), default=drawn)


def _binned(histogram: Histogram, low: float, high: float, bins: int) -> Shares:
    """The shares of a histogram in bins of equal width from `low` to `high`; each of its own bins counts as even."""
    total, width = sum(histogram.counts) or 1, (high - low) / bins
    shares = [0.0] * bins
    for at, count in enumerate(histogram.counts):
        left, right = histogram.edges[at], histogram.edges[at + 1]
        if width <= 0 or right <= left:  # one value: a bin has no width
            shares[min(bins - 1, int((left - low) / width)) if width > 0 else bins // 2] += count / total
            continue
        first, last = (min(bins - 1, max(0, int((edge - low) / width))) for edge in (left, right))
        for bin_ in range(first, last + 1):
            start, end = low + bin_ * width, low + (bin_ + 1) * width
            shares[bin_] += count / total * max(0.0, min(right, end) - max(left, start)) / (right - left)
    return shares


def _shares(profile: ColumnProfile) -> Mapping[str, float]:
    return {str(each.value): each.count / (profile.count or 1) for each in profile.top}


def _drawn(before: Sequence[float], after: Sequence[float], said: str, name: str) -> Markup:
    top, step = max([*before, *after]) or 1.0, WIDTH / len(after)

    def tall(share: float) -> float:
        return (HEIGHT - 3) * share / top

    bars = "".join(
        f'<rect x="{step * at:.2f}" y="{HEIGHT - tall(each):.2f}" width="{max(step - 0.6, 0.4):.2f}" '
        f'height="{tall(each):.2f}"/>'
        for at, each in enumerate(after)
    )
    points = " ".join(
        f"{x:.2f},{HEIGHT - tall(each):.2f}" for at, each in enumerate(before) for x in (step * at, step * (at + 1))
    )
    label = escape(f"Distribution of {name} before and after: {said}")
    picture: Any = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="shape" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>{bars}'
        f'<polyline points="{points}"/></svg><div class="small soft">{escape(said)}</div>'
    )
    return Markup(picture)  # noqa: S704 - names and values are escaped, all else are numbers
