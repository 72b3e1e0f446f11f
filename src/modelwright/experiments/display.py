"""Runs, comparisons and curves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelwright.core.html import Html, badge, card, facts, sparkline, table, where_between
from modelwright.experiments.names import labels

if TYPE_CHECKING:
    from modelwright.experiments.records import Comparison, Curve, Metric, Run

MANY = 60  # rows of one table; the rest is counted
TONES = {"finished": "good", "failed": "bad", "killed": "bad"}


def run(of: Run) -> str:
    """A run: how it stands, its parameters, its metrics with their range, its files."""
    code = f"{of.capture.commit[:12]}{' with uncommitted changes' if of.capture.dirty else ''}" if of.capture.commit else ""
    about = facts(
        [
            ("status", badge(of.status.value, TONES.get(of.status.value, ""))),
            ("began", f"{when(of.started_at)} by {of.created_by}"),
            ("took", None if of.seconds is None else f"{of.seconds:.1f} s"),
            ("code", code),
            ("inputs", ", ".join(map(str, of.inputs))),
            ("outputs", ", ".join(map(str, of.outputs))),
            ("tags", ", ".join(f"{key}={value}" for key, value in of.tags.items())),
            ("error", of.error),
        ]
    )
    files = [[each.name, each.size] for each in of.artifacts]
    return card(
        f"{of.ref}  {of.name}",
        f"a run of {of.experiment_title or of.experiment}",
        about,
        some(
            ["metric", "last", "lowest", "highest", "step", ""],
            [_metric(m) for m in of.metrics.values()],
            right=(1, 2, 3, 4),
        ),
        some(["parameter", "value"], list(of.params.items())),
        some(["artifact", "bytes"], files, right=(1,)),
    )


def comparison(of: Comparison) -> str:
    """Runs side by side: what differs, and a count of what does not."""
    names = labels(of.runs)
    parts = []
    for what, rows in (("parameter", of.params), ("metric", of.metrics)):
        differing = [[each.name, *each.values] for each in rows if not each.same]
        parts.append(some([what, *names], differing, right=range(1, len(names) + 1)))
        same = sum(1 for each in rows if each.same)
        if same:
            parts.append(Html(f'<div style="opacity:.7">{same} {what}s are the same</div>'))
    return card(f"{len(of.runs)} runs", ", ".join(str(each.ref) for each in of.runs), *parts)


def curve(of: Curve) -> str:
    """A curve, as large as a notebook has room for."""
    shown = f"{len(of.values):,} of {of.total:,} points" if of.sampled else f"{of.total:,} points"
    span = f", steps {of.steps[0]} to {of.steps[-1]}" if of.steps else ""
    return card(of.metric, shown + span, sparkline([float(value) for value in of.values], width=480, height=120))


def live(
    title: str, subtitle: str, status: str, params: Mapping[str, Any], curves: Mapping[str, tuple[Any, Sequence[float]]]
) -> str:
    """A run that is running here, with the curves of what it has logged so far."""
    rows = [[name, float(last), sparkline(values)] for name, (last, values) in curves.items()]
    return card(
        title,
        subtitle,
        facts([("status", badge(status, TONES.get(status, "")))]),
        some(["metric", "last", ""], rows, right=(1,)),
        some(["parameter", "value"], list(params.items())),
    )


def some(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[int] | range = ()) -> Html:
    """A table of the first rows, and a word on how many more there are; nothing where there is none."""
    if not rows:
        return Html("")
    made = table(columns, rows[:MANY], right=right)
    more = len(rows) - MANY
    return Html(f'{made}<div style="opacity:.7">and {more:,} more</div>') if more > 0 else made


def when(moment: datetime) -> str:
    """A moment to the minute, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _metric(of: Metric) -> list[Any]:
    if of.low is None or of.high is None:
        return [of.name, of.figure, "", "", of.step, ""]
    low, high = float(of.low), float(of.high)
    return [of.name, of.figure, low, high, of.step, where_between(low, of.figure, high)]
