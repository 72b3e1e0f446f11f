"""Delivery and reliability figures, from ledger events alone. Pure: events in, figures out, nothing typed in by anybody.

A *change* is a version on its way into production: a rollout that was started there. It *failed* if it was rolled back, or
if within some days of going live its deployment was rolled back or an incident was opened on it. The first four figures
are those of Accelerate (Forsgren, Humble, Kim, 2018), with models for software.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec

from modelwright.governance.records import Figure, ValueReport
from modelwright.store.records import Event

PRODUCTION = "production"
STARTED, LIVE = "deployments.rollout.started", "deployments.release.live"
ROLLED_BACK, RESTORED = "deployments.rollout.rolled_back", "deployments.release.rolled_back"
REGISTERED, DATA = "models.version.registered", "datasets.version.added"
GATE, APPROVED, EVALUATED = "policy.gate.decided", "policy.version.approved", "evidence.evaluation.attached"
OPENED, CONTAINED, RESOLVED = (f"monitoring.incident.{verb}" for verb in ("opened", "contained", "resolved"))
READ = (STARTED, LIVE, ROLLED_BACK, RESTORED, REGISTERED, DATA, GATE, APPROVED, EVALUATED, OPENED, CONTAINED, RESOLVED)

Pair = tuple[Event, Event]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One version that set out for production on one deployment."""

    started: Event
    model: str
    live: Event | None = None  # when it went live, if it did
    failure: Event | None = None  # what undid it, or the incident that followed


def report(events: Sequence[Event], since: datetime, until: datetime, *, failing_within: timedelta) -> ValueReport:
    """The figures of a period. `events` are those of `READ`, in order, from the beginning of the ledger to `until`.

    A case counts in the period in which it ended: a lead time when the version went live, a restoration when it was over.
    """
    within = [event for event in events if since <= event.ts < until]
    changes = [c for c in changes_of(events, failing_within) if since <= c.started.ts < until]
    shipped = _first_live(events)
    now_live = {model: event for model, event in shipped.items() if since <= event.ts < until}
    weeks = (until - since) / timedelta(weeks=1)
    decided = [event for event in within if event.action == GATE]
    failed = [change for change in changes if change.failure is not None]
    lead = [
        (made, now_live[out]) for made in events if made.action == REGISTERED for out in made.outputs if out in now_live
    ]
    return ValueReport(
        since=since,
        until=until,
        figures=[
            _typical("lead_time", "Lead time, registered to live", lead),
            _typical("data_lead_time", "Lead time, newest training data to live", _data_to_live(events, now_live)),
            Figure(
                name="deployment_frequency",
                label="Versions gone live per week",
                value=len(now_live) / weeks,
                unit="per week",
                n=len(now_live),
                events=[event.seq for event in now_live.values()],
            ),
            _share("change_failure_rate", "Changes that failed", [c.started for c in failed], [c.started for c in changes]),
            _typical("time_to_restore", "Time to restore after an incident", _restorations(events, since, until)),
            _typical("time_to_detect", "Time to detect an incident", _detections(within)),
            _share("gate_pass_rate", "Gates passed", [e for e in decided if e.decision == "allow"], decided),
            _typical("approval_wait", "Wait for an approval, evaluated to approved", _approvals(events, since, until)),
            _typical("retraining_interval", "Time between versions of a model", _retrainings(events, since, until)),
        ],
    )


def changes_of(events: Sequence[Event], failing_within: timedelta) -> list[Change]:
    """Every change, with when it went live and what it failed by."""
    found = []
    for place, event in enumerate(events):
        if event.action != STARTED or event.environment != PRODUCTION:
            continue
        model = str(event.after.get("model", ""))
        following = [e for e in events if _same_moment(e, event)] + list(events[place + 1 :])
        live = next((e for e in following if _went_live(e, event.resource, model)), None)
        found.append(
            Change(started=event, model=model, live=live, failure=_failure(event, model, live, following, failing_within))
        )
    return found


def _failure(started: Event, model: str, live: Event | None, following: Sequence[Event], within: timedelta) -> Event | None:
    for event in following:
        if event.ts < started.ts:
            continue
        here = event.resource == started.resource and event.environment == PRODUCTION
        if live is None or event.ts < live.ts:
            if event.action == ROLLED_BACK and here and event.after.get("model") == model:
                return event
            continue
        if event.ts > live.ts + within:
            return None
        if here and event.action == LIVE and event.seq != live.seq:
            return event if _restored(event, following) else None
        if event.action == OPENED and started.resource in event.inputs:
            return event
    return None


def _restored(live: Event, events: Sequence[Event]) -> bool:
    """Whether a version went live because another was rolled back: both events are of one transaction."""
    return any(e.action == RESTORED and e.request_id == live.request_id for e in events)


def _same_moment(event: Event, started: Event) -> bool:
    """Events of the transaction that started a rollout come before the operation's own."""
    return event.request_id == started.request_id and event.seq < started.seq


def _went_live(event: Event, deployment: str, model: str) -> bool:
    here = event.action == LIVE and event.resource == deployment and event.environment == PRODUCTION
    return here and event.after.get("model") == model


def _first_live(events: Sequence[Event]) -> dict[str, Event]:
    """By model version, the event with which it first went live in production."""
    found: dict[str, Event] = {}
    for event in events:
        if event.action == LIVE and event.environment == PRODUCTION:
            found.setdefault(str(event.after.get("model")), event)
    return found


def _data_to_live(events: Sequence[Event], live: dict[str, Event]) -> list[Pair]:
    added = {out: event for event in events if event.action == DATA for out in event.outputs}
    pairs = []
    for made in events:
        if made.action != REGISTERED:
            continue
        data = [added[ref] for ref in made.inputs if ref in added]
        if data:
            newest = max(data, key=lambda event: event.seq)
            pairs += [(newest, live[out]) for out in made.outputs if out in live]
    return pairs


def _restorations(events: Sequence[Event], since: datetime, until: datetime) -> list[Pair]:
    """From the opening of an incident to when it was contained or resolved, whichever came first."""
    opened: dict[str, Event] = {}
    pairs = []
    for event in events:
        if event.action == OPENED:
            opened[event.resource] = event
        elif event.action in (CONTAINED, RESOLVED) and event.resource in opened:
            beginning = opened.pop(event.resource)
            if since <= event.ts < until:
                pairs.append((beginning, event))
    return pairs


def _detections(events: Sequence[Event]) -> list[Pair]:
    """From when an incident is said to have started to when it was opened; the first moment is in the event itself."""
    pairs = []
    for event in events:
        if event.action == OPENED and event.after.get("started_at"):
            started = msgspec.convert(event.after["started_at"], datetime)
            pairs.append((msgspec.structs.replace(event, ts=min(started, event.ts)), event))
    return pairs


def _approvals(events: Sequence[Event], since: datetime, until: datetime) -> list[Pair]:
    """From the latest evaluation of a version to its first approval after it."""
    ready: dict[str, Event] = {}
    pairs = []
    for event in events:
        if event.action == EVALUATED:
            ready[event.resource] = event
        elif event.action == APPROVED and event.resource in ready:
            beginning = ready.pop(event.resource)
            if since <= event.ts < until:
                pairs.append((beginning, event))
    return pairs


def _retrainings(events: Sequence[Event], since: datetime, until: datetime) -> list[Pair]:
    before: dict[str, Event] = {}
    pairs = []
    for event in events:
        if event.action == REGISTERED:
            name = event.resource.partition("@")[0]
            if name in before and since <= event.ts < until:
                pairs.append((before[name], event))
            before[name] = event
    return pairs


def _typical(name: str, label: str, pairs: Sequence[Pair]) -> Figure:
    """The median duration, in hours."""
    hours = [(end.ts - start.ts) / timedelta(hours=1) for start, end in pairs]
    events = sorted({event.seq for pair in pairs for event in pair})
    return Figure(name=name, label=label, value=median(hours) if hours else None, unit="hours", n=len(pairs), events=events)


def _share(name: str, label: str, some: Sequence[Event], every: Sequence[Event]) -> Figure:
    value = len(some) / len(every) if every else None
    return Figure(name=name, label=label, value=value, unit="share", n=len(every), events=[event.seq for event in every])
