"""Incidents: opened by alerts or people, worked on, contained, resolved. Functions on an open transaction.

The timeline is not kept: it is read from the ledger, where everything that was done already stands.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.monitoring import queries
from modelwright.monitoring.records import (
    INCIDENT_MOVES,
    Affected,
    Alert,
    Aspect,
    Incident,
    IncidentState,
    IncidentType,
    Monitor,
)
from modelwright.monitoring.tables import incidents
from modelwright.store import Transaction

OPENED = "monitoring.incident.opened"
_SEVERITY = {Aspect.DRIFT: 3, Aspect.PERFORMANCE: 2}
_TYPE = {Aspect.DRIFT: IncidentType.DATA, Aspect.PERFORMANCE: IncidentType.PERFORMANCE}


def opened_by(tx: Transaction, monitor: Monitor, alert: Alert) -> Incident:
    """The incident an alert belongs to: the deployment's unfinished one, which may grow graver, or a new one."""
    running = queries.open_incident_of(tx, monitor.deployment.name)
    severity = _SEVERITY[alert.cause]
    if running is not None:
        graver = severity < running.severity
        larger = replace(
            running,
            alerts=[*running.alerts, alert.ref],
            severity=min(severity, running.severity),
            type=_TYPE[alert.cause] if graver else running.type,
            affected=_affected(tx, running.affected, alert),
        )
        return queries.save_incident(tx, larger)
    incident = Incident(
        number=queries.next_number(tx, incidents),
        title=alert.summary,
        deployment=monitor.deployment,
        severity=severity,
        type=_TYPE[alert.cause],
        state=IncidentState.OPEN,
        detected_at=tx.now,
        detected_by=str(alert.ref),
        started_at=alert.since,
        owner=monitor.watch.owner,
        alerts=[alert.ref],
        affected=_affected(tx, Affected(), alert),
    )
    return opened(tx, incident)


def opened(tx: Transaction, incident: Incident) -> Incident:
    """Write a new incident and the event that says so."""
    tx.record(
        OPENED,
        incident.ref,
        inputs=[incident.deployment, *incident.alerts, *incident.affected.versions],
        outputs=[incident.ref],
        after={"severity": incident.severity, "type": incident.type.value, "started_at": incident.started_at},
        reason=incident.title,
    )
    return queries.save_incident(tx, incident)


def grown(tx: Transaction, alert: Alert) -> None:
    """An alert goes on: its incident touches more predictions than it did."""
    if alert.incident is None:
        return
    incident = queries.incident(tx, alert.incident)
    if incident.state is not IncidentState.RESOLVED:
        queries.save_incident(tx, replace(incident, affected=_affected(tx, incident.affected, alert)))


def _affected(tx: Transaction, before: Affected, alert: Alert) -> Affected:
    """The predictions from the first window that counted to the last one, over all alerts of the incident."""
    since = min(filter(None, (before.since, alert.since)))
    until = max(filter(None, (before.until, alert.until)))
    touched = queries.windows_of(tx, alert.monitor.whole, alert.cause, since=since, until=until)
    return Affected(
        since=since,
        until=until,
        predictions=max(before.predictions or 0, sum(window.rows for window in touched)),
        versions=list(dict.fromkeys([*before.versions, *(w.model for w in touched if w.model)])),
    )


def move(tx: Transaction, ref: Ref, to: IncidentState, **fields: Any) -> Incident:
    """Move an incident to another state, if that is a legal move; `Conflict` says where it stands."""
    incident = queries.incident(tx, ref)
    if to not in INCIDENT_MOVES[incident.state]:
        raise Conflict(f"{ref} is {incident.state.value}; it cannot become {to.value}.")
    tx.note(
        resource=incident.ref,
        inputs=[incident.deployment],
        before={"state": incident.state.value},
        after={"state": to.value},
    )
    return queries.save_incident(tx, replace(incident, state=to, **fields))


def check_severity(severity: int) -> int:
    """1 to 4, or `Invalid`."""
    if not 1 <= severity <= 4:
        raise Invalid(f"A severity is 1 (gravest) to 4 (slightest), not {severity}.")
    return severity
