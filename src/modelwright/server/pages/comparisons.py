"""Runs side by side: what differs first, curves over each other, every run a line or a point; and views that are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Comparison, Run
from modelwright.experiments.comparing import best, compared
from modelwright.experiments.directions import tells_direction
from modelwright.experiments.names import labels
from modelwright.experiments.records import Compared
from modelwright.experiments.views import Page
from modelwright.server.pages.charts import drawn, parallel_chart, scatter_chart
from modelwright.server.pages.curves import CURVES, curves_of
from modelwright.server.pages.render import allowed
from modelwright.workspace import Workspace

MOST = 20  # runs set side by side on a page
OVERLAID = 8  # curves over each other
DIMENSIONS = 7  # parallel axes chosen where nobody chose any
ROWS = 200  # of a table on a page
SORTS = {"": "those most runs have first", "difference": "what differs most first", "name": "by name"}


def compare(workspace: Workspace, request: Request) -> dict[str, Any]:
    """The chosen runs, the baseline first."""
    asked = request.query_params
    chosen = list(dict.fromkeys(filter(None, [asked.get("baseline"), *asked.getlist("run")])))
    refs = [Ref(Kind.RUN, identity) for identity in chosen]
    content: dict[str, Any] = {"asked": asked, "left_out": max(0, len(refs) - MOST), "compared": None, "views": ()}
    if not refs:
        return content | {"charts": {}, "charted": False}
    found = workspace.experiments.compare(refs[:MOST])
    everything = asked.get("show") == "all"
    experiment = found.runs[0].experiment
    called = labels(found.runs)
    shared = _shared(found)
    chosen_curves = [name for name in dict.fromkeys(asked.getlist("curve")) if name in shared]
    charts = _charts(
        workspace, found, chosen_curves or shared, asked.getlist("axis"), asked.get("x", ""), asked.get("y", "")
    )
    kept = [(key, value) for key, value in asked.multi_items() if key != "curve"]
    return content | {
        "compared": found,
        "called": called,
        "experiments": [_title(workspace, each) for each in dict.fromkeys(run.experiment for run in found.runs)],
        "curved": {name: "?" + urlencode([*kept, ("curve", name)]) for name in shared},
        "left_curves": len(shared) - len(charts["curves"]),
        "left_lines": max(0, len(found.runs) - OVERLAID) if charts["curves"] else 0,
        "everything": everything,
        "tables": [
            _table(title, rows, everything, asked)
            for title, rows in (("Metrics", found.metrics), ("Parameters", found.params))
        ],
        "sorts": SORTS,
        "further": "?" + address(asked.multi_items(), leave=("rows",)),
        "charts": charts,
        "charted": bool(charts["curves"] or charts["parallel"] or charts["scatter"]),
        "experiment": experiment,
        "views": allowed(lambda: workspace.views.list(experiment)) or (),
        "query": address(asked.multi_items(), leave=("view",)),
        "links": {run.id: _with_baseline(run.id, chosen, asked.multi_items()) for run in found.runs[1:]},
    }


def _title(workspace: Workspace, experiment: str) -> str:
    return workspace.experiments.experiment(Ref(Kind.EXPERIMENT, experiment)).title


def address(items: Sequence[tuple[str, str]], *, leave: Sequence[str] = ()) -> str:
    """The query of an address that shows the same again."""
    return urlencode([(key, value) for key, value in items if key not in leave and value])


def dimensions(runs: Sequence[Run], rows: Sequence[Compared]) -> list[str]:
    """Parameters and metrics that differ, as names of axes, those that most runs have first."""
    differing = [row.name for row in rows if not row.same]
    return sorted(differing, key=lambda name: -sum(name in run.params or name in run.metrics for run in runs))


def varying(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """The parameters and the metrics whose values differ among runs, those that most runs have first."""
    found = compared(runs)
    return dimensions(runs, found.params), dimensions(runs, found.metrics)


def values_of(run: Run, called: str, metrics: Collection[str]) -> dict[str, Any]:
    """What axes can show of a run: its parameters, and the best value of each of these metrics that it has."""
    found: dict[str, Any] = {"run": called}
    for name, value in run.params.items():
        found[name] = value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return found | {name: float(best(run.metrics[name])) for name in metrics if name in run.metrics}


def run_charts(
    runs: Sequence[Run], axes: Sequence[str], x: str, y: str, *, params: Sequence[str], metrics: Sequence[str]
) -> dict[str, Any]:
    """The two pictures of many runs: lines across parallel axes, and points; None where there is too little to draw.

    `params` and `metrics` are what there is to choose from, the most telling first.
    """
    names = {*params, *metrics}
    chosen = [name for name in axes if name in names]
    if not chosen:
        chosen = [*params[: DIMENSIONS - 2], *metrics[:2]][-DIMENSIONS:]
    target = metrics[0] if metrics else (chosen[-1] if chosen else "")
    wanted = dict.fromkeys([*chosen, x, y, target])
    rows = [values_of(run, called, wanted) for run, called in zip(runs, labels(runs), strict=True)]
    for name in params:
        _as_numbers(rows, name)
    x = x if x in names else _first_number(params, rows)
    y = y if y in names else target
    return {
        "parallel": drawn(parallel_chart, rows, chosen, target) if len(chosen) > 1 and len(rows) > 1 else None,
        "scatter": drawn(scatter_chart, rows, x, y) if x and y and len(rows) > 1 else None,
        "axes": chosen,
        "x": x,
        "y": y,
        "names": [*params, *metrics],
    }


def _as_numbers(rows: Sequence[dict[str, Any]], name: str) -> None:
    """Make numbers of a parameter that is one in every run: MLflow's clients send each as text."""
    texts = [row[name] for row in rows if isinstance(row.get(name), str)]
    try:
        numbers = [float(each) for each in texts]
    except ValueError:
        return
    if all(map(math.isfinite, numbers)):
        for row in rows:
            if isinstance(row.get(name), str):
                row[name] = float(row[name])


def _first_number(params: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The first parameter whose values are numbers, else the first of all: points across words say little."""
    numbers = [name for name in params if all(not isinstance(row.get(name), str) for row in rows)]
    return next(iter([*numbers, *params]), "")


def _shared(found: Comparison) -> list[str]:
    """The metrics that differ and that more than one of the runs drawn has over its steps."""
    overlaid = found.runs[:OVERLAID]
    return [
        row.name
        for row in found.metrics
        if not row.same and sum(1 for run in overlaid if row.name in run.metrics and run.metrics[row.name].count > 1) > 1
    ]


def _charts(
    workspace: Workspace, found: Comparison, curves: Sequence[str], axes: Sequence[str], x: str, y: str
) -> dict[str, Any]:
    params, metrics = dimensions(found.runs, found.params), dimensions(found.runs, found.metrics)
    overlaid = [*zip(labels(found.runs), found.runs, strict=True)][:OVERLAID]
    having = {name: {called: run.ref for called, run in overlaid if name in run.metrics} for name in curves[:CURVES]}
    return {
        "curves": {name: curves_of(workspace, runs, [name])[name] for name, runs in having.items()},
        **run_charts(found.runs, axes, x, y, params=params, metrics=metrics),
    }


def _table(title: str, rows: Sequence[Compared], everything: bool, asked: QueryParams) -> dict[str, Any]:
    """The rows to show, in the order that was asked for; `like` is what their names contain, `rows` how many were seen."""
    like, seen = asked.get("like", ""), asked.get("rows", "")
    rows = [row for row in rows if like.casefold() in row.name.casefold()]
    shown = sorted((row for row in rows if everything or not row.same), key=_order(asked.get("sort", "")))
    first = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 9 else 0
    first = first if first < len(shown) else 0
    return {
        "title": title,
        "rows": shown[first : first + ROWS],
        "told": {row.name for row in shown if tells_direction(row.name)},
        "first": first,
        "cut": max(0, len(shown) - first - ROWS),
        "next": first + ROWS,
        "same": sum(row.same for row in rows),
        "all": len(rows),
    }


def _order(sort: str) -> Callable[[Compared], Any]:
    """What rows are sorted by: first what most runs have, or their names, or how far the last values are apart."""
    if sort == "name":
        return lambda row: row.name
    if sort == "difference":
        return lambda row: (-_apart(row), row.name)
    return lambda row: (row.same, sum(value is None for value in row.values), row.name)


def _apart(row: Compared) -> float:
    """How far the least and the greatest value of a row are apart, relative to the larger of the two."""
    found = [float(v) for v in row.values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    if len(found) < 2 or (size := max(map(abs, found))) == 0:
        return 0.0
    return max(found) / size - min(found) / size


def _with_baseline(identity: str, chosen: Sequence[str], items: Sequence[tuple[str, str]]) -> str:
    """The address of the same page with another run as the baseline."""
    kept = [(key, value) for key, value in items if key not in ("baseline", "run")]
    return "?" + urlencode([("baseline", identity), *(("run", each) for each in chosen), *kept])


SAVING = ("experiment", "name", "page", "query", "forget")  # the fields of the form that keeps a view


def save(workspace: Workspace, fields: Mapping[str, str]) -> Response:
    """POST `/views`: keep a view, or `forget` one; the operation behind it asks the right."""
    if fields["page"] not in set(Page):
        raise Invalid(f"{fields['page'][:40]!r} is not a page that has views.")
    if fields["forget"]:
        view = workspace.views.delete(fields["experiment"], fields["name"], reason="from the pages")
    else:
        view = workspace.views.save(
            fields["experiment"],
            fields["name"],
            page=Page(fields["page"]),
            query=fields["query"],
            reason="from the pages",
        )
    return RedirectResponse(view.address, status_code=303)
