"""The pages of datasets: the list, and a version with its columns, checks, lineage and what it changed."""

from __future__ import annotations

import heapq
from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.datasets import CheckReport, DatasetFile, DatasetVersion
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, known, named, turning
from modelwright.workspace import Workspace

EARLIER = 20  # versions listed on a page
FILES = 100  # files listed on a page


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every dataset by its latest version, with the verdict of its checks."""
    page = workspace.datasets.list(searched(request))
    checks = {v.ref: next(iter(workspace.datasets.checks(v.ref)), None) for v in page.items}
    return {"page": page, "checks": checks, "turning": turning(request, page.next), "query": request.query_params}


def searched(request: Request, **more: Any) -> Filter:
    """What a list's form and links ask for."""
    asked = request.query_params
    return Filter(text=asked.get("q") or None, after=asked.get("after"), limit=PER_PAGE, **more)


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a dataset; with `?against=` also what changed since another."""
    found = workspace.datasets.show(named(request, Kind.DATASET))
    checks = workspace.datasets.checks(found.ref)
    against = request.query_params.get("against", "")
    return {
        "version": found,
        "largest": _largest(workspace, found),
        "profile": known(lambda: workspace.datasets.profile(found.ref)),
        "checks": checks,
        "report": _report(workspace, checks[0].report) if checks and checks[0].report else None,
        "versions": workspace.datasets.versions(found.ref.whole, Filter(limit=EARLIER)).items,
        "previous": _previous(found),
        "diff": workspace.datasets.diff(Ref.parse(f"dataset:{found.ref.name}@{against}"), found.ref) if against else None,
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def _largest(workspace: Workspace, found: DatasetVersion) -> list[DatasetFile]:
    """The largest files of a version that holds files."""
    if found.is_table:
        return []
    return heapq.nsmallest(FILES, workspace.datasets.files(found.ref), key=lambda each: (-each.size, each.path))


def _report(workspace: Workspace, digest: str) -> CheckReport | None:
    return known(lambda: decode(workspace.caller.blobs.read(digest), CheckReport))


def _previous(found: DatasetVersion) -> int | None:
    """The version before this one, where there is one."""
    return found.parent.version if found.parent is not None and found.parent.name == found.ref.name else None
