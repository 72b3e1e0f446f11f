"""Experiments: runs with their parameters, metrics, artifacts, and what it takes to repeat them.

`Experiments` is the service, `ActiveRun` the handle that a running script logs through.
"""

from modelwright.experiments.records import (
    Artifact,
    Capture,
    Comparison,
    Curve,
    DatasetRead,
    Experiment,
    Lifecycle,
    Metric,
    ModelRole,
    ModelUse,
    Point,
    Run,
    RunStatus,
)
from modelwright.experiments.service import Experiments
from modelwright.experiments.tracking import ActiveRun

__all__ = [
    "ActiveRun",
    "Artifact",
    "Capture",
    "Comparison",
    "Curve",
    "DatasetRead",
    "Experiment",
    "Experiments",
    "Lifecycle",
    "Metric",
    "ModelRole",
    "ModelUse",
    "Point",
    "Run",
    "RunStatus",
]
