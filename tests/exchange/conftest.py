"""A store of MLflow's, made by the real client: every test works on a copy of it."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from modelwright.exchange import open_target
from tests.waiting import eventually, kept_port

LONG = 50_001  # points of one curve: more than go in one call
FEWER = 1500  # of them where it is not about that


class Store(NamedTuple):
    """A copy of the store."""

    folder: Path
    runs: dict[str, str]  # ids by what they are here for

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def empty(self) -> Path:
        """The database as MLflow made it for an export, without a row; of the original only."""
        return self.folder.with_name("empty") / "mlflow.db"

    @property
    def artifacts(self) -> str:
        return str(self.folder / "artifacts")

    def sql(self, statement: str, *values: Any) -> None:
        with sqlite3.connect(self.folder / "mlflow.db") as connection:
            connection.execute(statement, values)
        connection.close()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Made once, by whichever worker comes first: MLflow takes seconds to make its tables."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        store = tmp_path_factory.mktemp("mlflow") / "store"
        store.mkdir()
        return _made(store)
    shared = tmp_path_factory.getbasetemp().parent / "mlflow"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = shared / "runs.json"
        if not runs.exists():
            (shared / "store").mkdir()
            runs.write_text(json.dumps(_made(shared / "store").runs))
    return Store(shared / "store", json.loads(runs.read_text()))


def _made(folder: Path) -> Store:
    """MLflow makes its tables once, for an export; a copy of them is filled."""
    empty = folder.with_name("empty")
    open_target(str(empty)).close()
    shutil.copyfile(empty / "mlflow.db", folder / "mlflow.db")
    with sqlite3.connect(folder / "mlflow.db") as connection:
        connection.execute("PRAGMA application_id = 0")  # what says that an export made it
    connection.close()
    before = Path.cwd()
    os.chdir(folder)
    try:
        return Store(folder, _fill(folder))
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def shortened(original: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same with the end of the long curve only: to read and write all of it takes longer than the rest of a test."""
    short = Store(shutil.copytree(original.folder, tmp_path_factory.mktemp("mlflow") / "shortened"), original.runs)
    short.sql("DELETE FROM metrics WHERE run_uuid = ? AND step < ?", short.runs["long"], LONG - FEWER)
    short.sql("VACUUM")
    return short


@pytest.fixture
def store(shortened: Store, tmp_path: Path) -> Store:
    """A copy that a test may change. Its artifacts are where the database does not say: below `artifacts`."""
    return Store(shutil.copytree(shortened.folder, tmp_path / "theirs"), shortened.runs)


@pytest.fixture
def whole_store(original: Store, tmp_path: Path) -> Store:
    """A copy with the whole of the long curve."""
    return Store(shutil.copytree(original.folder, tmp_path / "theirs"), original.runs)


def _fill(folder: Path) -> dict[str, str]:
    import mlflow
    from mlflow import MlflowClient
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Metric, Param, RunTag

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient()
    artifacts = folder / "artifacts"
    churn = client.create_experiment("Churn, 2026", artifact_location=str(artifacts / "1"), tags={"team": "growth"})
    old = client.create_experiment("old", artifact_location=str(artifacts / "2"))

    runs: dict[str, str] = {}
    full = client.create_run(churn, start_time=1_700_000_000_123, run_name="first try", tags={"mlflow.user": "ada"})
    runs["full"] = identity = full.info.run_id
    points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(500)]
    odd = [
        Metric("odd", math.nan, 1_700_000_000_001, 0),
        Metric("odd", math.inf, 1_700_000_000_002, 1),
        Metric("odd", -3.5, 1_700_000_000_003, -2),
        Metric("val loss", 0.25, 1_700_000_000_004, 7),
        Metric("only nan", math.nan, 1_700_000_000_005, 0),
    ]
    client.log_batch(
        identity, metrics=points + odd, params=[Param("depth", "6"), Param("empty", ""), Param("long", "x" * 5000)]
    )
    client.log_batch(
        identity, metrics=odd[:1], tags=[RunTag("note", "ünï ✓ 'quoted'"), RunTag("mlflow.note.content", "a" * 300)]
    )
    client.log_text(identity, "hello", "notes/read me.txt")
    client.log_text(identity, "<svg/>", "plots/roc.svg")
    client.log_dict(identity, {"a": [1, 2]}, "config.json")
    source = HTTPDatasetSource("https://example.com/churn.csv")
    with mlflow.start_run(run_id=identity):
        mlflow.log_input(MetaDataset(source, name="churn", digest="abc123"), context="training", tags={"k": "v"})
    client.set_terminated(identity, "FINISHED", end_time=1_700_000_100_456)

    nested = client.create_run(churn, run_name="child", tags={"mlflow.parentRunId": identity})
    runs["failed"] = nested.info.run_id
    client.set_terminated(nested.info.run_id, "FAILED")
    runs["running"] = client.create_run(churn, run_name="still at it").info.run_id
    client.log_metric(runs["running"], "loss", 0.5, step=1)
    gone = client.create_run(churn, run_name="mistake")
    runs["deleted"] = gone.info.run_id
    client.log_param(gone.info.run_id, "depth", 1)
    client.log_text(gone.info.run_id, "still here", "why.txt")
    client.delete_run(gone.info.run_id)
    runs["in deleted"] = client.create_run(old, run_name="ancient").info.run_id
    client.log_metric(runs["in deleted"], "loss", 2.0)
    client.delete_experiment(old)
    _trace(mlflow, client, churn, runs)

    runs["long"] = client.create_run(churn, run_name="long").info.run_id
    with sqlite3.connect(folder / "mlflow.db") as connection:
        rows = [("loss", step / 7, 1_700_000_000_000 + step, runs["long"], step, 0) for step in range(LONG)]
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        connection.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", rows[-1]
        )
    connection.close()

    _models(mlflow, client, churn, runs)
    return runs


def _trace(mlflow: Any, client: Any, experiment: str, runs: dict[str, str]) -> None:
    """Two traces: one of two steps, which was judged and is linked to a run; and one that failed."""
    from mlflow.entities import AssessmentSource

    @mlflow.trace(name="look up")
    def look_up(question: str) -> dict[str, Any]:
        return {"found": [1, 2.5, None], "question": question}

    @mlflow.trace(name="answer", attributes={"temperature": 0.5})
    def answer(question: str) -> str:
        mlflow.update_current_trace(tags={"team": "growth"})
        found = look_up(question)["found"]
        if question == "fail":
            raise ValueError("no idea")
        return f"{len(found)} things"

    mlflow.set_experiment(experiment_id=experiment)
    answer("why?")
    runs["trace"] = mlflow.get_last_active_trace_id()
    with suppress(ValueError):
        answer("fail")
    runs["failed trace"] = mlflow.get_last_active_trace_id()
    mlflow.flush_trace_async_logging()
    human = AssessmentSource(source_type="HUMAN", source_id="ada")
    mlflow.log_feedback(trace_id=runs["trace"], name="helpful", value=True, rationale="short", source=human)
    mlflow.log_expectation(trace_id=runs["trace"], name="expected", value={"things": 3}, source=human)
    client.link_traces_to_run([runs["trace"]], runs["full"])


def _models(mlflow: Any, client: Any, experiment: str, runs: dict[str, str]) -> None:
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(experiment_id=experiment)
    with mlflow.start_run(run_name="model") as run:
        runs["model"] = run.info.run_id
        fitted = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
        logged = mlflow.sklearn.log_model(
            fitted, name="churn", pip_requirements=["scikit-learn"], params={"C": 1.0}, tags={"kind": "linear"}
        )
        mlflow.log_metric("auc", 0.9, step=3, model_id=logged.model_id)
    runs["logged model"] = logged.model_id
    client.create_registered_model("churn", tags={"owner": "ada"}, description="Who leaves.")
    for number in (1, 2, 3):
        client.create_model_version(
            "churn", f"models:/{logged.model_id}", run.info.run_id, tags={"n": str(number)}, model_id=logged.model_id,
            description=f"the {number}th",
        )  # fmt: skip
    client.delete_model_version("churn", "2")
    client.set_registered_model_alias("churn", "shadow", "1")
    client.set_registered_model_alias("churn", "champion", "3")
    client.transition_model_version_stage("churn", "3", "Production")
    client.create_registered_model("Fraud detector")
    client.create_model_version("Fraud detector", "https://models.example.com/fraud/1")
    client.register_prompt("greeting", "Hello, {{name}}")
    for thread in threading.enumerate():  # it goes on writing beside, and whoever copied the file meanwhile had half of it
        if thread.name.startswith("link_prompt"):
            thread.join()


@pytest.fixture
def served(store: Store) -> Iterator[str]:
    """MLflow's own server over the store."""
    with running(store.folder) as url:
        yield url


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """MLflow's own server over the database in a folder; its address.

    It is what `mlflow server` starts, in a process that begins as a copy of this one: to import MLflow anew takes it longer
    than everything that it is asked here.
    """
    import mlflow  # noqa: F401 - so that the copy has it already

    with kept_port() as port:
        database = f"sqlite:///{folder / 'mlflow.db'}"
        quiet = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "_MLFLOW_SERVER_FILE_STORE": database,
            "_MLFLOW_SERVER_REGISTRY_STORE": database,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "proxied"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
        server = get_context("fork").Process(target=_serve, args=(folder, port, quiet), daemon=True)
        server.start()
        url = f"http://127.0.0.1:{port}"
        try:

            def answers() -> bool:
                assert server.is_alive(), (folder / "log").read_text()[-2000:]
                with suppress(httpx.HTTPError):
                    return bool(httpx.get(f"{url}/health").text)
                return False

            eventually(answers, "A start of MLflow's server", within=600)
            yield url
        finally:
            server.terminate()
            server.join(30)


def _serve(folder: Path, port: int, environment: dict[str, str]) -> None:
    import uvicorn

    os.chdir(folder)
    os.environ.update(environment)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    uvicorn.run("mlflow.server.fastapi_app:app", port=port)
