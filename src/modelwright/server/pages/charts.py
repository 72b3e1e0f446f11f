"""Charts that only the pages draw. Altair checks each against the Vega-Lite schema; they leave here as plain dicts."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelwright.core.hashing import digest_bytes
from modelwright.core.wire import encode
from modelwright.experiments import Curve
from modelwright.server.pages.traffic import Served
from modelwright.server.pages.words import figure

HEIGHT = 180
MARK = "#2a6f97"
LEGEND_COLUMNS = 3
KEPT = 256  # charts remembered

Spec = dict[str, Any]
_drawn: OrderedDict[str, Spec] = OrderedDict()
_lock = threading.Lock()


def drawn(draw: Callable[..., Spec], *figures: Any, **options: Any) -> Spec:
    """What `draw` makes of the figures, remembered: Altair takes tens of milliseconds, and the same figures are the same
    chart for every reader."""
    key = digest_bytes(encode([draw.__module__, draw.__qualname__, figures, options]))
    with _lock:
        if key in _drawn:
            _drawn.move_to_end(key)
            return _drawn[key]
    made = draw(*figures, **options)
    with _lock:
        _drawn[key] = made
        while len(_drawn) > KEPT:
            _drawn.popitem(last=False)
    return made


def curve_chart(curves: Mapping[str, Curve]) -> Spec:
    """One metric over its steps, a line for each run; values that are not finite leave a gap.

    What was logged without steps, so that each curve has one, is drawn over the seconds since its first point.
    """
    import altair as alt

    timed = all(len(set(curve.steps)) == 1 for curve in curves.values()) and any(
        len(each.steps) > 1 for each in curves.values()
    )
    over = "seconds" if timed else "step"
    rows = [
        {over: at, "value": figure if math.isfinite(figure) else None, "run": run}
        for run, curve in curves.items()
        for at, figure in zip(_seconds(curve) if timed else curve.steps, map(float, curve.values), strict=True)
    ]
    metric = next(iter(curves.values())).metric
    levels = {row["value"] for row in rows} - {None}  # where there is but one, Vega would round its label to a whole number
    height = alt.Axis(values=[*levels], format=".5~g") if len(levels) == 1 else alt.Undefined
    legend = alt.Legend(columns=LEGEND_COLUMNS)
    hue = alt.Color("run:N", title=None, legend=legend) if len(curves) > 1 else alt.value(MARK)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(strokeWidth=1.8, point=any(len(curve.values) == 1 for curve in curves.values()))
        .encode(
            x=alt.X(f"{over}:Q", title=over, axis=alt.Axis(grid=False, **({} if timed else {"tickMinStep": 1}))),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=height),
            color=hue,
            tooltip=["run:N", f"{over}:Q", alt.Tooltip("value:Q", format=".5g")],
        )
    )
    return _spec(chart, f"{metric} over the {'seconds' if timed else 'steps'}")


def _seconds(curve: Curve) -> list[float]:
    first = min(curve.times, default=None)
    return [0.0 if first is None else (time - first).total_seconds() for time in curve.times]


def parallel_chart(rows: Sequence[Mapping[str, Any]], dimensions: Sequence[str], colour: str) -> Spec:
    """Runs as lines across parallel axes, one for each parameter or metric, coloured by the last of them.

    Each row holds `run` and its values by dimension; a run that lacks one has no line through it. Numbers are drawn to
    scale between the least and the greatest of their axis, words at equal distances in order.
    """
    import altair as alt

    points: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for dimension in dimensions:
        values = [row.get(dimension) for row in rows]
        place, low, high = _axis([value for value in values if value is not None])
        ends += [{"axis": dimension, "at": at, "label": label} for at, label in ((0.0, low), (1.0, high))]
        for row, value in zip(rows, values, strict=True):
            at = None if value is None else place(value)
            if at is not None:
                shade = row.get(colour)
                hue = shade if isinstance(shade, int | float) and math.isfinite(shade) else None
                points.append({"axis": dimension, "at": at, "run": row["run"], "value": str(value), "hue": hue})
    order = list(dimensions)
    axes = alt.X("axis:N", sort=order, title=None, axis=alt.Axis(grid=True, labelAngle=-20, labelLimit=140, orient="top"))
    scale = alt.Y("at:Q", title=None, axis=None, scale=alt.Scale(domain=[-0.08, 1.08]))
    lines = (
        alt.Chart(alt.Data(values=points))
        .mark_line(strokeWidth=1.4, opacity=max(0.25, min(0.9, 30 / max(1, len(rows)))))
        .encode(
            x=axes,
            y=scale,
            detail="run:N",
            color=alt.Color("hue:Q", title=colour, scale=alt.Scale(scheme="viridis"), legend=alt.Legend(padding=10)),
            tooltip=["run:N", "axis:N", "value:N"],
        )
    )
    marks = (
        alt.Chart(alt.Data(values=ends)).mark_text(fontSize=10.5, color="#5c666d").encode(x=axes, y=scale, text="label:N")
    )
    return _spec(lines + marks, "each run as a line through its parameters and metrics", 260)


def scatter_chart(rows: Sequence[Mapping[str, Any]], x: str, y: str) -> Spec:
    """Runs as points: one parameter or metric against another."""
    import altair as alt

    found = [{"run": row["run"], "x": row.get(x), "y": row.get(y)} for row in rows]
    found = [each for each in found if _drawable(each["x"]) and _drawable(each["y"])]
    kinds = {name: "Q" if all(not isinstance(each[name], str) for each in found) else "N" for name in ("x", "y")}
    free = alt.Scale(zero=False)
    chart = (
        alt.Chart(alt.Data(values=found))
        .mark_circle(size=60, opacity=0.75, color=MARK)
        .encode(
            x=alt.X(f"x:{kinds['x']}", title=x, **({"scale": free} if kinds["x"] == "Q" else {})),
            y=alt.Y(f"y:{kinds['y']}", title=y, **({"scale": free} if kinds["y"] == "Q" else {})),
            tooltip=["run:N", alt.Tooltip(f"x:{kinds['x']}", title=x), alt.Tooltip(f"y:{kinds['y']}", title=y)],
        )
    )
    return _spec(chart, f"{y} against {x}, a point for each run", 240)


def _drawable(value: Any) -> bool:
    return isinstance(value, str | bool) or (isinstance(value, int | float) and math.isfinite(value))


def _axis(values: Sequence[Any]) -> tuple[Callable[[Any], float | None], str, str]:
    """How values lie between 0 and 1 on their axis, and what stands at its ends."""
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    if numbers and len(numbers) == sum(1 for v in values if not isinstance(v, float) or math.isfinite(v)):
        low, high = min(numbers), max(numbers)
        width = (high - low) or 1.0

        def to_scale(value: Any) -> float | None:
            return (float(value) - low) / width if math.isfinite(float(value)) else None

        return to_scale, figure(low), figure(high)
    words = sorted({str(value) for value in values})
    places = {word: at / max(1, len(words) - 1) for at, word in enumerate(words)}
    return lambda value: places.get(str(value)), words[0] if words else "", words[-1] if words else ""


def latency_chart(sides: Sequence[Served]) -> Spec:
    """The share of answers that came within a time, one line for each version; time on a logarithmic scale."""
    import altair as alt

    rows = [
        {"ms": bound * 1000, "share": upto / side.buckets[-1][1], "version": f"{side.model} ({side.variant})"}
        for side in sides
        if side.buckets and side.buckets[-1][1]
        for bound, upto in _telling(side)
    ]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True, interpolate="monotone")
        .encode(
            x=alt.X("ms:Q", title="milliseconds", scale=alt.Scale(type="log"), axis=alt.Axis(grid=False)),
            y=alt.Y("share:Q", title="answered within", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("version:N", title=None, legend=alt.Legend(orient="top")),
        )
    )
    return _spec(chart, "Share of answers that came within a time")


def _telling(side: Served) -> Sequence[tuple[float, int]]:
    """The bounds up to the first that every answer kept to; all of a line that only stays at the top says nothing."""
    total = side.buckets[-1][1]
    bounded = [(bound, upto) for bound, upto in side.buckets if bound != float("inf")]
    enough = next((place for place, (_, upto) in enumerate(bounded) if upto == total), len(bounded))
    return bounded[: enough + 2]


def _spec(chart: Any, description: str, height: int = HEIGHT) -> Spec:
    made: Spec = chart.properties(width=400, height=height, description=description).to_dict()
    return made
