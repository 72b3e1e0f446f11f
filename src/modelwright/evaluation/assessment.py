"""One pass over labels and scores: metrics, calibration, slices and comparison from the same redraws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.evaluation import slices as slicing
from modelwright.evaluation.calibration import calibration_of
from modelwright.evaluation.compare import compare, first
from modelwright.evaluation.intervals import Bootstrap, estimate
from modelwright.evaluation.metrics import PRIMARY, Array, Metric, Weigher, checked, metric, metrics_of
from modelwright.evaluation.records import Calibration, Estimate, EvaluationReport, Plan, Task

CHAMPION = "champion:"


def assess(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    plan: Plan = Plan(),
    threshold: float = 0.5,
    slices: Mapping[str, Any] | None = None,
    champion_scores: npt.ArrayLike | None = None,
    champion: Ref | None = None,
    groups: npt.ArrayLike | None = None,
) -> EvaluationReport:
    """Everything an evaluation finds, as a report that is bound to nothing yet.

    `slices` maps a column's name to its values, `groups` gives the cluster of each row where rows are not independent.
    `Invalid` for rows that cannot be evaluated; a figure that is undefined on them is in the report as such.
    """
    y, s = checked(labels, scores, plan.task)
    chosen, primary = _metrics(plan)
    data = slicing.Data(y, s, threshold)
    rival = None if champion_scores is None else slicing.Data(*checked(y, champion_scores, plan.task), threshold)
    found = slicing.parts(slices or {}, primary, data)

    figures: dict[str, Weigher] = {each.name: each.weigher(y, s, threshold=threshold) for each in chosen}
    if rival is not None:
        figures[CHAMPION + primary.name] = primary.weigher(y, rival.scores, threshold=threshold)
    bootstrap = Bootstrap(len(y), replicates=plan.replicates, seed=plan.seed, groups=groups)
    replicates = bootstrap.replicate(figures | slicing.figures(found))

    def estimated(key: str, of: Metric) -> Estimate:
        return estimate(
            figures[key],
            bootstrap,
            replicates[key],
            confidence=plan.confidence,
            method=plan.method,
            undefined=of.undefined,
        )

    metrics = {each.name: estimated(each.name, each) for each in chosen}
    whole = metrics[primary.name]
    return EvaluationReport(
        plan=plan,
        rows=len(y),
        positives=int(y.sum()) if plan.task is Task.BINARY else None,
        threshold=threshold,
        metrics=metrics,
        calibration=_calibration(y, s, plan),
        slices=slicing.judge(primary, whole, found, replicates, plan) if found else None,
        comparison=first(primary, whole, plan)
        if rival is None
        else compare(
            primary,
            whole,
            estimated(CHAMPION + primary.name, primary),
            replicates[primary.name],
            replicates[CHAMPION + primary.name],
            plan,
            against=champion,
        ),
        groups=None if groups is None else bootstrap.units,
    )


def _metrics(plan: Plan) -> tuple[list[Metric], Metric]:
    primary = PRIMARY[plan.task] if plan.primary is None else metric(plan.primary)
    chosen = metrics_of(plan.task) if plan.metrics is None else [metric(name) for name in plan.metrics]
    if primary not in chosen:
        chosen = [primary, *chosen]
    for each in chosen:
        if each.task is not plan.task:
            raise Invalid(f"{each.name} is a metric for a {each.task.value} task, not a {plan.task.value} one.")
    return chosen, primary


def _calibration(labels: Array, scores: Array, plan: Plan) -> Calibration | None:
    if plan.task is not Task.BINARY or scores.min() < 0 or scores.max() > 1:
        return None
    return calibration_of(labels, scores, bins=plan.bins, confidence=plan.confidence)


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, *, points: int = 200) -> list[tuple[float, float]]:
    """False and true positive rates as the threshold falls, thinned to about `points` for drawing."""
    y, s = checked(labels, scores, Task.BINARY)
    order = np.argsort(-s, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(s[order])), len(y) - 1)
    events = np.cumsum(y[order])[ends]
    others = ends + 1 - events
    if events[-1] == 0 or others[-1] == 0:
        return []
    keep = np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).astype(int))
    curve = zip(others[keep] / others[-1], events[keep] / events[-1], strict=True)
    return [(0.0, 0.0), *((float(x), float(up)) for x, up in curve)]
