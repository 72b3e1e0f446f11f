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

HEIGHT = 180
MARK = "#2a6f97"
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
    """One metric over its steps, a line for each run; values that are not finite leave a gap."""
    import altair as alt

    rows = [
        {"step": step, "value": float(value), "run": run}
        for run, curve in curves.items()
        for step, value in zip(curve.steps, curve.values, strict=True)
        if math.isfinite(float(value))
    ]
    metric = next(iter(curves.values())).metric
    hue = alt.Color("run:N", title=None) if len(curves) > 1 else alt.value(MARK)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickMinStep=1)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=hue,
            tooltip=["run:N", "step:Q", alt.Tooltip("value:Q", format=".5g")],
        )
    )
    return _spec(chart, f"{metric} over the steps")


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


def _spec(chart: Any, description: str) -> Spec:
    made: Spec = chart.properties(width=400, height=HEIGHT, description=description).to_dict()
    return made
