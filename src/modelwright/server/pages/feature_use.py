"""Who lives on the features of a view: the deployments that answer with them, and what their monitors say of each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from modelwright.core.errors import NotFound
from modelwright.core.paging import every
from modelwright.core.refs import Ref
from modelwright.deployments.records import Live
from modelwright.features.records import Mattering, ViewUse
from modelwright.monitoring.records import Aspect, ColumnResult
from modelwright.workspace import Workspace


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What the latest window of a monitor says of one feature."""

    monitor: Ref
    deployment: Ref
    result: ColumnResult


def live_of(workspace: Workspace, uses: Sequence[ViewUse]) -> dict[Ref, list[Live]]:
    """By model version: where those that take features of these views are live now, of what the caller may see."""
    wanted = {each.ref for use in uses for each in use.consumers}
    found: dict[Ref, list[Live]] = {}
    if wanted:
        for live in workspace.deployments.live():
            if live.model in wanted:
                found.setdefault(live.model, []).append(live)
    return found


def matters(use: ViewUse) -> dict[str, list[tuple[Ref, Mattering]]]:
    """By feature: how much it matters to each model that takes it, where that was measured, the greatest share first."""
    found = {
        name: [(each.ref, each.importance[name]) for each in use.consumers if name in each.importance]
        for name in use.version.view.names
    }
    return {name: sorted(some, key=lambda each: -(each[1].share or 0.0)) for name, some in found.items() if some}


def drift_of(workspace: Workspace, use: ViewUse, live: dict[Ref, list[Live]]) -> dict[str, list[Drift]]:
    """By feature: how far its values are from the reference of each monitor of a deployment that lives on them."""
    names, places = set(use.version.view.names), {each.deployment for some in live.values() for each in some}
    found: dict[str, list[Drift]] = {}
    for monitor in every(workspace.monitoring.list) if places else []:
        if monitor.deployment not in places:
            continue
        try:
            windows = workspace.monitoring.results(monitor.ref, aspect=Aspect.DRIFT, last=1)
        except NotFound:  # retired meanwhile
            continue
        for result in windows[-1].columns if windows else []:
            if result.column in names:
                told = Drift(monitor=monitor.ref, deployment=monitor.deployment, result=result)
                found.setdefault(result.column, []).append(told)
    return found
