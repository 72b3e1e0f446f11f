"""Time is an argument or the workspace's clock, never the machine's clock read in the middle of a rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from modelwright.core.errors import Invalid


class Clock(Protocol):
    """Tells the time. Successive calls never go backwards; the answer is always aware and in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock, held monotonic: if the machine's time is set back, this one stands still."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        now = datetime.now(UTC)
        if now > self._last:
            self._last = now
        return self._last


class ManualClock:
    """A clock that moves only when told to; each reading is a microsecond after the one before.

    For tests, and for workspaces that replay the past (`clock = "simulated"` in the workspace's configuration).
    """

    def __init__(self, start: datetime) -> None:
        self._now = utc(start)

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    def advance(self, to: datetime | timedelta) -> datetime:
        """Move to a later moment, or on by a duration; going backwards is `Invalid`."""
        target = self._now + to if isinstance(to, timedelta) else utc(to)
        if target < self._now:
            raise Invalid(f"The clock stands at {isoformat(self._now)} and cannot go back to {isoformat(target)}.")
        self._now = target
        return target


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is refused, since nobody can know what it means."""
    if moment.tzinfo is None:
        raise Invalid(f"The time {moment.isoformat()} has no time zone.", mend="Add one, for example a trailing Z.")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def isoformat(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a trailing Z: sorts as text in order of time."""
    return utc(moment).isoformat(timespec="microseconds")[:-6] + "Z"  # for "+00:00"


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 moment or a bare date (its midnight in UTC)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is not a time.", mend="Write 2013-07-01 or 2013-07-01T12:00:00Z.") from None
    return utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
