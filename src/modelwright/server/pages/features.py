"""The pages of features: the list of views, and a version with its definition, columns and online state."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.errors import ModelwrightError
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.features import Columns
from modelwright.server.pages.datasets import EARLIER
from modelwright.server.pages.feature_use import drift_of, live_of
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, named
from modelwright.workspace import Workspace


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every view by its latest version: who uses it, how it stands online, and which of its features nobody takes."""
    asked = request.query_params
    uses = workspace.features.find(asked.get("q", ""), unused=asked.get("unused") == "yes")
    shown = uses[:PER_PAGE]
    return {"uses": shown, "live": live_of(workspace, shown), "more": len(uses) > PER_PAGE, "query": asked}


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a view."""
    found = workspace.features.show(named(request, Kind.FEATURES))
    number = found.ref.version or 1
    uses = [each for each in workspace.features.find(found.ref.name) if each.version.ref.whole == found.ref.whole]
    live = live_of(workspace, uses)
    return {
        "version": found,
        "use": uses[0] if uses else None,
        "live": live,
        "drift": drift_of(workspace, uses[0], live) if uses else {},
        "types": {column.name: column.dtype for column in [*found.keys, *found.columns]},
        "origins": _origins(workspace, found.ref),
        "online": workspace.features.materialised(found.ref),
        "versions": workspace.features.versions(found.ref.whole, Filter(limit=EARLIER)).items,
        "diff": workspace.features.diff(found.ref.at(number - 1), found.ref) if number > 1 else None,
        "evidence": workspace.record.evidence(found.ref),
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def _origins(workspace: Workspace, ref: Ref) -> Columns | None:
    """What each feature is made of; nothing where its SQL cannot be followed."""
    try:
        return workspace.openlineage.origins(ref)
    except ModelwrightError:
        return None
