"""Charts of a monitor's windows as Vega-Lite specifications (plain dicts), for the pages and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from modelwright.core.clock import isoformat
from modelwright.monitoring.records import Aspect, WindowResult

_WIDTH, _ROW = 560, 16
_MARK, _GUIDE, _ALARM = "#2a6f97", "#9aa5b1", "#c8553d"


def performance_chart(windows: Sequence[WindowResult], metric: str, *, floor: float | None = None) -> dict[str, Any]:
    """One metric over time: a band for its interval, a point for each window (a triangle where it lies beyond the floor),
    and the floor. The time of a window is its middle."""
    rows = [
        {
            "time": isoformat(window.start + (window.end - window.start) / 2),
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "labelled": window.labelled,
            "coverage": window.coverage,
            "model": str(window.model or ""),
            "verdict": "beyond the floor" if metric in window.findings else "accepted",
        }
        for window in windows
        if window.aspect is Aspect.PERFORMANCE
        and (found := window.metrics.get(metric)) is not None
        and found.value is not None
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("time:T", title=None))
    y = alt.Y("low:Q", title=metric, scale=alt.Scale(zero=False))
    band = base.mark_area(opacity=0.2, color=_MARK).encode(y=y, y2="high:Q")
    line = base.mark_line(color=_MARK).encode(y="value:Q")
    verdicts = ["accepted", "beyond the floor"]
    points = base.mark_point(filled=True, size=50).encode(
        y="value:Q",
        color=alt.Color("verdict:N", title=None, scale=alt.Scale(domain=verdicts, range=[_MARK, _ALARM])),
        shape=alt.Shape("verdict:N", title=None, scale=alt.Scale(domain=verdicts, range=["circle", "triangle-up"])),
        tooltip=[
            alt.Tooltip("time:T"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high", "coverage")),
            "labelled:Q",
            "model:N",
        ],
    )
    layers = band + line + points
    if floor is not None:
        rule = alt.Chart(alt.Data(values=[{"floor": floor}])).mark_rule(strokeDash=[4, 3], color=_ALARM)
        layers = layers + rule.encode(y="floor:Q")
    return _spec(layers, f"{metric} over time, with its interval", height=220)


def drift_chart(windows: Sequence[WindowResult], *, most: int = 30) -> dict[str, Any]:
    """Every column in every window: how far its effect went towards its floor (1 is the floor, above it a cross marks
    that it is significant too). Of many columns, those that went furthest."""
    rows: list[dict[str, Any]] = [
        {
            "start": isoformat(window.start),
            "end": isoformat(window.end),
            "column": found.column,
            "detector": found.detector,
            "effect": found.effect,
            "share": found.effect / found.floor if found.floor else 0.0,
            "p_value": found.p_value,
            "missing": found.missing,
            "drifted": found.drifted,
        }
        for window in windows
        if window.aspect is Aspect.DRIFT
        for found in window.columns
    ]
    furthest: dict[str, float] = {}
    for row in rows:
        furthest[row["column"]] = max(furthest.get(row["column"], 0.0), row["share"])
    shown = sorted(furthest, key=lambda name: (-furthest[name], name))[:most]
    rows = [row for row in rows if row["column"] in shown]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("column:N", title=None, sort=shown),
        tooltip=[
            alt.Tooltip("start:T"),
            alt.Tooltip("end:T"),
            "column:N",
            "detector:N",
            *(alt.Tooltip(f"{name}:Q", format=".3g") for name in ("effect", "p_value", "missing")),
        ],
    )
    scale = alt.Scale(domain=[0, 1, 2], range=["#eef2f5", _GUIDE, _ALARM], clamp=True)
    cells = base.mark_rect(stroke="white", strokeWidth=0.5).encode(
        x=alt.X("start:T", title=None), x2="end:T", color=alt.Color("share:Q", title="of the floor", scale=scale)
    )
    marks = (
        base.transform_calculate(middle="(+toDate(datum.start) + +toDate(datum.end)) / 2")
        .transform_filter("datum.drifted")
        .mark_point(shape="cross", size=30, color="black", filled=True)
        .encode(x=alt.X("middle:T"))
    )
    return _spec(cells + marks, "Drift by column and window", height=_ROW * max(4, len(shown)))


def _spec(chart: Any, description: str, *, height: int) -> dict[str, Any]:
    made: dict[str, Any] = chart.properties(width=_WIDTH, height=height, description=description).to_dict()
    return made
