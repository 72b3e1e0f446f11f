"""The pages of monitoring: monitors with their windows, alerts, and incidents with their timeline."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.errors import NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.monitoring.records import Aspect, Monitor
from modelwright.server.pages.charts import drawn
from modelwright.server.pages.datasets import searched
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, named, turning
from modelwright.workspace import Workspace

WINDOWS = 60  # of each aspect, drawn and listed
METRICS = 3  # drawn


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every monitor, with the alerts that are not over."""
    page = workspace.monitoring.list(searched(request))
    alerts = workspace.monitoring.alerts(Filter(limit=PER_PAGE)).items
    return {"page": page, "alerts": alerts, "turning": turning(request, page.next), "query": request.query_params}


def monitor(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a monitor: what it watches, and what it found, window by window."""
    found = workspace.monitoring.show(named(request, Kind.MONITOR))
    charts = windows_charted(workspace, found)
    alerts = workspace.monitoring.alerts(Filter(under=found.deployment.name, limit=PER_PAGE)).items
    return {
        "monitor": found,
        "charts": charts,
        "charted": bool(charts),
        "windows": list(reversed(workspace.monitoring.results(found.ref, last=WINDOWS))),
        "progress": workspace.monitoring.progress(found.ref),
        "alerts": [alert for alert in alerts if alert.monitor.whole == found.ref.whole],
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def windows_charted(workspace: Workspace, found: Monitor) -> dict[str, Any]:
    """Drift by column, and each metric over time, as far as windows were recorded."""
    from modelwright.monitoring.charts import drift_chart, performance_chart

    drift = workspace.monitoring.results(found.ref, aspect=Aspect.DRIFT, last=WINDOWS)
    judged = workspace.monitoring.results(found.ref, aspect=Aspect.PERFORMANCE, last=WINDOWS)
    floors = found.watch.performance.floors if found.watch.performance else {}
    metrics = list(dict.fromkeys(name for window in judged for name in window.metrics))
    ordered = sorted(metrics, key=lambda name: name not in floors)[:METRICS]
    charts = {name: drawn(performance_chart, judged, name, floor=floors.get(name)) for name in ordered}
    return charts | ({"drift": drawn(drift_chart, drift)} if any(window.columns for window in drift) else {})


def alerts(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every alert, newest first."""
    asked = request.query_params
    page = workspace.monitoring.alerts(Filter(state=asked.get("state") or None, after=asked.get("after"), limit=PER_PAGE))
    return {"page": page, "turning": turning(request, page.next), "query": asked}


def alert(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One alert: what showed it, since when, and the incident it belongs to."""
    ref = Ref(Kind.ALERT, request.path_params["name"])
    number = int(ref.name) if ref.name.isdecimal() else 0
    page = workspace.monitoring.alerts(Filter(after=str(number + 1), limit=1))
    if not page.items or page.items[0].number != number:
        raise NotFound(f"There is no {ref}.", mend="See the alerts that there are: /alerts")
    return {"alert": page.items[0], "events": workspace.record.history(ref).items[:20]}


def incidents(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every incident, newest first."""
    asked = request.query_params
    where = Filter(state=asked.get("state") or None, after=asked.get("after"), limit=PER_PAGE)
    page = workspace.monitoring.incidents(where)
    return {"page": page, "turning": turning(request, page.next), "query": asked}


def incident(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One incident with everything that happened around it."""
    file = workspace.monitoring.incident(Ref(Kind.INCIDENT, request.path_params["name"]))
    return {"incident": file.incident, "timeline": list(reversed(file.timeline))[:200], "total": len(file.timeline)}
