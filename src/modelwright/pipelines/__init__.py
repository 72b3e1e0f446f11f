"""Pipelines: steps joined into a graph, results reused while nothing that made them changed, runs that survive a kill.

`step` and `pipeline` are the decorators of a project's `pipeline.py`; `Pipelines` is the service, `Triggers` the one for
what sets pipelines off.
"""

from modelwright.pipelines.context import Context
from modelwright.pipelines.graph import Pipeline, Step, pipeline, step
from modelwright.pipelines.loading import load_pipelines
from modelwright.pipelines.service import Pipelines, PipelineSettings
from modelwright.pipelines.triggers import PipelineReconciler, Starter, Trigger, Triggers
from modelwright.pipelines.worker import ExecutionResult

__all__ = [
    "Context",
    "ExecutionResult",
    "Pipeline",
    "PipelineReconciler",
    "PipelineSettings",
    "Pipelines",
    "Starter",
    "Step",
    "Trigger",
    "Triggers",
    "load_pipelines",
    "pipeline",
    "step",
]
