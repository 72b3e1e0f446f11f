"""When a pipeline is set off: a pure decision over ledger events, a schedule, and guards.

Guards delay, they never drop. What happens while the pipeline runs, or too soon after the last time, waits; and however
much has gathered by then sets off one execution, caused by the newest of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """What sets a pipeline off: events of one action (about something, if said), or the clock, or both."""

    name: str
    pipeline: str
    on: str = ""  # the action of an event, such as monitoring.incident.opened
    about: str = ""  # only events that name this thing: a ref, or a kind and path such as model:pricing
    every: float | None = None  # seconds between two scheduled executions
    min_interval: float = 0.0  # seconds between two executions, whatever sets them off
    params: dict[str, Any] = {}
    created_at: datetime

    def check(self) -> None:
        """`Invalid` if it can never fire, or would without end."""
        if not self.on and self.every is None:
            raise Invalid(
                f"Trigger {self.name} has nothing to fire on.", mend="Give it an event (on) or a schedule (every)."
            )
        if self.every is not None and self.every < 1:
            raise Invalid(
                f"Trigger {self.name} would fire every {self.every} s.", mend="A schedule has at least one second."
            )
        if self.on.startswith(("pipelines.", "experiments.")):
            raise Invalid(
                f"Trigger {self.name} would fire on {self.on}, which executions leave themselves.",
                mend="Trigger on what happens to data or models, or on a schedule.",
            )


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the ledger, as far as a trigger looks at it."""

    seq: int
    action: str
    refs: list[str]


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand for one trigger."""

    events: list[Heard]  # since it last looked, in order
    head: int  # the number that the next event of the ledger will have
    running: bool  # whether the pipeline is being executed
    last_fired_at: datetime | None
    last_slot: str = ""  # the scheduled time that it last fired for


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """Set the pipeline off. `cause` is what makes it happen once: the event, or the scheduled time."""

    cause: str  # event:<seq> or at:<time>
    reason: str
    about: list[str]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now. Events below `seen` need not be looked at again."""

    firing: Firing | None
    seen: int


def decide(trigger: Trigger, observed: Observed, now: datetime) -> Decision:
    """Whether a trigger fires now, and what for."""
    waiting = [event for event in observed.events if event.action == trigger.on and concerns(event, trigger.about)]
    slot = _slot(trigger, now)
    due = slot if slot is not None and isoformat(slot) > observed.last_slot else None
    if not waiting and due is None:
        return Decision(firing=None, seen=observed.head)
    if _guarded(trigger, observed, now):
        return Decision(firing=None, seen=waiting[0].seq if waiting else observed.head)
    if waiting:
        return Decision(firing=_for_events(waiting), seen=observed.head)
    at = isoformat(due) if due is not None else ""
    return Decision(firing=Firing(cause=f"at:{at}", reason=f"Scheduled for {at}.", about=[]), seen=observed.head)


def concerns(event: Heard, about: str) -> bool:
    """Whether an event names a thing: the thing itself, a version of it, or something under its path."""
    return not about or any(ref == about or ref.startswith((f"{about}@", f"{about}/")) for ref in event.refs)


def _guarded(trigger: Trigger, observed: Observed, now: datetime) -> bool:
    last = observed.last_fired_at
    return observed.running or (last is not None and now < last + timedelta(seconds=trigger.min_interval))


def _slot(trigger: Trigger, now: datetime) -> datetime | None:
    """The newest scheduled time that has come; the first is one interval after the trigger was defined."""
    if trigger.every is None:
        return None
    passed = int((now - trigger.created_at).total_seconds() // trigger.every)
    return trigger.created_at + timedelta(seconds=passed * trigger.every) if passed >= 1 else None


def _for_events(waiting: Sequence[Heard]) -> Firing:
    newest = waiting[-1]
    also = f", and {len(waiting) - 1} more since the last time" if len(waiting) > 1 else ""
    about = [ref for ref in newest.refs if _is_ref(ref)]
    return Firing(cause=f"event:{newest.seq}", reason=f"Event {newest.seq}: {newest.action}{also}.", about=about)


def _is_ref(text: str) -> bool:
    try:
        Ref.parse(text)
    except Invalid:
        return False
    return True
