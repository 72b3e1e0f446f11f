"""The application: the endpoints of every resource, and those of MLflow's that are not offered here."""

from __future__ import annotations

from modelwright.server.api.routes import admitting
from modelwright.server.mlflow import (
    about,
    artifacts,
    logged_models,
    model_versions,
    registered_models,
    unoffered,
    webhooks,
)
from modelwright.server.mlflow.evalsets import EvalsetEndpoints
from modelwright.server.mlflow.experiments import ExperimentEndpoints
from modelwright.server.mlflow.metrics import MetricEndpoints
from modelwright.server.mlflow.otlp import Otlp
from modelwright.server.mlflow.routing import Endpoint, Mlflow
from modelwright.server.mlflow.runs import RunEndpoints
from modelwright.server.mlflow.scorers import ScorerEndpoints
from modelwright.server.mlflow.search import SearchEndpoints
from modelwright.server.mlflow.traces import TraceEndpoints
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.mlflow.users import Users
from modelwright.server.mlflow.version_files import VersionFiles
from modelwright.server.requests import Doorkeeper
from modelwright.server.transfer import Transfer
from modelwright.workspace import Workspace


def mlflow_app(workspace: Workspace, door: Doorkeeper) -> Mlflow:
    """Everything of MLflow's protocol over one workspace."""
    transfer = Transfer(door.home.objects, admitting(workspace, door))
    tracking = Tracking(workspace, door)
    offered: list[Endpoint] = [
        *about.endpoints(),
        *ExperimentEndpoints(tracking).endpoints(),
        *RunEndpoints(tracking).endpoints(),
        *MetricEndpoints(tracking).endpoints(),
        *SearchEndpoints(tracking).endpoints(),
        *artifacts.endpoints(workspace.artifacts, VersionFiles(workspace.models), transfer),
        *logged_models.endpoints(workspace.logged_models, workspace.artifacts, transfer),
        *TraceEndpoints(tracking).endpoints(),
        *Otlp(tracking).endpoints(),
        *EvalsetEndpoints(tracking).endpoints(),
        *ScorerEndpoints(tracking).endpoints(),
        *webhooks.endpoints(workspace),
        *registered_models.endpoints(workspace),
        *model_versions.endpoints(workspace, transfer),
        *Users(workspace).endpoints(),
    ]
    return Mlflow([*offered, *unoffered.endpoints(offered)], door)
