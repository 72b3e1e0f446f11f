"""The inference data plane: loads model packages, checks batches, routes, answers over HTTP, logs every prediction.

It knows files and bytes, and no database, so that it fits a small image. What is live, and with what weight, is told to it
as a routing table (by `deployments`, upstairs); what it saw, it offers as counters and as a prediction log.

The records are plain; the rest needs NumPy, PyArrow or the web framework and is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright.core.later import on_demand
from modelwright.serving.records import Arm, Call, Extras, Format, Intake, Manifest, Route, Seal, Switch, Tally, Variant

if TYPE_CHECKING:
    from modelwright.serving.checks import check_batch, conform_outputs
    from modelwright.serving.days import LoggedDay, drop_logged, logged_day, logged_days
    from modelwright.serving.formats.objectives import gives_chances
    from modelwright.serving.http import PREFIXES, HttpSettings, create_app
    from modelwright.serving.loaders import Gainful, Predictor, check_seal, check_servable, load, telling_file
    from modelwright.serving.metrics import ServingMetrics
    from modelwright.serving.mlmodel import MlModel, native, read_mlmodel
    from modelwright.serving.plane import Answer, Plane
    from modelwright.serving.predictions import LogSettings, PredictionLog
    from modelwright.serving.seals import (
        private_key,
        public_key,
        public_pem,
        same_key,
        sign,
        signed_files,
        verify,
        verify_folder,
    )

_LAZY = {
    "check_batch": "checks",
    "conform_outputs": "checks",
    **dict.fromkeys(("LoggedDay", "drop_logged", "logged_day", "logged_days"), "days"),
    "Gainful": "loaders",
    "Predictor": "loaders",
    "check_seal": "loaders",
    "check_servable": "loaders",
    "gives_chances": "formats.objectives",
    "load": "loaders",
    "telling_file": "loaders",
    "MlModel": "mlmodel",
    "native": "mlmodel",
    "read_mlmodel": "mlmodel",
    **dict.fromkeys(("private_key", "public_key", "public_pem", "same_key", "sign"), "seals"),
    **dict.fromkeys(("signed_files", "verify", "verify_folder"), "seals"),
    "Answer": "plane",
    "Plane": "plane",
    "PREFIXES": "http",
    "HttpSettings": "http",
    "create_app": "http",
    "ServingMetrics": "metrics",
    "LogSettings": "predictions",
    "PredictionLog": "predictions",
}

__all__ = [
    "Answer",
    "Arm",
    "Call",
    "Extras",
    "Format",
    "Gainful",
    "HttpSettings",
    "Intake",
    "LogSettings",
    "LoggedDay",
    "Manifest",
    "MlModel",
    "Plane",
    "PREFIXES",
    "PredictionLog",
    "Predictor",
    "Route",
    "Seal",
    "ServingMetrics",
    "Switch",
    "Tally",
    "Variant",
    "check_batch",
    "drop_logged",
    "logged_day",
    "logged_days",
    "check_seal",
    "check_servable",
    "conform_outputs",
    "create_app",
    "gives_chances",
    "load",
    "telling_file",
    "native",
    "private_key",
    "public_key",
    "public_pem",
    "read_mlmodel",
    "same_key",
    "sign",
    "signed_files",
    "verify",
    "verify_folder",
]


__getattr__ = on_demand(__name__, _LAZY)
