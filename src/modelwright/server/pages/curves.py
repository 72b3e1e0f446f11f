"""The curves of runs, one chart for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.core.refs import Ref
from modelwright.server.pages.charts import curve_chart, drawn
from modelwright.workspace import Workspace

OUTLINE = 300  # points drawn of a curve
CURVES = 12  # drawn on a page


def curves_of(workspace: Workspace, runs: Mapping[str, Ref], metrics: Sequence[str]) -> dict[str, Any]:
    """A chart for each metric, with a line for each run."""
    return {
        metric: drawn(curve_chart, {n: workspace.experiments.curve(ref, metric, most=OUTLINE) for n, ref in runs.items()})
        for metric in metrics
    }
