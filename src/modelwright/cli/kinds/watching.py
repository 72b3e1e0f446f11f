"""Monitors, alerts and incidents at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Changes, Face, changes
from modelwright.cli.output import aside, day, event_row, facts, number, say, section, span, when
from modelwright.core.errors import NotFound
from modelwright.core.paging import Filter, Page, every
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.monitoring.records import Alert, Incident, IncidentFile, Monitor
    from modelwright.workspace import Workspace

ROUTINE = ("monitoring.windows.recorded", "monitoring.labels.received")  # not told in an incident's timeline


class MonitorFace(Face):
    """Standing instructions to watch a deployment."""

    kind = Kind.MONITOR
    columns = ("monitor", "deployment", "window", "performance", "stands", "made", "by")

    def show(self, rooms: Workspace, ref: Ref) -> Monitor:
        return rooms.monitoring.show(ref)

    def tell(self, rooms: Workspace, found: Monitor) -> None:
        watch, rule = found.watch, found.watch.performance
        facts(
            str(found.ref),
            {
                "watches": found.deployment,
                "against": watch.reference
                or (watch.period and f"{when(watch.period.since)} to {when(watch.period.until)}"),
                "window": span(watch.window.total_seconds()),
                "columns": [column.name for column in watch.columns] or "all that are shared",
                "performance": f"{rule.output}, {span(rule.maturity.total_seconds())} later" if rule else None,
                "alerts after": f"{watch.persist} of {watch.among} windows",
                "owner": watch.owner,
                "stands": _standing(found),
                "made": f"{when(found.created_at)} by {found.created_by}",
            },
        )
        rows = [
            [
                each.aspect.value,
                when(each.start),
                each.rows,
                each.labelled or "",
                ", ".join(f"{name} {number(metric.value)}" for name, metric in each.metrics.items()),
                ", ".join(each.findings),
            ]
            for each in rooms.monitoring.results(found.ref, last=14)
        ]
        if rows:
            section(["aspect", "window from", "rows", "labels", "figures", "found"], rows, right=("rows", "labels"))

    def list(self, rooms: Workspace, where: Filter) -> Page[Monitor]:
        return rooms.monitoring.list(where)

    def row(self, item: Monitor) -> Sequence[Any]:
        window, rule = span(item.watch.window.total_seconds()), item.watch.performance
        ref, of = str(item.ref).removeprefix("monitor:"), item.deployment.name
        return [ref, of, window, rule.output if rule else "", _standing(item), when(item.created_at), item.created_by]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> Changes:
        one, two = rooms.monitoring.show(before), rooms.monitoring.show(after)
        return changes(one.ref, two.ref, one.watch, two.watch)


class AlertFace(Face):
    """Causes of concern."""

    kind = Kind.ALERT
    columns = ("alert", "deployment", "cause", "state", "opened", "incident", "what was found")

    def show(self, rooms: Workspace, ref: Ref) -> Alert:
        for found in every(rooms.monitoring.alerts):
            if found.ref == ref:
                return found
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list alert")

    def tell(self, rooms: Workspace, found: Alert) -> None:
        facts(
            str(found.ref),
            {
                "says": found.summary,
                "state": found.state.value,
                "deployment": found.deployment,
                "monitor": found.monitor,
                "cause": found.cause.value,
                "found in": found.findings,
                "windows": f"{when(found.since)} to {when(found.until)}",
                "opened": when(found.opened_at),
                "seen by": found.acknowledged_by,
                "cleared": when(found.cleared_at),
                "incident": found.incident,
            },
        )

    def list(self, rooms: Workspace, where: Filter) -> Page[Alert]:
        return rooms.monitoring.alerts(where)

    def row(self, item: Alert) -> Sequence[Any]:
        state, opened = item.state.value, day(item.opened_at)
        incident = item.incident.name if item.incident else ""
        return [item.number, item.deployment.name, item.cause.value, state, opened, incident, ", ".join(item.findings)]


class IncidentFace(Face):
    """Things that went wrong, and what is done about them."""

    kind = Kind.INCIDENT
    columns = ("incident", "severity", "state", "deployment", "detected", "owner", "title")
    right = ("severity",)

    def show(self, rooms: Workspace, ref: Ref) -> IncidentFile:
        return rooms.monitoring.incident(ref)

    def tell(self, rooms: Workspace, found: IncidentFile) -> None:
        incident, affected = found.incident, found.incident.affected
        facts(
            f"{incident.ref}  {incident.title}",
            {
                "state": incident.state.value,
                "severity": incident.severity,
                "type": incident.type.value,
                "deployment": incident.deployment,
                "owner": incident.owner,
                "began": when(incident.started_at),
                "detected": f"{when(incident.detected_at)} by {incident.detected_by}",
                "contained": when(incident.contained_at),
                "resolved": when(incident.resolved_at),
                "alerts": incident.alerts,
                "versions": affected.versions,
                "predictions": affected.predictions,
                "root cause": incident.root_cause,
                "lessons": incident.lessons,
                "actions": "\n".join(
                    f"{action.what} ({action.owner}{', by ' + when(action.due)[:10] if action.due else ''})"
                    for action in incident.actions
                ),
            },
        )
        told = [event for event in found.timeline if event.action not in ROUTINE]
        section(["event", "when", "who", "what"], [event_row(event) for event in told], right=("event",))
        if len(told) < len(found.timeline):
            aside(f"Left out: {len(found.timeline) - len(told)} times windows or labels were recorded; --json has all.")
        if incident.resolved_at is None:
            say(f"Add to it: mw incident note {incident.number} TEXT", style="dim")

    def list(self, rooms: Workspace, where: Filter) -> Page[Incident]:
        return rooms.monitoring.incidents(where)

    def row(self, item: Incident) -> Sequence[Any]:
        state, detected = item.state.value, day(item.detected_at)
        return [item.number, item.severity, state, item.deployment.name, detected, item.owner, item.title]


def _standing(monitor: Monitor) -> str:
    if monitor.stopped:
        return "stopped"
    return f"silent until {when(monitor.silenced_until)}" if monitor.silenced_until else "watching"
