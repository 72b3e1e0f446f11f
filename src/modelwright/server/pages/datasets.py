"""The pages of datasets: the list, and a version with its columns, checks, lineage and what it changed."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.datasets import CheckReport, DatasetFile, DatasetMerge, DatasetVersion, ancestors
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, known, named, turning
from modelwright.server.pages.shapes import shapes
from modelwright.workspace import Workspace

EARLIER = 20  # versions listed on a page
FILES = 100  # files listed on a page
COLUMNS = 100  # columns, unless all of them are asked for


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
    """One version of a dataset; with `?against=` also what changed since another, with `?merge=` what merging it brings."""
    found = workspace.datasets.show(named(request, Kind.DATASET))
    checks = workspace.datasets.checks(found.ref)
    against, other = (request.query_params.get(name, "") for name in ("against", "merge"))
    versions = workspace.datasets.versions(found.ref.whole, Filter(limit=EARLIER)).items
    profile = known(lambda: workspace.datasets.profile(found.ref))
    most = len(found.columns) + len(found.classes) if request.query_params.get("columns") == "all" else COLUMNS
    diff = workspace.datasets.diff(Ref.parse(f"dataset:{found.ref.name}@{against}"), found.ref) if against else None
    return {
        "version": found,
        "permits": workspace.privacy.permits(found.ref) if found.is_table else [],
        "largest": _largest(workspace, found),
        "profile": profile,
        "profiles": {each.name: each for each in profile.columns} if profile else {},
        "most": most,
        "columns": found.columns[:most],
        "classes": found.classes[:most],
        "checks": checks,
        "report": _report(workspace, checks[0].report) if checks and checks[0].report else None,
        "contract": workspace.contracts.of(found.ref),
        "kept": (kept := workspace.contracts.kept(found.ref)),
        "held": _report(workspace, kept[0].report) if kept and kept[0].report else None,
        "versions": versions,
        "apart": _apart(versions, found),
        "previous": _previous(workspace, found),
        "diff": diff,
        "shapes": shapes(diff, known(lambda: workspace.datasets.profile(diff.before)), profile) if diff else {},
        "merge": _merge(workspace, found, other) if other else None,
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def _largest(workspace: Workspace, found: DatasetVersion) -> list[DatasetFile]:
    """The largest files of a version that holds files."""
    if found.is_table or found.tombstone is not None:
        return []
    return heapq.nsmallest(FILES, workspace.datasets.files(found.ref), key=lambda each: (-each.size, each.path))


def _apart(versions: Sequence[DatasetVersion], found: DatasetVersion) -> set[Ref]:
    """The versions that are neither before nor after one: those that whoever sees all of it can merge with it."""
    if found.masks:
        return set()
    parents = {each.ref: [ref for ref in (each.parent, each.merged) if ref is not None] for each in versions}
    before = ancestors(parents, found.ref)
    there = [each for each in versions if each.tombstone is None and found.tombstone is None]
    return {each.ref for each in there if each.ref not in before and found.ref not in ancestors(parents, each.ref)}


def _merge(workspace: Workspace, found: DatasetVersion, other: str) -> DatasetMerge:
    """What merging another version into this one would bring, and where the two conflict."""
    return workspace.datasets.merge(found.ref, Ref.parse(f"dataset:{found.ref.name}@{other}"), plan=True)


def _report(workspace: Workspace, digest: str) -> CheckReport | None:
    return known(lambda: decode(workspace.caller.blobs.read(digest), CheckReport))


def _previous(workspace: Workspace, found: DatasetVersion) -> int | None:
    """The version before this one, where there is one still."""
    parent = found.parent
    if parent is None or parent.name != found.ref.name or found.tombstone is not None:
        return None
    before = known(lambda: workspace.datasets.show(parent))
    return None if before is None or before.tombstone is not None else parent.version
