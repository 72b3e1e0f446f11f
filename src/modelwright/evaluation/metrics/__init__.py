"""The metrics, one file for each family, and the register of them by name."""

from __future__ import annotations

from modelwright.core.errors import NotFound
from modelwright.evaluation.metrics.base import Array, Metric, Weigher, checked
from modelwright.evaluation.metrics.decision import ACCURACY, F1, PRECISION, RECALL
from modelwright.evaluation.metrics.probability import BRIER, ECE, LOG_LOSS
from modelwright.evaluation.metrics.ranking import AVERAGE_PRECISION, ROC_AUC
from modelwright.evaluation.metrics.regression import MAE, MEAN_ERROR, R2, RMSE
from modelwright.evaluation.records import Task

METRICS: dict[str, Metric] = {
    each.name: each
    for each in (
        ROC_AUC,
        AVERAGE_PRECISION,
        LOG_LOSS,
        BRIER,
        ECE,
        ACCURACY,
        PRECISION,
        RECALL,
        F1,
        MAE,
        RMSE,
        MEAN_ERROR,
        R2,
    )
}
PRIMARY = {Task.BINARY: ROC_AUC, Task.REGRESSION: MAE}


def metric(name: str) -> Metric:
    """The metric of a name, or `NotFound` with the names there are."""
    if name not in METRICS:
        raise NotFound(f"There is no metric {name!r}.", mend=f"The metrics are {', '.join(METRICS)}.")
    return METRICS[name]


def metrics_of(task: Task) -> list[Metric]:
    """Every metric of a task."""
    return [each for each in METRICS.values() if each.task is task]


__all__ = ["METRICS", "PRIMARY", "Array", "Metric", "Weigher", "checked", "metric", "metrics_of"]
