"""What a tracking server is asked in the benchmarks: requests in MLflow's protocol, stores filled with the same runs."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.cases import Measured, Setting
from benchmarks.servers import Server, mlflow, ours
from benchmarks.wire import Connection, request

API = "/api/2.0/mlflow"
SHIPPED, ONE_WORKER = "MLflow as shipped", "MLflow, one worker"
START = 1_700_000_000_000  # milliseconds: when the first of the generated runs began
METRICS, PARAMS, TAGS = 10, 10, 5  # of a generated run: 25 values
MODELS = ("forest", "boosted", "linear", "network")
SEARCH = "metrics.metric_0 < 0.5 and params.param_0 = 'boosted'"
ORDER = ["metrics.metric_1 DESC"]


class Told(NamedTuple):
    """One generated run."""

    id: str
    name: str
    start: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


def three(stack: ExitStack, setting: Setting) -> dict[str, Server]:
    """Our server under `ours`, and MLflow's in both modes, each with a store of its own."""
    return {
        "ours": stack.enter_context(ours(setting.folder / "ours")),
        SHIPPED: stack.enter_context(mlflow(setting.folder / "shipped")),
        ONE_WORKER: stack.enter_context(mlflow(setting.folder / "one-worker", workers=1)),
    }


def post(path: str, body: Any) -> bytes:
    """The bytes of a POST to `/api/2.0/mlflow/...`."""
    return request("POST", f"{API}/{path}", body)


def new_experiment(connection: Connection, name: str) -> str:
    """Create an experiment; its id."""
    identity: str = connection.ask(post("experiments/create", {"name": name})).json()["experiment_id"]
    return identity


def new_run(connection: Connection, experiment: str) -> dict[str, Any]:
    """Create a run; what the server says of it."""
    info: dict[str, Any] = connection.ask(create_run(experiment, 0)).json()["run"]["info"]
    return info


def create_run(experiment: str, number: int) -> bytes:
    """A request as the client sends it when a run begins: with the four tags that it always has."""
    tags = {
        "mlflow.user": "ada",
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.runName": f"run-{number}",
    }
    body = {
        "experiment_id": experiment,
        "user_id": "ada",
        "run_name": f"run-{number}",
        "start_time": START + number,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return post("runs/create", body)


def log_metric(run: str, step: int) -> bytes:
    """One point of one metric."""
    return post(
        "runs/log-metric",
        {"run_id": run, "key": "loss", "value": 1 / (step + 1), "timestamp": START + step, "step": step},
    )


def log_batch(run: str, number: int, *, names: int = 50, steps: int = 20) -> bytes:
    """A thousand points: fifty metrics at twenty steps that no batch before had."""
    first = number * steps
    points = [
        {
            "key": f"metric_{name}",
            "value": 1 / (first + step + name + 1),
            "timestamp": START + first + step,
            "step": first + step,
        }
        for step in range(steps)
        for name in range(names)
    ]
    return post("runs/log-batch", {"run_id": run, "metrics": points})


def generated(count: int) -> Iterator[Told]:
    """Runs of 25 values, the same ones each time."""
    seeded = random.Random(7)
    for number in range(count):
        params = {f"param_{i}": str(seeded.randrange(100)) for i in range(1, PARAMS)}
        yield Told(
            id=f"{seeded.getrandbits(128):032x}",
            name=f"run-{number}",
            start=START + number * 1000,
            metrics={f"metric_{i}": seeded.random() for i in range(METRICS)},
            params={"param_0": MODELS[number % len(MODELS)], **params},
            tags={
                "mlflow.user": "ada",
                "mlflow.source.name": "train.py",
                "mlflow.source.type": "LOCAL",
                "mlflow.runName": f"run-{number}",
                "team": f"team-{number % 7}",
            },
        )


def fill_mlflow(database: Path, count: int, *, experiment: int = 0) -> None:
    """Write runs straight into a database that MLflow has made, with the rows that its own store would have written."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        batches = generated(count)
        while batch := list(itertools.islice(batches, 5_000)):
            connection.executemany(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
                " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
                " VALUES (?, ?, 'UNKNOWN', '', '', 'ada', 'FINISHED', ?, ?, '', 'active', ?, ?)",
                [
                    (
                        each.id,
                        each.name,
                        each.start,
                        each.start + 900,
                        f"mlflow-artifacts:/0/{each.id}/artifacts",
                        experiment,
                    )
                    for each in batch
                ],
            )
            points = [(key, value, each.start, each.id, 1) for each in batch for key, value in each.metrics.items()]
            for table in ("metrics", "latest_metrics"):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)", points
                )
            for table, of in (("params", "params"), ("tags", "tags")):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)",
                    [(key, value, each.id) for each in batch for key, value in getattr(each, of).items()],
                )
    connection.close()


def fill_ours(project: Path, database: Path) -> None:
    """Bring a database of MLflow's over into a folder of ours, as whoever changes sides does."""
    (project / "modelwright.toml").touch()
    command = [sys.executable, "-m", "modelwright.cli", "import", "mlflow", f"sqlite:///{database}"]
    subprocess.run([*command, "--artifacts", str(project)], cwd=project, check=True, stdout=subprocess.DEVNULL)


def analyse(database: Path) -> None:
    """Let SQLite count what is in the tables, as whoever runs a large server would."""
    connection = sqlite3.connect(database)
    connection.execute("ANALYZE")
    connection.close()


def search(experiment: str, *, limit: int = 100, filtered: bool = True) -> bytes:
    """A search: with two filters and an order, or for the newest runs."""
    body: dict[str, Any] = {"experiment_ids": [experiment], "max_results": limit}
    if filtered:
        body |= {"filter": SEARCH, "order_by": ORDER}
    return post("runs/search", body)


def history(connection: Connection, run: str, key: str) -> int:
    """Ask for all pages of a curve; how many points came."""
    token, count = "", 0
    while True:
        path = f"{API}/metrics/get-history?run_id={run}&metric_key={key}&max_results=25000"
        answer = connection.ask(request("GET", path + (f"&page_token={token}" if token else ""))).json()
        count += len(answer.get("metrics", ()))
        token = answer.get("next_page_token", "")
        if not token:
            return count


def each_server(servers: dict[str, Server], make: Callable[[Server], Callable[[Any], object]]) -> dict[str, Any]:
    """The arguments `run` and `peers` of a case, alike for every server; while one is measured, the others stand still."""
    made = {name: _alone(servers, name, make(server)) for name, server in servers.items()}
    return {"run": made.pop("ours"), "peers": made}


def _alone(servers: dict[str, Server], name: str, work: Callable[[Any], object]) -> Callable[[Any], Measured]:
    def measured(given: Any) -> Measured:
        for other, server in servers.items():
            if other != name:
                server.halt()
        servers[name].go_on()
        began = perf_counter()
        told = work(given)
        return told if isinstance(told, Measured) else Measured(perf_counter() - began)

    return measured
