"""Event time is cut into windows that hold enough rows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelwright.monitoring.windows import closed, floor_to

DAY = timedelta(days=1)
START = datetime(2013, 1, 1, tzinfo=UTC)


def times(*per_day):
    return [START + day * DAY + timedelta(minutes=i) for day, n in enumerate(per_day) for i in range(n)]


def cut(per_day, *, until, least=10, patience=timedelta(0)):
    found, reached = closed(
        times(*per_day), since=START, until=START + until * DAY, every=DAY, least=least, patience=patience
    )
    return [((w.start - START).days, (w.end - START).days, w.rows) for w in found], (reached - START).days


def test_full_days_are_windows():
    assert cut([10, 20, 30], until=3) == ([(0, 1, 10), (1, 2, 20), (2, 3, 30)], 3)


def test_a_short_day_is_merged_forward():
    assert cut([10, 4, 3, 5, 10], until=5) == ([(0, 1, 10), (1, 4, 12), (4, 5, 10)], 5)


def test_a_short_day_at_the_end_stays_open():
    assert cut([10, 4], until=2) == ([(0, 1, 10)], 1)


def test_a_day_that_has_not_ended_stays_open():
    assert cut([10, 10], until=1) == ([(0, 1, 10)], 1)


def test_empty_days_are_passed_over():
    assert cut([0, 0, 10, 0, 10, 0], until=6) == ([(2, 3, 10), (4, 5, 10)], 6)


def test_an_empty_day_is_waited_for_as_long_as_patience_lasts():
    assert cut([0, 0, 0], until=3, patience=2 * DAY) == ([], 1)


def test_weeks_begin_on_mondays():
    monday = datetime(2013, 1, 7, tzinfo=UTC)
    assert floor_to(monday + timedelta(days=6, hours=23), timedelta(days=7)) == monday


@given(st.lists(st.integers(0, 25), max_size=12), st.integers(1, 30), st.integers(0, 12))
def test_windows_do_not_overlap_hold_enough_and_count_every_row_once(per_day, least, until):
    found, reached = closed(times(*per_day), since=START, until=START + until * DAY, every=DAY, least=least)
    end = START
    for window in found:
        assert window.start >= end
        assert window.rows >= least
        assert window.rows == sum(window.start <= t < window.end for t in times(*per_day))
        end = window.end
    assert end <= reached <= START + until * DAY


@given(st.lists(st.integers(0, 25), min_size=1, max_size=10), st.integers(1, 30), st.integers(1, 10))
def test_going_on_from_where_one_stopped_gives_the_same_windows(per_day, least, stop):
    whole, _ = closed(times(*per_day), since=START, until=START + 10 * DAY, every=DAY, least=least)
    first, reached = closed(times(*per_day), since=START, until=START + stop * DAY, every=DAY, least=least)
    rest, _ = closed(times(*per_day), since=reached, until=START + 10 * DAY, every=DAY, least=least)
    assert first + rest == whole
