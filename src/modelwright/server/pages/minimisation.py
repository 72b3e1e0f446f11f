"""The page of minimisation: what is perhaps not needed, by how grave it is."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.governance.minimisation import Concern
from modelwright.workspace import Workspace

MOST = 50  # findings of one kind on the page
NAMES = 12  # columns or features that one of them names

TITLES = {
    Concern.PERSONAL_INPUT: "About people, and in a live model",
    Concern.WEIGHTLESS: "In a live model, and of no weight",
    Concern.OVERDUE: "Kept longer than its class allows",
    Concern.UNLIMITED: "About people, and kept without a limit",
    Concern.UNUSED_FEATURE: "Features that no live model takes",
    Concern.UNREAD_COLUMN: "Columns that neither a view nor a model takes",
}


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """The report, for who has the right to audit."""
    report = workspace.minimisation.report(under=request.query_params.get("under", ""))
    return {"report": report, "titles": TITLES, "query": request.query_params, "most": MOST, "names": NAMES}
