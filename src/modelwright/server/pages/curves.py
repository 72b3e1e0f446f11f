"""The curves of runs, one chart for each metric, and what of them is not drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelwright.core.refs import Ref
from modelwright.experiments import Curve
from modelwright.server.pages.charts import Spec, curve_chart, drawn
from modelwright.workspace import Workspace

OUTLINE = 300  # points drawn of a curve
CURVES = 12  # drawn on a page


class Drawing(NamedTuple):
    """The chart of a metric, and a sentence on what a reader does not see in it; empty where that is nothing."""

    chart: Spec
    note: str


def curves_of(workspace: Workspace, runs: Mapping[str, Ref], metrics: Sequence[str]) -> dict[str, Drawing]:
    """A drawing for each metric, with a line for each run, by what the run is called."""
    found = {}
    for metric in metrics:
        curves = {name: workspace.experiments.curve(ref, metric, most=OUTLINE) for name, ref in runs.items()}
        found[metric] = Drawing(drawn(curve_chart, curves), _left_out([*curves.values()]))
    return found


def _left_out(curves: Sequence[Curve]) -> str:
    said = []
    thinned = [curve for curve in curves if curve.sampled]
    if thinned:
        shown, total = sum(len(curve.values) for curve in thinned), sum(curve.total for curve in thinned)
        said.append(f"{shown:,} of {total:,} points are drawn, the lowest and highest of every stretch among them.")
    odd = sum(not math.isfinite(float(value)) for curve in curves for value in curve.values)
    if odd:
        said.append(f"{odd:,} of them {'is' if odd == 1 else 'are'} not finite: the line is broken there.")
    return " ".join(said)
