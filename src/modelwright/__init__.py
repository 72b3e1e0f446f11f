"""Modelwright: the whole life of a machine-learning model, on one record.

import modelwright as mw

workspace = mw.connect()                  # the project around the working directory, or connect("http://...")
workspace.datasets.add("flights", "flights.csv")
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
    from modelwright.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["FeatureView", "ModelwrightError", "Ref", "Workspace", "connect", "pipeline", "step"]

_HOMES = {
    "FeatureView": "modelwright.features",
    "ModelwrightError": "modelwright.core.errors",
    "Ref": "modelwright.core.refs",
    "Workspace": "modelwright.workspace",
    "connect": "modelwright.client",
    "pipeline": "modelwright.pipelines",
    "step": "modelwright.pipelines",
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
