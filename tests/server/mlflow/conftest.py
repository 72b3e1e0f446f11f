"""A server for MLflow's own client, one for each module of tests, on each database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwright.core.skops import skops_io
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a failure is to be seen at once
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")


class Served:
    """A workspace and the address that MLflow's client is given."""

    def __init__(self, here: Workspace, url: str) -> None:
        self.here = here
        self.url = url
        self.http = httpx.Client(base_url=url)

    def call(self, method: str, path: str, /, **fields: Any) -> httpx.Response:
        """A bare request below `/api/`: fields as the query of a GET, as JSON of anything else."""
        if method == "GET":
            return self.http.get(f"/api/{path}", params=fields)
        return self.http.request(method, f"/api/{path}", json=fields)


def _open(folder: Path, template: Path, database: str) -> Workspace:
    home = folder / ".modelwright"
    home.mkdir(parents=True, mode=0o700)
    if not database:
        shutil.copyfile(template, home / "workspace.db")
    settings = Settings(workspace=WorkspaceSettings(name="test", database=database), server=ServerSettings(turn_every=60.0))
    return open_workspace(folder, settings=settings)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Served]:
    """On SQLite: for what is the same on every database."""
    with _open(tmp_path_factory.mktemp("served") / "project", migrated_sqlite, "") as here, serving(here) as url:
        yield Served(here, url)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served_twice(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[Served]:
    """On SQLite and on PostgreSQL: for what depends on the database (searches, writes, races)."""
    folder, database = tmp_path_factory.mktemp("served") / "project", ""
    if request.param == "postgresql":
        database = request.getfixturevalue("module_postgres")
    with _open(folder, migrated_sqlite, database) as here, serving(here) as url:
        yield Served(here, url)


@pytest.fixture
def mlflow(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module `mlflow`, pointed at the server; whatever run a test leaves open is ended."""
    import mlflow

    skops_io()  # MLflow writes scikit-learn's models with it, and would bring PyTorch along

    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.url)
    mlflow.set_tracking_uri(served.url)
    mlflow.set_registry_uri(served.url)
    yield mlflow
    while mlflow.active_run() is not None:
        mlflow.end_run()


@pytest.fixture
def client(served: Served) -> Any:
    """MLflow's own client on the server."""
    from mlflow import MlflowClient

    return MlflowClient(served.url, served.url)
