"""The page of retention: classes, what is due and what keeps it, legal holds, and the proofs of what went."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.server.pages.render import PER_PAGE, allowed, turning
from modelwright.workspace import Workspace


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """What every reader may know, and for those with the right to audit what is due and what went."""
    where = Filter(limit=PER_PAGE, after=request.query_params.get("after"))
    page = allowed(lambda: workspace.retention.proofs(where=where))
    checks = None
    if request.query_params.get("verify"):
        found = allowed(workspace.retention.verify) or []
        checks = {each.deletion.id: each for each in found}
    return {
        "classes": workspace.retention.classes(),
        "holds": workspace.retention.holds(lifted=True),
        "plan": allowed(workspace.retention.plan),
        "page": page,
        "checks": checks,
        "turning": turning(request, page.next if page else None),
    }
