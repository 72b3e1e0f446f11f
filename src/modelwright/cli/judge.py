"""What a registered version is worth on a dataset, at the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_commands
from modelwright.cli.options import AsJson, Reason, Where, parse_ref, workspace
from modelwright.cli.output import number, print_json, say, section
from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind

if TYPE_CHECKING:
    from modelwright.evaluation.records import Estimate, EvaluationReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, {"evaluate": evaluate})


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The version, for example model:late@3.")],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The rows, for example dataset:parcels@2.")],
    label: Annotated[str, typer.Option("--label", "-l", metavar="COLUMN", help="What came of it: 0 or 1, or a number.")],
    champion: Annotated[
        str | None, typer.Option("--champion", metavar="MODEL", help="A version to compare with.", show_default=False)
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", metavar="SQL", help="Only rows of which this is true.", show_default=False)
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COLUMN", help="For whom is it worse? Repeat it.", show_default=False),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", metavar="COLUMN", help="Rows of one value are redrawn together.", show_default=False),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="binary or regression")] = "binary",
    threshold: Annotated[float, typer.Option("--threshold", help="The probability from which on it is a yes.")] = 0.5,
    importance: Annotated[
        bool, typer.Option("--importance/--no-importance", help="Shuffle each input and see what is lost.")
    ] = True,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Judge a version of a model on a version of a dataset.

    The model is loaded and asked for every row; metrics with their intervals, calibration, slices, the comparison with a
    champion and the importance of each input go on the record as evidence, where a gate finds them. The rows should be
    such as the model has not seen.

    mw evaluate model:late@3 dataset:parcels@2 --label late --rows "sent_at >= '2026-06-01'" --champion model:late@2
    """
    from modelwright.cli.progress import progress
    from modelwright.evaluation import Plan, Task

    if task not in list(Task):
        raise Invalid(f"{task!r} is no task.", mend=f"There are {' and '.join(Task)}.")
    with workspace(where) as rooms, progress(f"{model} on {dataset}"):
        report = rooms.evaluation.evaluate_on(
            parse_ref(model, Kind.MODEL),
            parse_ref(dataset, Kind.DATASET),
            label=label,
            where=rows,
            slices=slices or [],
            champion=None if champion is None else parse_ref(champion, Kind.MODEL),
            groups=groups,
            importance=importance,
            threshold=threshold,
            plan=Plan(task=Task(task)),
            reason=reason,
        )
    if as_json:
        print_json(report)
    else:
        _tell(report)


def _tell(report: EvaluationReport) -> None:
    positives = "" if report.positives is None else f", {report.positives:,} of them positive"
    say(f"{report.subject} on {report.dataset}: {report.rows:,} rows{positives}")
    figures = ["low", "value", "high"]
    section(["metric", *figures], ([name, *_figures(each)] for name, each in report.metrics.items()), right=figures)
    against = report.comparison
    if against.gain is not None:
        low, value, high = _figures(against.gain)
        say("")
        say(f"{against.outcome} than {against.against}: {value} of {against.metric} gained, {low} to {high}")
    if report.slices is not None:
        flagged = [[each.column, each.value, each.estimate.n, *_figures(each.estimate)] for each in report.slices.flagged]
        section([f"worse in {report.slices.metric}", "where", "rows", *figures], flagged, right=["rows", *figures])
        if not flagged:
            say("")
            say(f"No slice is worse than the whole in {report.slices.metric}.")
    if report.importance is not None:
        section(
            [f"input, what {report.importance.metric} loses", *figures, "share"],
            _weights(report),
            right=[*figures, "share"],
        )


def _weights(report: EvaluationReport) -> Iterator[list[Any]]:
    assert report.importance is not None
    for each in report.importance.inputs:
        yield [each.name, *_figures(each.loss), "" if each.share is None else f"{each.share:.0%}"]


def _figures(estimate: Estimate) -> list[str]:
    return [number(None if each is None else float(each)) for each in (estimate.low, estimate.value, estimate.high)]
