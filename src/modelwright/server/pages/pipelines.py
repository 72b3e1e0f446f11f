"""The pages of pipelines and of their executions: which steps, in which order, and why each ran or did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.pipelines.records import PlannedStep, StepRecord
from modelwright.server.pages import graph
from modelwright.server.pages.datasets import searched
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, named, turning
from modelwright.workspace import Workspace


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Every pipeline, and the executions of all of them."""
    asked = request.query_params
    where = Filter(text=asked.get("q") or None, state=asked.get("state") or None, after=asked.get("after"), limit=PER_PAGE)
    executions = workspace.pipelines.list_executions(where)
    return {
        "page": workspace.pipelines.list(Filter(limit=100)),
        "executions": executions,
        "turning": turning(request, executions.next),
        "query": asked,
    }


def version(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a pipeline: its steps drawn, its parameters, its executions."""
    found = workspace.pipelines.version(named(request, Kind.PIPELINE))
    page = workspace.pipelines.list_executions(searched(request), pipeline=found.ref.name)
    return {
        "version": found,
        "graph": steps_drawn(found.spec.steps, f"Steps of {found.ref}"),
        "executions": page,
        "turning": turning(request, page.next),
        "events": workspace.record.history(found.ref).items[:20],
    }


def execution(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One execution: its steps with state, time and why."""
    found = workspace.pipelines.show(Ref(Kind.EXECUTION, request.path_params["name"]))
    return {
        "execution": found,
        "graph": steps_drawn(found.steps, f"Steps of {found.ref}") if found.steps else None,
        "seconds": (found.ended_at - found.created_at).total_seconds() if found.ended_at else None,
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


def steps_drawn(steps: Sequence[PlannedStep] | Sequence[StepRecord], label: str) -> Markup:
    """The graph of steps, each with its state where it has one."""
    keys = [step.key for step in steps]
    arrows = [graph.Arrow(need, step.key) for step in steps for need in step.needs if need in keys]
    nodes = {step.key: _node(step) for step in steps}
    return graph.draw(nodes, arrows, graph.depths(arrows, keys), label)


def _node(step: PlannedStep | StepRecord) -> graph.Node:
    if isinstance(step, StepRecord):
        return graph.Node(step.state.value, step.key, f"#step-{step.key}", step.state.value, "; ".join(step.why))
    return graph.Node("step", step.key)
