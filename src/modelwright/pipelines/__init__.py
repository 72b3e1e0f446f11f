"""Pipelines: steps joined into a graph, results reused while nothing that made them changed, runs that survive a kill.

`step` and `pipeline` are the decorators of a project's `pipeline.py`; `Pipelines` is the service.
"""

from modelwright.pipelines.context import Context
from modelwright.pipelines.graph import Pipeline, Step, pipeline, step
from modelwright.pipelines.loading import load_pipelines
from modelwright.pipelines.service import Pipelines

__all__ = ["Context", "Pipeline", "Pipelines", "Step", "load_pipelines", "pipeline", "step"]
