"""The application: the endpoints of every resource, and those of MLflow's that are not offered here."""

from __future__ import annotations

from modelwright.server.mlflow import about, unoffered
from modelwright.server.mlflow.routing import Endpoint, Mlflow
from modelwright.server.requests import Doorkeeper
from modelwright.workspace import Workspace


def mlflow_app(workspace: Workspace, door: Doorkeeper) -> Mlflow:
    """Everything of MLflow's protocol over one workspace."""
    offered: list[Endpoint] = [*about.endpoints()]
    return Mlflow([*offered, *unoffered.endpoints(offered)], door)
