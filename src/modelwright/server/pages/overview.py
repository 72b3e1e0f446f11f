"""The first page: what is live and how it does, what is wrong, what waits for somebody, what happened last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.deployments.records import PRODUCTION, Deployment, Placement
from modelwright.governance import Figure, ValueReport
from modelwright.models.records import ModelVersion, Stage
from modelwright.monitoring.records import Alert, Incident
from modelwright.policy.reports import GateReport
from modelwright.server.pages.render import Gather, allowed
from modelwright.server.pages.traffic import Served, together
from modelwright.serving.records import Switch
from modelwright.store import Event, EventFilter
from modelwright.workspace import Workspace

PERIOD = timedelta(days=90)
FIGURES = ("lead_time", "deployment_frequency", "change_failure_rate", "time_to_restore")
MOST = 50  # things looked through for what waits
EVENTS = 12
NOT_SERVED = "not served"  # its model cannot be loaded
ROUTINE = frozenset(
    {
        "workspace.clock.advanced",
        "monitoring.windows.recorded",
        "monitoring.labels.received",
        "features.view.materialised",
        "datasets.version.checked",
        "evidence.data-checks.attached",
        "evidence.drift.attached",
        "evidence.gate.attached",  # the decision itself is told
        "evidence.performance.attached",
    }
)


class Endpoint(NamedTuple):
    """A deployment in one environment, with how it does."""

    deployment: Deployment
    placement: Placement
    served: Served | None
    health: str  # healthy, not served, alert, incident, rollout, fallback, off


class Waiting(NamedTuple):
    """A version that cannot go on before somebody has acted."""

    version: ModelVersion
    stage: Stage  # where it wants to go
    gate: GateReport


def overview(workspace: Workspace, served: dict[str, list[Served]]) -> dict[str, Any]:
    """What the page shows; parts that the reader has no right to are None."""
    now = workspace.workspace.status().now
    unfinished = Filter(state="unfinished", limit=10)
    incidents = allowed(lambda: workspace.monitoring.incidents(unfinished).items)
    alerts = allowed(lambda: workspace.monitoring.alerts(unfinished).items)
    deployments = allowed(lambda: workspace.deployments.list(Filter(state="active", limit=MOST)).items) or []
    lost = {each.endpoint for each in allowed(workspace.deployments.unserved) or ()}
    endpoints = [
        Endpoint(d, p, together(served.get(p.endpoint, [])), _health(d, p, incidents or [], alerts or [], lost))
        for d in deployments
        for p in d.placements
    ]
    waiting = _waiting(workspace)
    value = allowed(lambda: workspace.governance.value(since=now - PERIOD))
    return {
        "endpoints": sorted(endpoints, key=lambda e: (e.placement.environment != PRODUCTION, e.deployment.name)),
        "incidents": incidents,
        "alerts": [alert for alert in alerts or [] if alert.incident not in {each.ref for each in incidents or []}],
        "waiting": waiting,
        "rollouts": [e for e in endpoints if e.placement.active is not None],
        "figures": _figures(value),
        "period": PERIOD,
        "events": _telling(allowed(lambda: workspace.record.events(EventFilter(limit=200)).items)),
        "sentence": _sentence(endpoints, incidents or [], alerts or [], waiting),
    }


def gather(served_by: Callable[[], dict[str, list[Served]]]) -> Gather:
    """The page's content; `served_by` reads what this process has served."""

    def overviewed(workspace: Workspace, request: Request) -> dict[str, Any]:
        return overview(workspace, served_by())

    return overviewed


def _health(
    deployment: Deployment,
    placement: Placement,
    incidents: Sequence[Incident],
    alerts: Sequence[Alert],
    lost: Collection[str],
) -> str:
    if placement.endpoint in lost:
        return NOT_SERVED
    if placement.switch is not Switch.LIVE:
        return placement.switch.value
    if placement.environment == PRODUCTION:
        if any(incident.deployment == deployment.ref for incident in incidents):
            return "incident"
        if any(alert.deployment == deployment.ref for alert in alerts):
            return "alert"
    return "rollout" if placement.active is not None else "healthy"


def _waiting(workspace: Workspace) -> list[Waiting]:
    """The latest versions that are on their way and whose next gate is not met, those that lack least first."""
    page = allowed(lambda: workspace.models.list(Filter(limit=MOST)))
    found = []
    for version in page.items if page is not None else []:
        stage = next_stage(version.stage)
        if stage is not None and not version.is_prompt:
            found.append(Waiting(version, stage, gate_of(workspace, version.ref, stage)))
    return sorted(found, key=lambda each: (len(each.gate.unmet), str(each.version.ref)))


def next_stage(stage: Stage) -> Stage | None:
    """Where a version goes next on its way up, if anywhere."""
    return {Stage.CANDIDATE: Stage.STAGING, Stage.STAGING: Stage.PRODUCTION}.get(stage)


def gate_of(workspace: Workspace, ref: Ref, stage: Stage) -> GateReport:
    """What the gate to a stage would say now."""
    return workspace.policy.gate(ref, "promote", environment=stage.value)


def _figures(value: ValueReport | None) -> list[Figure]:
    return [] if value is None else [value.figure(name) for name in FIGURES]


def _sentence(
    endpoints: Sequence[Endpoint], incidents: Sequence[Incident], alerts: Sequence[Alert], waiting: Sequence[Waiting]
) -> str:
    """The whole page in a sentence, for whoever reads only that."""
    placed = [e for e in endpoints if e.placement.environment == PRODUCTION and e.placement.switch is Switch.LIVE]
    live = sum(e.health != NOT_SERVED for e in placed)
    lost = len(placed) - live
    ready = sum(not each.gate.unmet for each in waiting)
    met = f", {ready} of them with the gate met" if len(waiting) > 1 else ", with the gate met"
    parts = [
        f"{_number(live, 'model answers', 'models answer')} in production" + (f", {lost} cannot be loaded" if lost else ""),
        f"{_number(len(incidents), 'incident is', 'incidents are')} open"
        + (f", {_number(len(alerts), 'alert has', 'alerts have')} not cleared" if alerts else ""),
        f"{_number(len(waiting), 'version waits', 'versions wait')} for the next stage" + (met if ready else ""),
    ]
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _number(n: int, one: str, many: str) -> str:
    return f"{'no' if n == 0 else n} {one if n == 1 else many}"


def _telling(events: Sequence[Event] | None) -> list[Event] | None:
    """The latest events without what machines do every day."""
    return None if events is None else [event for event in events if event.action not in ROUTINE][:EVENTS]
