"""The pages of runs: the list by experiment, one run with its curves, and several side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from modelwright.core.errors import BadRef, Invalid, NotFound
from modelwright.core.names import path_for
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiment, Run
from modelwright.experiments.nesting import OUTERMOST, NestedRun
from modelwright.experiments.records import ENDED, PARENT_TAG, Lifecycle, RunStatus
from modelwright.experiments.views import View
from modelwright.server.pages.comparisons import run_charts, varying
from modelwright.server.pages.curves import CURVES, curves_of
from modelwright.server.pages.lineage import lineage_of
from modelwright.server.pages.render import PER_PAGE, allowed, named, turning
from modelwright.workspace import Workspace

TREE = "tree"
NESTINGS = {TREE: "nested in their runs", "outermost": "outermost runs alone", "flat": "one below the other"}
NESTED = 50  # runs within a run that its page names
SHOWN = 3  # metrics in the list
TOLD_TAGS = frozenset(
    {PARENT_TAG, "mlflow.loggedArtifacts", "mlflow.datasets", "mlflow.log-model.history"}
)  # said elsewhere
LISTED = 200  # metrics in the table of a run
FEW = 20  # metrics that are looked through without a search
CHOICES = 500  # experiments to choose from
_ORDERED = re.compile(r"(metrics|params)\.`((?:[^`]|``)+)`")  # an order as the head of a column asks for it
ENDINGS = ("killed", "failed", "finished")  # as what a run is ended whose process does not do that any more
CHARTED = 200  # runs drawn as lines and points: the first of the list's order


class Asked(NamedTuple):
    """What the list of runs was asked for."""

    where: str
    order: str
    columns: list[str]
    experiment: str

    @classmethod
    def of(cls, query: QueryParams) -> Asked:
        """From the address of the page: `q` and `state` become clauses of the filter."""
        parts = []
        if query.get("q"):
            word = query["q"].replace("'", "''")
            parts.append(f"(run_name ILIKE '%{word}%' OR run_id LIKE '{word}%')")
        if query.get("state"):
            parts.append("status = '{}'".format(query["state"].upper().replace("'", "''")))
        if query.get("where", "").strip():
            parts.append(f"({query['where']})" if parts else query["where"])
        if query.get("nesting") == "outermost":
            parts.append(OUTERMOST)
        columns = [each for each in query.getlist("column") if each.startswith(("metrics.", "params."))]
        return cls(" AND ".join(parts), query.get("order", ""), list(dict.fromkeys(columns)), query.get("experiment", ""))


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Runs by a filter and in an order, with the columns asked for; or the newest, with what most of them have."""
    query, now = request.query_params, _now(workspace)
    asked = Asked.of(query)
    page, wrong = _found(workspace, asked, limit=PER_PAGE, after=query.get("after"))
    nesting = query.get("nesting") or ("flat" if asked.order else TREE)  # an order that was asked for is kept
    columns = asked.columns or _columns(page.items, asked.order)
    many: Sequence[Run] = ()
    if query.get("charts"):
        many = _found(workspace, asked, limit=CHARTED, after=None)[0].items
    charts = _charts_of(many, query) if many else {"parallel": None, "scatter": None, "names": [], "x": "", "y": ""}
    experiments = _experiments(workspace, [asked.experiment, *(run.experiment for run in page.items)])
    return {
        "page": page,
        "silent": {run.id: found for run in page.items if (found := run.silent(now))},
        "rows": workspace.experiments.tree(page.items) if nesting == TREE else [NestedRun(run=run) for run in page.items],
        "nesting": nesting,
        "nestings": NESTINGS,
        "wrong": wrong,
        "columns": [_column(each, asked.order, query) for each in columns],
        "names": _names_in(page.items),
        "charts": charts,
        "charted": bool(charts["parallel"] or charts["scatter"]),
        "drawn": len(many),
        "experiments": experiments,
        "titles": {each.name: each.title for each in experiments},
        "turning": turning(request, page.next),
        "query": query,
        "views": _views(workspace, asked.experiment),
        "address": _address(query, leave=("view", "after")),
        "chart_address": f"{_address(query, leave=('after', 'charts'))}&charts=on".lstrip("&"),
    }


def _now(workspace: Workspace) -> datetime:
    if workspace.home is None:
        raise RuntimeError("pages are made where the workspace is")
    return workspace.home.clock.now()


def _experiments(workspace: Workspace, named: Sequence[str]) -> list[Experiment]:
    """The experiments to choose from: the first of them, and those that the page speaks of."""
    found = {each.name: each for each in workspace.experiments.list_experiments(Filter(limit=CHOICES)).items}
    for name in dict.fromkeys(named):
        if name and name not in found:
            each = _known(workspace, name)
            if each is not None:
                found[each.name] = each
    return [*found.values()]


def _known(workspace: Workspace, name: str) -> Experiment | None:
    try:
        return workspace.experiments.experiment(Ref(Kind.EXPERIMENT, path_for(name)))
    except (NotFound, BadRef, Invalid):
        return None


def _columns(runs: Sequence[Run], order: str) -> list[str]:
    """The columns where none were asked for: what the list is ordered by, and what most of the runs have."""
    ordered = _ORDERED.match(order)
    first = [f"{ordered[1]}.{ordered[2].replace('``', '`')}"] if ordered else []
    return list(dict.fromkeys([*first, *(f"metrics.{name}" for name in common_metrics(runs))]))


def _views(workspace: Workspace, experiment: str) -> Sequence[View]:
    return (allowed(lambda: workspace.views.list(path_for(experiment))) or ()) if experiment else ()


def _address(query: QueryParams, *, leave: Sequence[str]) -> str:
    return urlencode([(key, value) for key, value in query.multi_items() if value and key not in leave])


def _found(workspace: Workspace, asked: Asked, *, limit: int, after: str | None) -> tuple[Page[Run], str]:
    """The page of the list, or what is wrong with the filter: said beside it, and not as a page of its own."""
    try:
        found = workspace.experiments.search(
            asked.where,
            experiments=[asked.experiment] if asked.experiment else None,
            order=[asked.order] if asked.order else [],
            limit=limit,
            after=after,
        )
    except Invalid as error:
        return Page(items=[]), str(error)
    return found, ""


def _column(name: str, order: str, query: QueryParams) -> dict[str, Any]:
    """A column of the list: its kind and key, and the address that orders by it, the other way round the next time."""
    kind, _, key = name.partition(".")
    field = f"{kind}.`{key.replace('`', '``')}`"
    turned = f"{field} ASC" if order == f"{field} DESC" else f"{field} DESC"
    kept = [(k, v) for k, v in query.multi_items() if v and k not in ("order", "after")]
    return {
        "kind": kind,
        "key": key,
        "address": "?" + urlencode([*kept, ("order", turned)]),
        "sorted": "descending" if order == f"{field} DESC" else "ascending" if order == f"{field} ASC" else "",
    }


def _names_in(runs: Sequence[Run]) -> list[str]:
    """Every metric and parameter of these runs, as names of columns."""
    metrics = sorted({f"metrics.{name}" for run in runs for name in run.metrics})
    return [*metrics, *sorted({f"params.{name}" for run in runs for name in run.params})]


def _charts_of(runs: Sequence[Run], query: QueryParams) -> dict[str, Any]:
    params, metrics = varying(runs)
    return run_charts(runs, query.getlist("axis"), query.get("x", ""), query.get("y", ""), params=params, metrics=metrics)


def common_metrics(runs: Sequence[Run]) -> list[str]:
    """The metrics that most runs have; those of a test before those of training."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    most = [name for name, count in counts.items() if 2 * count >= len(runs)]
    return sorted(most or counts, key=lambda name: (-counts[name], name.startswith("train"), name))[:SHOWN]


def _parent(workspace: Workspace, run: Run) -> Ref | None:
    """The run that this one is nested in, where there is one to be seen."""
    if run.parent is None:
        return None
    try:
        return workspace.experiments.show(Ref(Kind.RUN, run.parent)).ref
    except (NotFound, BadRef):
        return None


def run(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One run: parameters, metrics, curves, artifacts, and what it takes to repeat it."""
    found = workspace.experiments.show(named(request, Kind.RUN))
    now = _now(workspace)
    curved = [name for name, metric in found.metrics.items() if metric.count > 1]
    like = request.query_params.get("like", "")
    listed = sorted(name for name in found.metrics if like.casefold() in name.casefold())
    chosen = [name for name in dict.fromkeys(request.query_params.getlist("curve")) if name in found.metrics]
    charts = curves_of(workspace, {found.name: found.ref}, (chosen or curved)[:CURVES])
    return {
        "run": found,
        "listed": {name: found.metrics[name] for name in listed[:LISTED]},
        "unlisted": max(0, len(listed) - LISTED),
        "like": like,
        "silent": found.silent(now),
        "endings": ENDINGS if found.ended_at is None and found.lifecycle is Lifecycle.ACTIVE else (),
        "searched": len(found.metrics) > FEW,
        "curved": len(curved),
        "chosen": chosen,
        "title": workspace.experiments.experiment(Ref(Kind.EXPERIMENT, found.experiment)).title,
        "tags": {name: value for name, value in found.tags.items() if name not in TOLD_TAGS},
        "parent": _parent(workspace, found),
        "nested": workspace.experiments.search(
            f"tags.`{PARENT_TAG}` = '{found.id}'", experiments=[found.experiment], limit=NESTED
        ),
        "charts": charts,
        "charted": bool(charts),
        "lineage": lineage_of(workspace, found.ref),
        "events": workspace.record.history(found.ref).items[:20],
    }


ENDING = ("run", "status", "reason")  # the fields of the form that ends a run


def end(workspace: Workspace, fields: Mapping[str, str]) -> Response:
    """POST `/runs/end`: end a run that nobody else will; the operation behind it asks the right."""
    if fields["status"] not in {each.value for each in ENDED}:
        raise Invalid(f"A run does not end as {fields['status'][:40]!r}.", mend=f"Say {', '.join(ENDINGS)}.")
    found = workspace.experiments.show(Ref(Kind.RUN, fields["run"]))
    reason = fields["reason"] or "from the pages"
    workspace.experiments.finish(found.ref, status=RunStatus(fields["status"]), ended_at=found.heard_at, reason=reason)
    return RedirectResponse(f"/runs/{found.id}", status_code=303)
