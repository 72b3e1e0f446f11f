"""The pages of models: the inventory, and a version with its stage, evidence, gate, evaluation, card and history."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind
from modelwright.evaluation import EvaluationReport
from modelwright.models.records import PROMPT_TAG, PROMPT_TEXT
from modelwright.server.pages.charts import drawn
from modelwright.server.pages.datasets import EARLIER, searched
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.overview import gate_of, next_stage
from modelwright.server.pages.render import known, named, turning
from modelwright.workspace import Workspace

FILES = 200  # of a package that are listed


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """The inventory: every model with owner, purpose, risk tier, what is live, and what nobody knows of it."""
    where = searched(request)
    following = workspace.models.list(where).next
    entries = workspace.governance.inventory(where)
    return {"entries": entries, "turning": turning(request, following), "query": request.query_params}


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a model; without a selector, the latest."""
    found = workspace.models.show(named(request, Kind.MODEL))
    ref, stage = found.ref, None if found.is_prompt else next_stage(found.stage)
    report = known(lambda: workspace.evaluation.report(ref))
    number = ref.version or 1
    return {
        "version": found,
        "signed": workspace.signatures.standing(found.ref) if found.seal else None,
        "prompt": found.tags.get(PROMPT_TEXT, "") if found.is_prompt else None,
        "tags": {name: value for name, value in found.tags.items() if name not in (PROMPT_TAG, PROMPT_TEXT)},
        "files": [(path, digest, _size(workspace, digest)) for path, digest in sorted(found.record.files.items())[:FILES]],
        "tier": workspace.policy.tier(ref),
        "next_stage": stage,
        "gate": gate_of(workspace, ref, stage) if stage is not None else None,
        "decided": workspace.policy.gates(ref),
        "evidence": workspace.record.evidence(ref),
        "report": report,
        "charts": _charts(report),
        "charted": report is not None,
        "card": workspace.governance.card(ref),
        "moves": workspace.models.history(ref.whole),
        "versions": workspace.models.versions(ref.whole, Filter(limit=EARLIER)).items,
        "diff": known(lambda: workspace.models.diff(ref.at(number - 1), ref)) if number > 1 else None,
        "lineage": lineage_of(workspace, ref),
        "events": workspace.record.history(ref).items[:20],
    }


def _size(workspace: Workspace, digest: str) -> int | None:
    """The bytes of a file, or None where it is no longer stored."""
    return known(lambda: workspace.models.blobs.size(digest))


def _charts(report: EvaluationReport | None) -> dict[str, Any]:
    if report is None:
        return {}
    from modelwright.evaluation.charts import calibration_chart, slices_chart

    charts = {}
    if report.calibration is not None:
        charts["calibration"] = drawn(calibration_chart, report.calibration)
    if report.slices is not None:
        charts["slices"] = drawn(slices_chart, report.slices)
    return charts
