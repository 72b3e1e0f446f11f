"""The pages of features: the list of views, and a version with its definition, columns and online state."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.errors import ModelwrightError
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.features import Columns
from modelwright.features.records import Order
from modelwright.server.pages.datasets import COLUMNS, EARLIER
from modelwright.server.pages.feature_use import drift_of, live_of, matters
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, known, named
from modelwright.workspace import Workspace

NAMES = 12  # features of a view that its line in the list names

ORDERS = {
    Order.CHANGED: "newest",
    Order.IMPORTANCE: "what matters most",
    Order.BYTES: "bytes",
    Order.SECONDS: "seconds",
    Order.READS: "reads",
}


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every view by its latest version: who uses it, how it stands online, and which of its features nobody takes."""
    asked = request.query_params
    order: Order = convert(asked.get("sort") or Order.CHANGED, Order)
    unused = asked.get("unused") == "yes"
    uses = workspace.features.find(asked.get("q", ""), unused=unused, order=order, limit=PER_PAGE + 1)
    shown = uses[:PER_PAGE]
    live = live_of(workspace, shown)
    return {
        "uses": shown,
        "live": live,
        "more": len(uses) > PER_PAGE,
        "query": asked,
        "order": order,
        "orders": ORDERS,
        "names": NAMES,
        "lost": [] if any(use.silent for use in uses) else known(workspace.pushes.lost) or [],
    }


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a view."""
    found = workspace.features.show(named(request, Kind.FEATURES))
    number = found.ref.version or 1
    (use,) = workspace.features.find(only=found.ref)
    live = live_of(workspace, [use])
    whole = request.query_params.get("columns") == "all"
    return {
        "most": len(found.view.names) if whole else COLUMNS,
        "version": found,
        "use": use,
        "matters": matters(use),
        "live": live,
        "drift": drift_of(workspace, use, live),
        "types": {column.name: column.dtype for column in [*found.keys, *found.columns]},
        "origins": _origins(workspace, found.ref),
        "online": use.online,
        "contract": (contract := known(lambda: workspace.contracts.of(found.view.source))),
        "kept": known(lambda: workspace.contracts.kept(found.view.source)) if contract else None,
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
