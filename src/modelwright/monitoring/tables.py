"""The tables of monitoring, and their rows as records."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode_text, time_text
from modelwright.monitoring.records import Alert, Incident, WindowResult
from modelwright.store.tables import metadata

labels = sa.Table(
    "monitoring_labels",
    metadata,
    sa.Column("deployment", sa.String(200), primary_key=True),
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("label", sa.Float),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("received_at", sa.String(27), nullable=False),
    sa.Index("ix_monitoring_labels_at", "deployment", "at"),
)

windows = sa.Table(
    "monitoring_windows",
    metadata,
    sa.Column("monitor", sa.String(300), primary_key=True),  # pinned to a version
    sa.Column("aspect", sa.String(12), primary_key=True),
    sa.Column("start", sa.String(27), primary_key=True),
    sa.Column("end", sa.String(27), nullable=False),
    sa.Column("recorded_at", sa.String(27), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)

progress = sa.Table(
    "monitoring_progress",
    metadata,
    sa.Column("monitor", sa.String(300), primary_key=True),  # pinned to a version
    sa.Column("aspect", sa.String(12), primary_key=True),
    sa.Column("record", sa.Text, nullable=False),
)

standing = sa.Table(
    "monitoring_standing",
    metadata,
    sa.Column("monitor", sa.String(200), primary_key=True),  # the name
    sa.Column("stopped", sa.Boolean, nullable=False),
    sa.Column("silenced_until", sa.String(27)),
)

alerts = sa.Table(
    "monitoring_alerts",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.String(200), nullable=False),
    sa.Column("monitor", sa.String(200), nullable=False),
    sa.Column("cause", sa.String(12), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("opened_at", sa.String(27), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Index("ix_monitoring_alerts_monitor", "monitor", "cause", "number"),
    sa.Index("ix_monitoring_alerts_deployment", "deployment", "number"),
)

incidents = sa.Table(
    "monitoring_incidents",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.String(200), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("severity", sa.Integer, nullable=False),
    sa.Column("opened_at", sa.String(27), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Index("ix_monitoring_incidents_deployment", "deployment", "number"),
)


def window_row(monitor: Ref, result: WindowResult, recorded_at: str) -> dict[str, Any]:
    """A window result as it is stored."""
    return {
        "monitor": str(monitor),
        "aspect": result.aspect,
        "start": time_text(result.start),
        "end": time_text(result.end),
        "recorded_at": recorded_at,
        "record": encode_text(result),
    }


def alert_row(alert: Alert) -> dict[str, Any]:
    """An alert as it is stored."""
    return {
        "number": alert.number,
        "deployment": alert.deployment.name,
        "monitor": alert.monitor.name,
        "cause": alert.cause,
        "state": alert.state,
        "opened_at": time_text(alert.opened_at),
        "record": encode_text(alert),
    }


def incident_row(incident: Incident) -> dict[str, Any]:
    """An incident as it is stored."""
    return {
        "number": incident.number,
        "deployment": incident.deployment.name,
        "state": incident.state,
        "severity": incident.severity,
        "opened_at": time_text(incident.detected_at),
        "record": encode_text(incident),
    }


def to_window(row: Any) -> WindowResult:
    """A stored window as a record."""
    return decode(row.record, WindowResult)


def to_alert(row: Any) -> Alert:
    """A stored alert as a record."""
    return decode(row.record, Alert)


def to_incident(row: Any) -> Incident:
    """A stored incident as a record."""
    return decode(row.record, Incident)
