"""From the rows of one window to its result: columns against the reference, answers against labels. Pure, on tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.evaluation import assess, metric
from modelwright.evaluation.records import Direction, Estimate, Plan, Task
from modelwright.monitoring.decision import OUTCOMES, significant
from modelwright.monitoring.detectors import REGISTRY, Values, values_of
from modelwright.monitoring.detectors.edetector import EDetector
from modelwright.monitoring.ports import AT, ID, MODEL, OWN
from modelwright.monitoring.records import Aspect, ColumnResult, PerformanceRule, Watch, WatchedColumn, WindowResult
from modelwright.monitoring.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

REPLICATES = 300  # of the bootstrap: enough for a 95 % interval that is looked at, not reported


@dataclass(frozen=True)
class Reference:
    """The columns that windows are compared with, and what a reader should know about them."""

    columns: Mapping[str, Values]
    notes: Sequence[str] = ()


def reference_of(table: pa.Table) -> Reference:
    """The columns of a reference, ready to be compared with, without those that only identify a prediction."""
    return Reference({name: values_of(table.column(name)) for name in table.column_names if name not in OWN})


def within(table: pa.Table, window: Window) -> pa.Table:
    """The rows whose event time lies in the window."""
    import pyarrow as pa
    import pyarrow.compute as pc

    start, end = (pa.scalar(moment, pa.timestamp("us", "UTC")) for moment in (window.start, window.end))
    times = table.column(AT)
    return table.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))


def main_version(rows: pa.Table) -> tuple[Ref | None, pa.Table, list[str]]:
    """The version that answered most rows, its rows, and a note on those that others answered."""
    import pyarrow.compute as pc

    often = Counter(rows.column(MODEL).to_pylist())
    if not often:
        return None, rows, []
    name, count = often.most_common(1)[0]
    if count == rows.num_rows:
        return Ref.parse(name), rows, []
    notes = others_left_out(rows.num_rows - count)
    return Ref.parse(name), rows.filter(pc.equal(rows.column(MODEL), name)), notes


def others_left_out(count: int) -> list[str]:
    """What is said of rows that other versions answered."""
    return [f"{count} rows that other versions answered are left out."] if count else []


# Drift


def judge_drift(window: Window, rows: pa.Table, reference: Reference, watch: Watch) -> WindowResult:
    """Every watched column of the window against the reference, the false discovery rate held over all of them."""
    model, rows, notes = main_version(rows)
    held = reference.columns
    wanted = {each.name for each in watch.columns} or set(rows.column_names)
    here = [name for name in rows.column_names if name in held and name in wanted and name not in OWN]
    samples = {name: values_of(rows.column(name), held[name].kind) for name in here}
    return judge_samples(window, model, rows.num_rows, samples, reference, watch, notes, named=rows.column_names)


def judge_samples(
    window: Window,
    model: Ref | None,
    rows: int,
    samples: Mapping[str, Values],
    reference: Reference,
    watch: Watch,
    notes: Sequence[str] = (),
    *,
    named: Sequence[str] | None = None,
) -> WindowResult:
    """The same for columns that are samples already; `named` are all columns that the window has, by default those."""
    held = reference.columns
    columns, absent = _watched(list(samples) if named is None else named, held, watch)
    told = [*notes, *reference.notes, *(f"{name} is not in the {side}." for name, side in absent)]
    found = {c.name: REGISTRY[_detector(c, samples[c.name])].compare(held[c.name], samples[c.name]) for c in columns}
    beyond_chance = significant(found, watch.false_discovery_rate)
    results = [
        ColumnResult(
            column=c.name,
            detector=(detector := _detector(c, samples[c.name])),
            effect=found[c.name].effect,
            floor=REGISTRY[detector].floor if c.floor is None else c.floor,
            p_value=found[c.name].p_value,
            significant=c.name in beyond_chance,
            missing=samples[c.name].missing / samples[c.name].rows if samples[c.name].rows else 0.0,
        )
        for c in columns
    ]
    return WindowResult(
        aspect=Aspect.DRIFT,
        start=window.start,
        end=window.end,
        rows=rows,
        model=model,
        columns=results,
        findings=sorted(result.column for result in results if result.drifted),
        notes=told,
    )


def _watched(
    named: Sequence[str], reference: Mapping[str, Values], watch: Watch
) -> tuple[list[WatchedColumn], list[tuple[str, str]]]:
    if not watch.columns:
        shared = [name for name in named if name in reference and name not in OWN]
        return [WatchedColumn(name=name) for name in shared], []
    here = set(named)
    absent = [(c.name, "reference" if c.name in here else "predictions") for c in watch.columns]
    there = [c for c in watch.columns if c.name in here and c.name in reference]
    known = {c.name for c in there}
    return there, [(name, side) for name, side in absent if name not in known]


def _detector(column: WatchedColumn, values: Values) -> str:
    """The detector asked for, or, where it does not read this kind of column, the one that reads every kind."""
    return column.detector if values.kind in REGISTRY[column.detector].kinds else "psi"


# Performance


def judge_performance(
    window: Window, rows: pa.Table, labels: Mapping[str, float | None], rule: PerformanceRule
) -> WindowResult:
    """The answers of the window against the labels known so far: metrics with intervals, and those beyond their floor."""
    model, rows, notes = main_version(rows)
    truth, scores = joined(rows, labels, rule)
    result = WindowResult(
        aspect=Aspect.PERFORMANCE,
        start=window.start,
        end=window.end,
        rows=rows.num_rows,
        model=model,
        labelled=len(truth),
        notes=notes,
    )
    if not len(truth):
        return replace(result, notes=[*notes, "No label is known."])
    names = list(dict.fromkeys([*rule.metrics, *rule.floors])) or None
    plan = Plan(task=rule.task, metrics=names, primary=names[0] if names else None, replicates=REPLICATES)
    metrics = assess(truth, scores, plan=plan, threshold=rule.threshold).metrics
    return replace(result, metrics=metrics, findings=_below(metrics, rule.floors))


def joined(
    rows: pa.Table, labels: Mapping[str, float | None], rule: PerformanceRule
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Labels and scores of the rows whose label is known, in order of event time; two arrays of one length."""
    if rows.num_rows and rule.output not in rows.column_names:
        raise Invalid(
            f"The predictions have no output {rule.output!r}.",
            mend=f"They have {', '.join(name for name in rows.column_names if name not in OWN)}.",
        )
    pairs = []
    if rows.num_rows:
        for identity, score in zip(rows.column(ID).to_pylist(), rows.column(rule.output).to_pylist(), strict=True):
            label = labels.get(identity)
            if label is not None and score is not None:
                pairs.append((float(label), float(score)))
    table = np.array(pairs, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def outcomes(rows: pa.Table, labels: Mapping[str, float | None], rule: PerformanceRule) -> dict[str, tuple[int, int]]:
    """By model version: how many of its answers have a label, and how many of these were wrong. For a yes or a no."""
    import pyarrow.compute as pc

    counted = {}
    for model in pc.unique(rows.column(MODEL)).to_pylist():
        truth, scores = joined(rows.filter(pc.equal(rows.column(MODEL), model)), labels, rule)
        counted[model] = (len(truth), int(np.sum((scores >= rule.threshold) != (truth >= 0.5))))
    return counted


def watch_outcomes(
    detector: EDetector, truth: Sequence[float], scores: Sequence[float], rule: PerformanceRule
) -> EDetector:
    """The watch over single outcomes after these, in order. Only for a yes or a no."""
    if rule.task is not Task.BINARY:
        raise Invalid("Single outcomes can be watched for a binary task only.", mend="Leave `expected_error` out.")
    return detector.after((score >= rule.threshold) != (label >= 0.5) for label, score in zip(truth, scores, strict=True))


def with_outcomes(result: WindowResult, detector: EDetector) -> WindowResult:
    """The result with what the watch over single outcomes says."""
    said = Estimate(value=detector.e_value, n=detector.seen, note=f"alarm at {detector.run_length:g}")
    findings = sorted({*result.findings, OUTCOMES}) if detector.alarmed else result.findings
    return replace(result, metrics=result.metrics | {OUTCOMES: said}, findings=findings)


def _below(metrics: Mapping[str, Estimate], floors: Mapping[str, float]) -> list[str]:
    """The metrics whose whole interval lies beyond what is accepted."""
    beyond = []
    for name, floor in floors.items():
        low, high = metrics[name].low, metrics[name].high
        if low is None or high is None:
            continue
        direction = metric(name).direction
        too_low, too_high = high < floor, low > floor
        if direction is Direction.HIGHER:
            bad = too_low
        elif direction is Direction.LOWER:
            bad = too_high
        else:
            bad = low > abs(floor) or high < -abs(floor)
        if bad:
            beyond.append(name)
    return sorted(beyond)
