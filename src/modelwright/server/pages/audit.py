"""The pages of the ledger: how it stands, what is in it, and whether it is what was written."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from starlette.requests import Request

from modelwright.core.clock import parse_time
from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size
from modelwright.core.wire import encode
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import allowed, known, turning
from modelwright.store import EventFilter, Evidence
from modelwright.workspace import Workspace

PER_PAGE = 50


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """The ledger's head and checkpoints, and its events, filtered; with `?verify=1`, the result of reading all of it."""
    asked = request.query_params
    where = EventFilter(
        actor=asked.get("actor") or None,
        action=asked.get("action") or None,
        since=_moment(asked.get("since")),
        until=_moment(asked.get("until"), days=1),
        after=asked.get("after"),
        limit=PER_PAGE,
    )
    head = known(workspace.record.head)
    page = workspace.record.events(where)
    return {
        "head": head,
        "checkpoints": workspace.record.checkpoints(max(0, head.size - 10_000), 1000)[-10:][::-1] if head else [],
        "page": page,
        "report": workspace.record.verify() if asked.get("verify") else None,
        "turning": turning(request, page.next),
        "query": asked,
    }


def event(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One event with all of its fields, and the proof that it is in the ledger."""
    seq = int(request.path_params["seq"])
    page = workspace.record.events(EventFilter(after=str(seq + 1), limit=1))
    if not page.items or page.items[0].seq != seq:
        raise NotFound(f"The ledger has no event {seq}.", mend="See the events that there are: /audit")
    return {"event": page.items[0], "proof": workspace.record.proof(seq)}


SHOWN = 500  # columns of something of another system
LARGE = 50_000  # bytes of a facet, from which on a page only names it


def record(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Everything that the record knows about any ref."""
    ref = Ref.parse(request.path_params["ref"])
    version = known(lambda: workspace.record.show(ref))
    where = EventFilter(after=request.query_params.get("after"), limit=PER_PAGE)
    history = workspace.record.history(ref, where)
    return {
        "ref": ref,
        "version": version,
        "piece": _evidence(workspace, ref),
        "party": _party(workspace, ref),
        "evidence": known(lambda: workspace.record.evidence(ref)) or [],
        "moves": (known(lambda: workspace.record.alias_history(ref.whole)) or []) if version is not None else [],
        "dependants": (known(lambda: workspace.record.dependants(ref)) or []) if version is not None else [],
        "lineage": lineage_of(workspace, version.ref if version is not None else ref),
        "page": history,
        "turning": turning(request, history.next),
    }


def _party(workspace: Workspace, ref: Ref) -> dict[str, Any] | None:
    """What others said of a thing of theirs: its names, its columns, how a run ended, and all its facets."""
    found = known(lambda: workspace.openlineage.show(ref)) if ref.kind is Kind.EXTERNAL else None
    if found is None:
        return None
    facets = found.facets
    return {
        "party": found,
        "about": _text(facets, "documentation", "description"),
        "error": _text(facets, "errorMessage", "message"),
        "sql": _text(facets, "sql", "query"),
        "columns": [[_said(each, key) for key in ("name", "type", "description")] for each in found.columns[:SHOWN]],
        "facets": {name: facets[name] for name in sorted(facets) if len(encode(facets[name])) <= LARGE},
        "large": [
            f"{name} ({size(len(encode(facets[name])))})" for name in sorted(facets) if len(encode(facets[name])) > LARGE
        ],
    }


def _text(facets: dict[str, Any], name: str, key: str) -> str:
    facet = facets.get(name)
    return _said(facet, key) if isinstance(facet, dict) else ""


def _said(facet: dict[str, Any], key: str) -> str:
    said = facet.get(key)
    return said[:2000] if isinstance(said, str) else ""


def _evidence(workspace: Workspace, ref: Ref) -> Evidence | None:
    """A piece of evidence by its own ref, found through the event that attached it."""
    if ref.kind is not Kind.EVIDENCE:
        return None
    history = allowed(lambda: workspace.record.history(ref).items) or []
    for event in history:
        about = known(partial(workspace.record.evidence, Ref.parse(event.resource))) or []
        piece = next((each for each in about if each.id == ref.name), None)
        if piece is not None:
            return piece
    return None


def _moment(text: str | None, *, days: int = 0) -> datetime | None:
    """A day from the form; the last day asked for is included."""
    return parse_time(text) + timedelta(days=days) if text else None
