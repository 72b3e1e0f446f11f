"""Charts of an evaluation as Vega-Lite specifications (plain dicts), for the pages and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from modelwright.evaluation.records import Calibration, Slices

_WIDTH, _HEIGHT = 320, 260
_MARK, _GUIDE, _ALARM = "#2a6f97", "#9aa5b1", "#c8553d"


def calibration_chart(found: Calibration) -> dict[str, Any]:
    """The reliability curve with intervals, against the diagonal on which a faultless model lies."""
    rows = [
        {"score": each.mean_score, "rate": each.rate, "low": each.low, "high": each.high, "rows": each.n}
        for each in found.bins
    ]
    x = alt.X("score:Q", title="Mean predicted probability", scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x)
    tips = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("score", "rate", "low", "high")]
    bars = base.mark_rule(color=_MARK).encode(y=alt.Y("low:Q", title="Observed rate"), y2="high:Q")
    line = base.mark_line(color=_MARK, point=True).encode(y="rate:Q", tooltip=[*tips, alt.Tooltip("rows:Q")])
    return _spec(_diagonal() + bars + line, "Predicted probability against observed rate")


def slices_chart(found: Slices) -> dict[str, Any]:
    """Each slice with its interval and row count, the whole as a rule; a flagged slice differs in colour and shape."""
    rows = [
        {
            "slice": f"{each.column} = {each.value}",
            "value": each.estimate.value,
            "low": each.estimate.low,
            "high": each.estimate.high,
            "rows": each.estimate.n,
            "verdict": "worse than the whole" if each.flagged else "too few rows" if each.small else "no worse",
        }
        for each in found.slices
        if each.estimate.value is not None
    ]
    verdicts = ["no worse", "worse than the whole", "too few rows"]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("slice:N", title=None, sort=None),
        color=alt.Color("verdict:N", title=None, scale=alt.Scale(domain=verdicts, range=[_MARK, _ALARM, _GUIDE])),
    )
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=found.metric, scale=alt.Scale(zero=False)), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=60).encode(
        x="value:Q",
        shape=alt.Shape(
            "verdict:N", title=None, scale=alt.Scale(domain=verdicts, range=["circle", "triangle-up", "cross"])
        ),
        tooltip=[
            "slice:N",
            *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("value", "low", "high")),
            "rows:Q",
            "verdict:N",
        ],
    )
    whole = alt.Chart(alt.Data(values=[{"whole": found.whole.value}])).mark_rule(strokeDash=[4, 3], color=_GUIDE)
    return _spec(whole.encode(x="whole:Q") + bars + points, f"{found.metric} by slice, with intervals", height=alt.Step(18))


def roc_chart(curve: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The ROC curve of `assessment.roc_curve`, against the diagonal of chance."""
    rows = [{"false_positive_rate": x, "true_positive_rate": y, "order": i} for i, (x, y) in enumerate(curve)]
    line = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(color=_MARK)
        .encode(
            x=alt.X("false_positive_rate:Q", title="False positive rate"),
            y=alt.Y("true_positive_rate:Q", title="True positive rate"),
            order="order:Q",
        )
    )
    return _spec(_diagonal() + line, "ROC curve")


def _diagonal() -> alt.Chart:
    ends = alt.Data(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])
    return alt.Chart(ends).mark_line(color=_GUIDE, strokeDash=[4, 3]).encode(x="x:Q", y="y:Q")


def _spec(chart: alt.LayerChart, description: str, height: Any = _HEIGHT) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(width=_WIDTH, height=height, description=description).to_dict()
    return spec
