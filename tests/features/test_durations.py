from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.features.durations import from_epoch, microseconds, since_epoch


def test_a_duration_is_a_number_and_a_unit() -> None:
    assert microseconds("90m") == 90 * 60 * 1_000_000
    assert microseconds("7d") == microseconds("1w") == 7 * 24 * microseconds("1h")


@pytest.mark.parametrize("text", ["", "3", "h", "0h", "-1h", "1.5h", "3 h", "3H", "3h ", "999999999w"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match="for example"):
        microseconds(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_as_microseconds(moment: datetime) -> None:
    assert from_epoch(since_epoch(moment)) == moment


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(Invalid, match="no time zone"):
        since_epoch(datetime(2013, 1, 1))
