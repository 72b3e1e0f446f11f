"""Many tests at once: how many of them may be believed."""

from __future__ import annotations

from collections.abc import Mapping


def discoveries(p_values: Mapping[str, float], rate: float) -> set[str]:
    """The tests that hold when at most `rate` of those reported may be false (Benjamini and Hochberg, 1995).

    Ordered by p-value, every test up to the last whose p-value is at most rate * rank / tests is reported.
    """
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    kept = 0
    for rank, name in enumerate(ordered, start=1):
        if p_values[name] <= rate * rank / len(ordered):
            kept = rank
    return set(ordered[:kept])
