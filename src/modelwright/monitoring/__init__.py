"""Watching what is deployed: drift against a reference, performance once labels are in, alerts, incidents.

`Monitoring` is the service; `Watch` says how a deployment is watched. `turn` compares closed windows of the prediction log
and records what it finds; the operator calls it again and again. The detectors are a library of their own.
"""

from modelwright.monitoring.records import (
    Affected,
    Alert,
    AlertState,
    Aspect,
    ColumnResult,
    CorrectiveAction,
    Incident,
    IncidentFile,
    IncidentState,
    IncidentType,
    Label,
    LabelReceipt,
    Monitor,
    PerformanceRule,
    Period,
    Progress,
    Watch,
    WatchedColumn,
    WindowResult,
)
from modelwright.monitoring.service import Monitoring

__all__ = [
    "Affected",
    "Alert",
    "AlertState",
    "Aspect",
    "ColumnResult",
    "CorrectiveAction",
    "Incident",
    "IncidentFile",
    "IncidentState",
    "IncidentType",
    "Label",
    "LabelReceipt",
    "Monitor",
    "Monitoring",
    "PerformanceRule",
    "Period",
    "Progress",
    "Watch",
    "WatchedColumn",
    "WindowResult",
]
