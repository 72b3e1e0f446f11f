"""Clocks that never go back, times as text that sorts, ids that sort by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.clock import ManualClock, SystemClock, isoformat, parse_time, utc
from modelwright.core.errors import Invalid
from modelwright.core.ids import new_id

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)
START = datetime(2026, 1, 1, tzinfo=UTC)


@given(moments)
def test_a_time_is_read_back_from_its_text(moment: datetime):
    text = isoformat(moment)
    assert parse_time(text) == moment
    assert len(text) == 27
    assert text.endswith("Z")


@given(moments, moments)
def test_times_as_text_are_in_order_of_time(one: datetime, other: datetime):
    assert (isoformat(one) < isoformat(other)) == (one < other)


def test_a_time_without_a_zone_is_refused_and_a_date_is_its_midnight():
    with pytest.raises(Invalid, match="no time zone"):
        utc(datetime(2026, 1, 1))
    assert parse_time("2026-01-01") == START
    with pytest.raises(Invalid, match="not a time"):
        parse_time("yesterday")


def test_a_manual_clock_moves_when_told_and_never_back():
    clock = ManualClock(START)
    first, second = clock.now(), clock.now()
    assert START < first < second < START + timedelta(seconds=1)
    assert clock.advance(timedelta(days=1)) > START + timedelta(days=1)
    clock.advance(START + timedelta(days=9))
    with pytest.raises(Invalid, match="cannot go back"):
        clock.advance(START)


def test_the_systems_clock_is_in_utc_and_monotonic():
    clock = SystemClock()
    readings = [clock.now() for _ in range(100)]
    assert readings == sorted(readings)
    assert readings[0].tzinfo is UTC


@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC)))
def test_ids_have_one_length_and_alphabet(moment: datetime):
    made = new_id(moment)
    assert len(made) == 26
    assert set(made) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_ids_sort_by_time_and_differ_within_one_moment():
    later = [new_id(START + timedelta(milliseconds=n)) for n in range(50)]
    assert later == sorted(later)
    assert len({new_id(START) for _ in range(1000)}) == 1000


def test_ids_of_one_millisecond_ascend_as_they_were_made_and_are_not_to_be_guessed():
    made = [new_id(START + timedelta(microseconds=n)) for n in range(200)]
    assert made == sorted(made)
    assert new_id(START - timedelta(days=1)) < made[0] < new_id(START + timedelta(milliseconds=1))
    assert len({each[-6:] for each in made}) > 190
