"""Evaluation: what a model is worth on rows it has not seen, how sure that is, and for whom it is worse.

A library (metrics, intervals, calibration, slices, comparison, splits; each usable alone, on arrays) and a thin service
that puts what was found on the record. The library needs NumPy and is imported when one of its names is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright.core.later import on_demand
from modelwright.evaluation.records import (
    Bin,
    Calibration,
    Comparison,
    Direction,
    Estimate,
    EvaluationReport,
    Finding,
    Importance,
    Method,
    Outcome,
    Plan,
    Slice,
    Slices,
    SplitPart,
    SplitRecord,
    Task,
    Weight,
)
from modelwright.evaluation.service import Evaluation

if TYPE_CHECKING:
    from modelwright.evaluation.assessment import assess, roc_curve
    from modelwright.evaluation.calibration import calibration_of
    from modelwright.evaluation.charts import calibration_chart, roc_chart, slices_chart
    from modelwright.evaluation.compare import compare, mcnemar
    from modelwright.evaluation.importance import weigh
    from modelwright.evaluation.intervals import Bootstrap, estimate, interval, wilson
    from modelwright.evaluation.metrics import METRICS, Metric, metric, metrics_of
    from modelwright.evaluation.split import Split, split_by_share, split_by_time

_LIBRARY = {
    "assess": "assessment",
    "roc_curve": "assessment",
    "calibration_of": "calibration",
    "compare": "compare",
    "mcnemar": "compare",
    "calibration_chart": "charts",
    "roc_chart": "charts",
    "slices_chart": "charts",
    "Bootstrap": "intervals",
    "estimate": "intervals",
    "interval": "intervals",
    "wilson": "intervals",
    "weigh": "importance",
    "METRICS": "metrics",
    "Metric": "metrics",
    "metric": "metrics",
    "metrics_of": "metrics",
    "Split": "split",
    "split_by_share": "split",
    "split_by_time": "split",
}

__all__ = [
    "Evaluation",
    "Bin",
    "Calibration",
    "Comparison",
    "Direction",
    "Estimate",
    "EvaluationReport",
    "Finding",
    "Importance",
    "Method",
    "Outcome",
    "Plan",
    "Slice",
    "Slices",
    "SplitPart",
    "SplitRecord",
    "Task",
    "Weight",
    "assess",
    "roc_curve",
    "calibration_of",
    "compare",
    "mcnemar",
    "calibration_chart",
    "roc_chart",
    "slices_chart",
    "Bootstrap",
    "estimate",
    "interval",
    "wilson",
    "weigh",
    "METRICS",
    "Metric",
    "metric",
    "metrics_of",
    "Split",
    "split_by_share",
    "split_by_time",
]


__getattr__ = on_demand(__name__, _LIBRARY)
