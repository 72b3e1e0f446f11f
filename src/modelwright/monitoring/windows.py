"""Cutting event time into windows that hold enough rows to say something. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

_ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that windows of a week begin on Mondays


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of event time, its start included and its end not, and the rows that fell into it."""

    start: datetime
    end: datetime
    rows: int = 0


def floor_to(moment: datetime, every: timedelta) -> datetime:
    """The last boundary at or before a moment; boundaries are whole multiples of `every` from a Monday's midnight."""
    return moment - (moment - _ORIGIN) % every


def closed(
    times: Sequence[datetime],
    *,
    since: datetime,
    until: datetime,
    every: timedelta,
    least: int,
    patience: timedelta = timedelta(0),
) -> tuple[list[Window], datetime]:
    """The closed windows from `since` on, and the moment up to which time is dealt with.

    `times` are event times in order; `until` is the watermark, before which no more rows are expected. A stretch that
    holds fewer than `least` rows is merged with the next one, and stays open until the two together hold enough. An
    empty stretch is passed over once it ended `patience` ago; until then it may still get rows.
    """
    found: list[Window] = []
    start, end, place = since, floor_to(since, every) + every, 0
    while place < len(times) and times[place] < since:
        place += 1
    while end <= until:
        after = place
        while after < len(times) and times[after] < end:
            after += 1
        if after == place:
            start = end if end + patience <= until else start
        elif after - place >= least:
            found.append(Window(start=start, end=end, rows=after - place))
            start, place = end, after
        end += every
    return found, start
