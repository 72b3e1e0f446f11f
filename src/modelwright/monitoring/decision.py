"""When a finding becomes an alert, and when an alert ends. Pure: results in, one move out.

A finding in a single window is no reason to call anybody. It has already passed two tests (more than chance with the false
discovery rate held over all columns, and an effect above its floor); here it must also persist. Time is event time
throughout, so that a monitor which catches up after a pause decides as it would have decided day by day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modelwright.monitoring.multiplicity import discoveries
from modelwright.monitoring.records import Alert, Watch, WindowResult

if TYPE_CHECKING:
    from modelwright.monitoring.detectors.base import Comparison

OUTCOMES = "outcomes"  # the watch over single outcomes: it answers for its own false alarms and needs no persistence


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """Call somebody: these findings stand, in windows that reach over this time."""

    findings: list[str]
    since: datetime
    until: datetime


class Extend(msgspec.Struct, frozen=True, kw_only=True):
    """The open alert goes on; it now has these findings."""

    findings: list[str]
    until: datetime


class Clear(msgspec.Struct, frozen=True):
    """The open alert is over: enough windows in a row had no finding."""


Move = Raise | Extend | Clear


def significant(comparisons: Mapping[str, Comparison], rate: float) -> set[str]:
    """The columns of one window whose difference is more than chance, the false discovery rate held at `rate`."""
    return discoveries({name: each.p_value for name, each in comparisons.items()}, rate)


def persistent(history: Sequence[WindowResult], watch: Watch) -> list[str]:
    """The findings that stand in at least `persist` of the latest `among` windows (in order of time), by name."""
    latest = history[-watch.among :]
    often = Counter(name for window in latest for name in window.findings)
    now = set(history[-1].findings) if history else set()
    return sorted(name for name, n in often.items() if n >= watch.persist or (name == OUTCOMES and name in now))


def decide(
    history: Sequence[WindowResult], alert: Alert | None, watch: Watch, *, silenced_until: datetime | None = None
) -> Move | None:
    """What to do after the latest window of one aspect.

    `alert` is the latest one of this cause, open or not. While a cause has an open alert no other is raised for it; after
    it ended, none for the cool-down; while the monitor is silenced, none at all. An open alert ends only after
    `clear_after` windows in a row without any finding, so that it does not flap.
    """
    if not history:
        return None
    latest, standing = history[-1], persistent(history, watch)
    if alert is not None and alert.open:
        if latest.start >= alert.until and not any(window.findings for window in history[-watch.clear_after :]):
            return Clear() if len(history) >= watch.clear_after else None
        grown = sorted({*alert.findings, *standing})
        return Extend(findings=grown, until=latest.end) if latest.findings and latest.end > alert.until else None
    if not standing or (silenced_until is not None and latest.end <= silenced_until):
        return None
    if alert is not None and latest.end < alert.until + watch.cool_down:
        return None
    first = next(window for window in history[-watch.among :] if set(window.findings) & set(standing))
    return Raise(findings=standing, since=first.start, until=latest.end)
