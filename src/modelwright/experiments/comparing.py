"""Setting runs side by side: what is the same in all of them, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.experiments.directions import lower_is_better
from modelwright.experiments.records import Compared, Comparison, Metric, Run


def compared(runs: Sequence[Run]) -> Comparison:
    """The runs side by side, rows that differ first, each group by name."""
    params = [_param(name, runs) for name in sorted({name for run in runs for name in run.params})]
    metrics = [_metric(name, runs) for name in sorted({name for run in runs for name in run.metrics})]
    return Comparison(
        runs=list(runs),
        params=sorted(params, key=lambda row: row.same),
        metrics=sorted(metrics, key=lambda row: row.same),
    )


def best(metric: Metric) -> Any:
    """The best value that a run reached; its last, while every value is NaN."""
    found = metric.low if lower_is_better(metric.name) else metric.high
    return metric.value if found is None else found


def _param(name: str, runs: Sequence[Run]) -> Compared:
    values = [run.params.get(name) for run in runs]
    return Compared(name=name, values=values, same=_same(values, [name in run.params for run in runs]))


def _metric(name: str, runs: Sequence[Run]) -> Compared:
    found = [run.metrics.get(name) for run in runs]
    values = [None if each is None else each.value for each in found]
    bests = [None if each is None else best(each) for each in found]
    return Compared(
        name=name,
        values=values,
        best=bests,
        same=_same(values, [each is not None for each in found]),
        lower_is_better=lower_is_better(name),
    )


def _same(values: Sequence[Any], there: Sequence[bool]) -> bool:
    return all(there) and all(value == values[0] and type(value) is type(values[0]) for value in values)
