"""Modelwright: the whole life of a machine-learning model, on one record.

import modelwright as mw

workspace = mw.connect()                  # the project around the working directory, or connect("http://...")
workspace.datasets.add("flights", "flights.csv")
with mw.start_run("delay"):               # a training script tells its run what it does, and never waits for that
    mw.log_metric("auc", 0.71)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.client import connect
    from modelwright.core.errors import ModelwrightError
    from modelwright.core.refs import Ref
    from modelwright.features import FeatureView
    from modelwright.pipelines import pipeline, step
    from modelwright.tracking import (
        active_run,
        autolog,
        end_run,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_input,
        log_metric,
        log_metrics,
        log_output,
        log_param,
        log_params,
        log_table,
        log_text,
        reproduce,
        set_tag,
        set_tags,
        start_run,
        watch,
    )
    from modelwright.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "FeatureView",
    "ModelwrightError",
    "Ref",
    "Workspace",
    "connect",
    "pipeline",
    "step",
    "active_run",
    "autolog",
    "end_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_output",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "reproduce",
    "set_tag",
    "set_tags",
    "start_run",
    "watch",
]

_HOMES = {
    "FeatureView": "modelwright.features",
    "ModelwrightError": "modelwright.core.errors",
    "Ref": "modelwright.core.refs",
    "Workspace": "modelwright.workspace",
    "connect": "modelwright.client",
    "pipeline": "modelwright.pipelines",
    "step": "modelwright.pipelines",
    "active_run": "modelwright.tracking",
    "autolog": "modelwright.tracking",
    "end_run": "modelwright.tracking",
    "log_artifact": "modelwright.tracking",
    "log_artifacts": "modelwright.tracking",
    "log_dict": "modelwright.tracking",
    "log_figure": "modelwright.tracking",
    "log_input": "modelwright.tracking",
    "log_metric": "modelwright.tracking",
    "log_metrics": "modelwright.tracking",
    "log_output": "modelwright.tracking",
    "log_param": "modelwright.tracking",
    "log_params": "modelwright.tracking",
    "log_table": "modelwright.tracking",
    "log_text": "modelwright.tracking",
    "reproduce": "modelwright.tracking",
    "set_tag": "modelwright.tracking",
    "set_tags": "modelwright.tracking",
    "start_run": "modelwright.tracking",
    "watch": "modelwright.tracking",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import modelwright` itself stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'modelwright' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
