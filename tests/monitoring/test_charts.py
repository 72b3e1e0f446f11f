"""The charts are valid Vega-Lite that renders, and hold what the windows hold."""

from datetime import UTC, datetime, timedelta

import vl_convert as vlc

from modelwright.core.refs import Ref
from modelwright.evaluation.records import Estimate
from modelwright.monitoring import Aspect, ColumnResult, WindowResult
from modelwright.monitoring.charts import drift_chart, performance_chart

START, DAY = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=1)


def performance(day, value):
    found = {} if value is None else {"roc_auc": Estimate(value=value, low=value - 0.05, high=value + 0.05, n=200)}
    return WindowResult(
        aspect=Aspect.PERFORMANCE,
        start=START + day * DAY,
        end=START + (day + 1) * DAY,
        rows=300,
        labelled=200,
        model=Ref.parse("model:delay@1"),
        metrics=found,
        findings=["roc_auc"] if value is not None and value < 0.6 else [],
    )


def drift(day, columns):
    found = [
        ColumnResult(column=n, detector="psi", effect=e, floor=0.1, p_value=0.001, significant=True, missing=0.0)
        for n, e in columns.items()
    ]
    return WindowResult(aspect=Aspect.DRIFT, start=START + day * DAY, end=START + (day + 1) * DAY, rows=300, columns=found)


def values(spec):
    return [row for layer in spec["layer"] for row in layer.get("data", {}).get("values", [])] + spec.get("data", {}).get(
        "values", []
    )


def test_performance_shows_each_window_with_its_interval_and_the_floor():
    windows = [performance(0, 0.7), performance(1, 0.5), performance(2, None), drift(3, {"a": 0.2})]
    spec = performance_chart(windows, "roc_auc", floor=0.65)
    shown = {(row["value"], row["verdict"]) for row in values(spec) if "verdict" in row}
    assert shown == {(0.7, "accepted"), (0.5, "beyond the floor")}
    assert {"floor": 0.65} in values(spec)
    assert vlc.vegalite_to_svg(spec).startswith("<svg")


def test_drift_shows_the_columns_that_went_furthest():
    windows = [drift(day, {f"c{i}": i / 100 for i in range(40)}) for day in range(3)]
    spec = drift_chart(windows, most=5)
    assert {row["column"] for row in values(spec)} == {"c35", "c36", "c37", "c38", "c39"}
    assert vlc.vegalite_to_svg(spec).startswith("<svg")


def test_charts_of_nothing_still_render():
    for spec in (performance_chart([], "roc_auc"), drift_chart([])):
        assert vlc.vegalite_to_svg(spec).startswith("<svg")
