"""Runs side by side at the command line, and the views of them that were saved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from modelwright.cli.explain import add_commands
from modelwright.cli.options import AsJson, Reason, Where, experiment_of, parse_ref, workspace
from modelwright.cli.output import aside, number, print_json, say, section, table, when
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.names import path_for
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.experiments.records import Compared
    from modelwright.experiments.views import Page
    from modelwright.workspace import Workspace

Save = Annotated[
    str | None, typer.Option("--save", metavar="NAME", help="Keep it as a view that everybody finds.", show_default=False)
]
INDENT = "    "  # of a run within another
FIGURES = 3  # of a run in the list
_METRIC = re.compile(r"\bmetrics?\.(?:`([^`]+)`|\"([^\"]+)\"|([\w./-]+))")
SIDE_BY_SIDE = 6  # runs in one table: more do not fit a terminal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, {"runs": runs_, "compare": compare, "views": views})


def runs_(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="Of one, by its name, title or ref.", show_default=False)
    ] = None,
    filter_: Annotated[
        str,
        typer.Option("--filter", metavar="CLAUSES", help="metrics.auc > 0.7 AND params.depth = '6'", show_default=False),
    ] = "",
    order: Annotated[
        list[str] | None, typer.Option("--order", metavar="ITEM", help="metrics.auc DESC; repeat it.", show_default=False)
    ] = None,
    outermost: Annotated[bool, typer.Option("--outermost", help="Only runs that are nested in none.")] = False,
    flat: Annotated[bool, typer.Option("--flat", help="One below the other, and not as a tree.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most, 1 to 1000.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)] = None,
    save: Save = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Search runs, each below the run that it is nested in.

    The newest come first. A run that is not among those found stands there in brackets, for the sake of what is in it.
    With an order they come in that, one below the other.

    mw runs delay --filter "metrics.auc > 0.7" --order "metrics.auc DESC"
    """
    from modelwright.experiments.nesting import OUTERMOST, NestedRun
    from modelwright.experiments.views import Page

    clauses = [f"({filter_})"] if filter_.strip() and outermost else [filter_] if filter_.strip() else []
    asked = " AND ".join([*clauses, *([OUTERMOST] if outermost else [])])
    if save is not None and (experiment is None or len(order or []) > 1):
        raise Invalid("A view is of one experiment, and in one order.", mend='mw runs EXPERIMENT --order ITEM --save "..."')
    with workspace(where) as rooms:
        page = rooms.experiments.search(
            asked,
            experiments=None if experiment is None else [experiment_of(experiment)],
            order=order or [],
            limit=limit,
            after=after,
        )
        lines = [NestedRun(run=run) for run in page.items] if flat or order else rooms.experiments.tree(page.items)
        if experiment is not None and not lines:
            if not as_json:
                _say_waiting()
            _there(rooms, experiment)
        if save is not None and experiment is not None:
            name = path_for(experiment_of(experiment))
            nesting = "outermost" if outermost else "flat" if flat else ""
            asked_for = {"experiment": name, "where": filter_, "order": (order or [""])[0], "nesting": nesting}
            _save(rooms, name, save, Page.RUNS, [*asked_for.items()])
    if as_json:
        print_json({"items": lines, "next": page.next})
        return
    if lines or experiment is None:
        _say_waiting()
    if not lines:
        aside("There is none.")
        return
    from modelwright.cli.kinds.base import time_of
    from modelwright.cli.kinds.training import status_of

    now, rows, named = time_of(rooms), [], _metrics_in(filter_, *(order or []))
    for line in lines:
        run = line.run
        name = run.name if line.found else f"({run.name})"
        shown = [*(run.metrics[each] for each in named if each in run.metrics), *run.metrics.values()]
        figures = ", ".join(f"{m.name} {number(m.figure)}" for m in [*dict.fromkeys(shown)][:FIGURES])
        experiment = run.experiment_title or run.experiment
        rows.append(
            [f"{INDENT * line.depth}{name}", run.id, experiment, status_of(run, now), when(run.started_at), figures]
        )
    table(["run", "id", "experiment", "status", "began", "figures"], rows, copied=("id",))
    if page.next:
        aside(f"There are more: --after {page.next}")


def _say_waiting() -> None:
    """Say what runs have left on this machine whose processes are gone: the list shows of them what had arrived."""
    from modelwright.tracking import spool, syncing

    waiting = {each.run for _, each in syncing.pending(spool.pending_folders(Path.cwd())) if each.state == "waiting"}
    if waiting:
        have = "1 run has" if len(waiting) == 1 else f"{len(waiting)} runs have"
        aside(f"{have} left something on this machine that has not arrived: mw sync")


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more runs: run:01JD... or their ids.")],
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="Measure against this one.", show_default=False)
    ] = None,
    like: Annotated[
        str, typer.Option(metavar="TEXT", help="Only metrics and parameters with this in their name.", show_default=False)
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what is the same in every run.")] = False,
    save: Save = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Set runs side by side: what differs in parameters and metrics, each against the baseline (by default the first)."""
    from msgspec import structs

    from modelwright.experiments.names import labels
    from modelwright.experiments.views import Page

    refs, base = [_run(text) for text in runs], None if baseline is None else _run(baseline)
    if len({*refs, *([base] if base else [])}) < 2:
        raise Invalid(f"{refs[0]} alone differs from nothing.", mend="Name two or more runs: mw runs shows their ids.")
    with workspace(where) as rooms:
        found = rooms.experiments.compare(refs, baseline=base)
        if save is not None:
            query = [("baseline", found.runs[0].id), *(("run", run.id) for run in found.runs)]
            chosen = [("like", like), ("show", "all" if everything else "")]
            _save(rooms, found.runs[0].experiment, save, Page.COMPARE, [*query, *chosen])
    found = structs.replace(found, metrics=_like(found.metrics, like), params=_like(found.params, like))
    if like and not (found.metrics or found.params):
        aside(f"No metric and no parameter of these runs has {like!r} in its name.")
    if as_json:
        print_json(found)
        return
    called = labels(found.runs)
    for at in range(1, max(2, len(found.runs)), SIDE_BY_SIDE - 1):
        columns = [0, *range(at, min(len(found.runs), at + SIDE_BY_SIDE - 1))]
        names = [called[i] for i in columns]
        names[0] += "\n(baseline)"
        for what, rows in (("metric", found.metrics), ("parameter", found.params)):
            shown = [row for row in rows if everything or not row.same]
            if shown:
                section([what, *names], [[row.name, *_cells(row, columns)] for row in shown], right=tuple(names))
    for what, rows in (("metrics", found.metrics), ("parameters", found.params)):
        same = [row.name for row in rows if row.same]
        if same and not everything:
            say(f"  The same {what} in every run: {', '.join(same)}", style="dim")


def views(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Whose views: its name, title or ref.")],
    forget: Annotated[str | None, typer.Option(metavar="NAME", help="Forget this one.", show_default=False)] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """List the saved views of an experiment's runs, with the address of each on the server's pages; or forget one."""
    name = path_for(experiment_of(experiment))
    with workspace(where) as rooms:
        if forget is not None:
            gone = rooms.views.delete(name, forget, reason=reason)
            if as_json:
                print_json(gone)
            else:
                say(f"Forgotten: {gone.name}")
            return
        found = rooms.views.list(name)
        if not found:
            rooms.experiments.experiment(Ref(Kind.EXPERIMENT, name))  # or there is no such
    if as_json:
        print_json(found)
    elif not found:
        aside("No view was saved: mw runs and mw compare have --save, and their pages a button for it.")
    else:
        table(["view", "by", "when", "address"], [[v.name, v.created_by, when(v.created_at), v.address] for v in found])


def _there(rooms: Workspace, experiment: str) -> None:
    """Raise where there is no such experiment; a filter that stands in its place is told from a name."""
    try:
        rooms.experiments.experiment(Ref(Kind.EXPERIMENT, path_for(experiment_of(experiment))))
    except NotFound:
        if not any(sign in experiment for sign in "<>="):
            raise
        raise Invalid(
            f"There is no experiment {experiment!r}, which reads like a filter.",
            mend=f'Filters are given so: mw runs --filter "{experiment}"',
        ) from None


def _save(rooms: Workspace, experiment: str, name: str, page: Page, query: Sequence[tuple[str, str]]) -> None:
    """Keep what was asked for as a view; it is told beside the answer, which may be JSON."""
    kept = rooms.views.save(experiment, name, page=page, query=urlencode([each for each in query if each[1]]))
    aside(f"Saved as {kept.name!r}: {kept.address}")


def _metrics_in(*texts: str) -> list[str]:
    """The metrics that a filter and an order speak of: theirs are the figures to show."""
    found = [m[1] or m[2] or m[3] for text in texts for m in _METRIC.finditer(text)]
    return list(dict.fromkeys(found))


def _run(text: str) -> Ref:
    ref = parse_ref(text if ":" in text else f"run:{text}")
    if ref.kind is not Kind.RUN:
        raise Invalid(f"{text} is not a run.", mend="See what there is: mw list run")
    return ref


def _like(rows: Sequence[Compared], text: str) -> list[Compared]:
    return [row for row in rows if text.casefold() in row.name.casefold()]


def _cells(row: Compared, columns: list[int]) -> list[str]:
    """Each run's value; of a metric also its best, and how far it lies from the baseline."""
    differences, cells = row.differences, []
    for i in columns:
        text = number(row.values[i])
        if row.best:
            difference = differences[i]
            if i and difference:
                text += f"\n({'+' if difference > 0 else ''}{number(difference)})"
            if row.best[i] is not None and row.best[i] != row.values[i]:
                text += f"\nbest {number(row.best[i])}"
        cells.append(text)
    return cells
