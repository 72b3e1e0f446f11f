"""The pages of runs: the list by experiment, one run with its curves, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Run
from modelwright.server.pages.charts import curve_chart, drawn
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, named, turning
from modelwright.workspace import Workspace

OUTLINE = 300  # points drawn of a curve
CURVES = 12  # drawn on a page
SHOWN = 3  # metrics in the list


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Runs, newest first, of one experiment or of all, with the metrics that most of them have."""
    asked = request.query_params
    where = Filter(text=asked.get("q") or None, state=asked.get("state") or None, after=asked.get("after"), limit=PER_PAGE)
    page = workspace.experiments.list(where, experiment=asked.get("experiment") or None)
    return {
        "page": page,
        "metrics": common_metrics(page.items),
        "experiments": workspace.experiments.list_experiments(Filter(limit=100)).items,
        "turning": turning(request, page.next),
        "query": asked,
    }


def common_metrics(runs: Sequence[Run]) -> list[str]:
    """The metrics that most runs have; those of a test before those of training."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name.startswith("train"), name))[:SHOWN]


def run(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One run: parameters, metrics, curves, artifacts, and what it takes to repeat it."""
    found = workspace.experiments.show(named(request, Kind.RUN))
    curved = [name for name, metric in found.metrics.items() if metric.step > 0][:CURVES]
    charts = curves_of(workspace, {found.name: found.ref}, curved)
    return {
        "run": found,
        "charts": charts,
        "charted": bool(charts),
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def curves_of(workspace: Workspace, runs: Mapping[str, Ref], metrics: Sequence[str]) -> dict[str, Any]:
    """A chart for each metric, with a line for each run."""
    return {
        metric: drawn(curve_chart, {n: workspace.experiments.curve(ref, metric, most=OUTLINE) for n, ref in runs.items()})
        for metric in metrics
    }
