"""The pages of deployments: the list, and one with its traffic, rollouts, latency, errors, drift and history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind
from modelwright.deployments.records import PRODUCTION, Deployment
from modelwright.server.pages.charts import drawn, latency_chart
from modelwright.server.pages.datasets import searched
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.monitors import windows_charted
from modelwright.server.pages.render import Gather, allowed, named, turning
from modelwright.server.pages.traffic import Served, together
from modelwright.workspace import Workspace

Serving = Callable[[], dict[str, list[Served]]]
ROLLOUTS = 10  # shown for an environment


def index(serving: Serving) -> Gather:
    """Every deployment, what is live in each environment, and its traffic."""

    def gather(workspace: Workspace, request: Request) -> dict[str, Any]:
        served = serving()
        page = workspace.deployments.list(searched(request))
        totals = {p.endpoint: together(served.get(p.endpoint, [])) for d in page.items for p in d.placements}
        lost = {each.endpoint for each in workspace.deployments.unserved()}
        return {
            "page": page,
            "lost": lost,
            "totals": totals,
            "turning": turning(request, page.next),
            "query": request.query_params,
        }

    return gather


def deployment(serving: Serving) -> Gather:
    """One deployment, environment by environment, production first."""

    def gather(workspace: Workspace, request: Request) -> dict[str, Any]:
        found = workspace.deployments.show(named(request, Kind.DEPLOYMENT).name)
        served = serving()
        placements = sorted(found.placements, key=lambda p: (p.environment != PRODUCTION, p.environment))
        timed = {
            p.endpoint: drawn(latency_chart, served[p.endpoint]) for p in placements if _spread(served.get(p.endpoint, []))
        }
        watched = _watched(workspace, found)
        return {
            "deployment": found,
            "placements": placements,
            "served": served,
            "lost": {each.endpoint: each for each in workspace.deployments.unserved()},
            "latency": timed,
            "rollouts": {
                p.environment: workspace.deployments.rollouts(found.name, p.environment)[:ROLLOUTS] for p in placements
            },
            "watched": watched,
            "charted": bool(timed) or any(charts for _, charts in watched),
            "alerts": allowed(lambda: workspace.monitoring.alerts(Filter(under=found.name, limit=10)).items) or [],
            "incidents": allowed(lambda: workspace.monitoring.incidents(Filter(under=found.name, limit=10)).items) or [],
            "lineage": lineage_of(workspace, found.ref),
            "events": workspace.record.history(found.ref).items[:30],
        }

    return gather


def _spread(sides: Sequence[Served]) -> bool:
    """Whether the latencies differ enough to be drawn: not where all but a few fall below the first bound."""
    return any(side.buckets and side.buckets[0][1] < 0.95 * side.buckets[-1][1] for side in sides)


def _watched(workspace: Workspace, found: Deployment) -> Sequence[tuple[Any, dict[str, Any]]]:
    """The monitors of a deployment with their charts."""
    monitors = allowed(lambda: workspace.monitoring.list(Filter(limit=100)).items) or []
    own = [monitor for monitor in monitors if monitor.deployment == found.ref]
    return [(monitor, windows_charted(workspace, monitor)) for monitor in own]
