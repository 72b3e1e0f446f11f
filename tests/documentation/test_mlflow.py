"""The page on MLflow's protocol lists every endpoint, those that are not offered too, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mlflow.protos import databricks_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2

from modelwright.server.mlflow.application import mlflow_app
from modelwright.server.mlflow.unoffered import UNOFFERED
from modelwright.server.requests import Doorkeeper
from modelwright.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "mlflow.md"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PRESIGNED = {  # refused where the other endpoints of artifacts are
    ("GET", "/2.0/mlflow-artifacts/presigned/{path*}"),
    ("POST", "/2.0/mlflow/artifacts/presigned-upload-url"),
    ("POST", "/2.0/mlflow/artifacts/presigned-download-url"),
}
SERVICES = (
    service_pb2.MlflowService,
    model_registry_pb2.ModelRegistryService,
    mlflow_artifacts_pb2.MlflowArtifactsService,
    webhooks_pb2.WebhookService,
)


def known_to_the_client() -> set[tuple[str, str]]:
    """Every endpoint that the installed client's protocol has: its method, and its path with a word for each part."""
    found: set[tuple[str, str]] = set()
    for service in SERVICES:
        for method in service.DESCRIPTOR.methods:
            for each in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                found.add((each.method, f"/{each.since.major}.0/{re.sub(r'{[^}]*}', 'part', each.path).lstrip('/')}"))
    return found


def listed(heading: str) -> set[tuple[str, str]]:
    """The endpoints in the rows of the table with a heading: of each row the prefix, methods, and what follows them."""
    found: set[tuple[str, str]] = set()
    _, _, rest = PAGE.read_text("utf-8").partition(f"| prefix | {heading} |")
    for row in rest.partition("\n\n")[0].splitlines()[2:]:
        prefix, cell = (each.strip() for each in row.strip("|").split("|")[:2])
        for group in cell.split(";"):
            methods = [word for word in group.split() if word in METHODS]
            found |= {(method, prefix.strip("`") + path) for path in re.findall(r"`([^`]+)`", group) for method in methods}
    return found


@pytest.fixture
def endpoints(embedded: Workspace) -> set[tuple[str, str]]:
    assert embedded.home is not None
    return {(each.method, each.below) for each in mlflow_app(embedded, Doorkeeper(embedded.home, required=False)).endpoints}


def test_every_endpoint_that_is_offered_is_on_the_page(endpoints: set[tuple[str, str]]) -> None:
    assert listed("offered") == endpoints - set(UNOFFERED) - PRESIGNED


def test_every_endpoint_that_is_not_offered_is_on_the_page(endpoints: set[tuple[str, str]]) -> None:
    assert endpoints >= PRESIGNED
    assert listed("not offered | instead") == set(UNOFFERED) | PRESIGNED


def test_every_endpoint_that_the_client_knows_is_offered_or_refused_by_name(endpoints: set[tuple[str, str]]) -> None:
    known = known_to_the_client()
    assert len(known) > 100
    patterns = [
        (method, re.compile(re.sub(r"{[^}]*}", "[^/]+", re.sub(r"{\w+\*}", ".+", path)))) for method, path in endpoints
    ]
    unheard = {
        (method, path)
        for method, path in known
        if not any(method == each and pattern.fullmatch(path) for each, pattern in patterns)
    }
    assert unheard == set()
