"""The draft of an incident report: what the record knows is filled in, what it cannot know is asked for. Pure."""

from __future__ import annotations

from datetime import datetime

from modelwright.monitoring import Incident, IncidentFile

OPEN = "TO BE WRITTEN"


def draft(file: IncidentFile) -> str:
    """The report as Markdown, with times in UTC."""
    incident = file.incident
    lines = [f"# Incident {incident.number}: {incident.title}", "", *_summary(incident), "", "## Timeline", ""]
    lines += [f"- {_when(e.ts)} {e.actor.get('id', '')}: {e.action}{_why(e.reason)}" for e in file.timeline]
    lines += ["", "## Root cause", "", incident.root_cause or _asked(incident)]
    lines += ["", "## Lessons", "", incident.lessons or _asked(incident)]
    lines += ["", "## Corrective actions", ""]
    lines += [f"- {a.what} - {a.owner}{f', due {a.due:%Y-%m-%d}' if a.due else ''}" for a in incident.actions] or [
        _asked(incident)
    ]
    return "\n".join(lines) + "\n"


def _summary(incident: Incident) -> list[str]:
    affected = incident.affected
    count = "not established" if affected.predictions is None else str(affected.predictions)
    rows = {
        "State": incident.state.value,
        "Severity": f"{incident.severity} of 4 (1 is the gravest)",
        "Type": incident.type.value,
        "Deployment": str(incident.deployment),
        "Versions": ", ".join(map(str, affected.versions)) or "not established",
        "Predictions affected": count,
        "Affected from": _when(affected.since),
        "Affected until": _when(affected.until),
        "Started": _when(incident.started_at),
        "Detected": f"{_when(incident.detected_at)} by {incident.detected_by}",
        "Contained": _when(incident.contained_at),
        "Resolved": _when(incident.resolved_at),
        "Owner": incident.owner or "nobody yet",
    }
    return ["| | |", "| --- | --- |", *(f"| {name} | {text.replace('|', '/')} |" for name, text in rows.items())]


def _when(moment: datetime | None) -> str:
    return "not yet" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _why(reason: str) -> str:
    return f" - {reason}" if reason else ""


def _asked(incident: Incident) -> str:
    return f"{OPEN} - owner {incident.owner or 'nobody yet'}"
