"""Thinning keeps the outline."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from modelwright.experiments.curves import thin

values = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=300)


@given(values, st.integers(4, 100))
def test_an_outline_is_short_ordered_and_holds_ends_and_extremes(found: list[float], most: int) -> None:
    kept = thin(found, most)
    assert len(kept) <= most or len(kept) == len(found) <= most
    assert kept == sorted(set(kept)) and kept[0] == 0 and kept[-1] == len(found) - 1
    real = [value for value in found if not math.isnan(value)]
    if real:
        shown = [found[i] for i in kept]
        assert max(real) in shown and min(real) in shown
