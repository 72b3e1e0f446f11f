"""Durations as they are written in a definition: `90m`, `3h`, `7d`. Kept as whole microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from modelwright.core.clock import utc
from modelwright.core.errors import Invalid

_UNITS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_WRITTEN: Final = re.compile(r"([0-9]{1,9})(us|ms|s|m|h|d|w)")
_LONGEST: Final = 100 * 366 * _UNITS["d"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


def microseconds(text: str) -> int:
    """The length of a duration, or `Invalid`: a whole number above zero and a unit, at most a hundred years.

    A day is 24 hours and a week seven of those, whatever the clocks of a place do.
    """
    found = _WRITTEN.fullmatch(text)
    length = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < length <= _LONGEST:
        raise Invalid(
            f"{text!r} is not a duration.",
            mend=f"Write a whole number and a unit ({', '.join(_UNITS)}), for example 90m, 3h or 7d.",
        )
    return length


def since_epoch(moment: datetime) -> int:
    """A moment as whole microseconds since 1970 in UTC; a naive one is `Invalid`."""
    return (utc(moment) - _EPOCH) // _TICK


def from_epoch(ticks: int) -> datetime:
    """The moment that `since_epoch` made a number of."""
    return _EPOCH + timedelta(microseconds=ticks)
