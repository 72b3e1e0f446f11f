"""The pages of features: the list of views, and a version with its definition, columns and online state."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind
from modelwright.server.pages.datasets import EARLIER, searched
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import named, turning
from modelwright.workspace import Workspace


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every view by its latest version, and whether it stands online."""
    page = workspace.features.list(searched(request))
    online = {version.ref: workspace.features.materialised(version.ref) for version in page.items}
    return {"page": page, "online": online, "turning": turning(request, page.next), "query": request.query_params}


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a view."""
    found = workspace.features.show(named(request, Kind.FEATURES))
    number = found.ref.version or 1
    return {
        "version": found,
        "types": {column.name: column.dtype for column in [*found.keys, *found.columns]},
        "online": workspace.features.materialised(found.ref),
        "versions": workspace.features.versions(found.ref.whole, Filter(limit=EARLIER)).items,
        "diff": workspace.features.diff(found.ref.at(number - 1), found.ref) if number > 1 else None,
        "evidence": workspace.record.evidence(found.ref),
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }
