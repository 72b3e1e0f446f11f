"""The hot calls of training by the shortcut of heads that came before: answered as they are the long way."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from modelwright.core.refs import Kind, Ref
from modelwright.server.app import create_app
from modelwright.server.mlflow.runs import HOT
from modelwright.server.shortcuts import fit
from modelwright.workspace import Workspace
from tests.waiting import LONG

API = "/api/2.0/mlflow/"


class Wire:
    """A kept connection that sends the same head whenever it may, head and body in one packet."""

    def __init__(self, url: str, token: str = "") -> None:
        where = urlsplit(url)
        self._host, self._token = where.netloc, token
        self._socket = socket.create_connection((where.hostname, where.port), timeout=LONG)
        self._file = self._socket.makefile("rb")

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        signed = f"Authorization: Bearer {self._token}\r\n" if self._token else ""
        head = f"POST {API}{path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n{signed}"
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, json.loads(self._file.read(int(headers["content-length"])))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def wire(served: Any) -> Iterator[Wire]:
    made = Wire(served.url)
    yield made
    made.close()


def body(**fields: Any) -> bytes:
    """JSON of one length whatever it says, so that the head stays the same."""
    return json.dumps(fields).encode().ljust(600)


def scope(path: str, method: str = "POST", query: bytes = b"") -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"content-length", b"2")]
    return {"path": path, "method": method, "query_string": query, "headers": headers, "client": ("127.0.0.1", 1)}


def test_the_calls_of_training_have_a_shortcut_and_no_others(embedded: Workspace) -> None:
    guard = create_app(embedded)
    assert all(guard.shortcut(scope(f"{API}runs/{name}")) is not None for name in HOT)
    for other in ("runs/search", "runs/delete", "runs/nothing", "experiments/create", "registered-models/create"):
        assert guard.shortcut(scope(API + other)) is None
    assert guard.shortcut(scope(f"{API}runs/create", query=b"a=b")) is None
    assert guard.shortcut(scope(f"{API}runs/create", method="GET")) is None


def test_what_mlflows_own_client_sends_is_fit_for_the_shortcut(mlflow: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as beside:

        def answered() -> bytes:
            connection, _ = listener.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            return head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

        head = beside.submit(answered)
        mlflow.MlflowClient(f"http://127.0.0.1:{listener.getsockname()[1]}").log_metric("a" * 32, "loss", 1.0)
        lines = head.result(LONG).split(b"\r\n")[1:-2]
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    assert fit(head.result(), {"method": "POST", "http_version": "1.1", "headers": headers})


def test_what_is_written_by_the_shortcut_is_there_as_what_is_written_the_long_way(served: Any, wire: Wire) -> None:
    experiment = served.call("POST", "2.0/mlflow/experiments/create", name="hurried").json()["experiment_id"]
    begun = [{"run_name": f"run {n}", "tags": [{"key": "n", "value": str(n)}]} for n in range(4)]
    made = [wire.post("runs/create", body(experiment_id=experiment, **each)) for each in begun]
    assert [status for status, _, _ in made] == [200] * 4
    shown = [found["run"]["info"]["run_name"] for _, _, found in made]
    assert shown == [f"run {n}" for n in range(4)]
    run = made[3][2]["run"]["info"]["run_id"]
    for step in range(4):
        point = body(run_id=run, key="loss", value=step / 2, timestamp=1_700_000_000_000 + step, step=step)
        assert wire.post("runs/log-metric", point)[::2] == (200, {})
        batch = body(run_id=run, params=[{"key": f"p{step}", "value": "1"}], tags=[{"key": f"t{step}", "value": "é"}])
        assert wire.post("runs/log-batch", batch)[::2] == (200, {})
        assert wire.post("runs/set-tag", body(run_id=run, key="last", value=str(step)))[0] == 200
        assert wire.post("runs/log-parameter", body(run_id=run, key=f"q{step}", value="2"))[0] == 200
    found = served.call("GET", "2.0/mlflow/runs/get", run_id=run).json()["run"]["data"]
    assert {each["key"] for each in found["params"]} == {f"{letter}{n}" for letter in "pq" for n in range(4)}
    tags = {each["key"]: each["value"] for each in found["tags"]}
    assert (tags["last"], tags["t3"], tags["n"]) == ("3", "é", "3")
    history = served.call("GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="loss").json()["metrics"]
    assert [each["value"] for each in history] == [0, 0.5, 1, 1.5]
    assert len(served.here.record.history(Ref(Kind.RUN, run)).items) == 1


def test_mistakes_are_told_in_the_same_words_and_headers(served: Any, wire: Wire) -> None:
    experiment = served.call("POST", "2.0/mlflow/experiments/create", name="mistaken").json()["experiment_id"]
    run = wire.post("runs/create", body(experiment_id=experiment))[2]["run"]["info"]["run_id"]
    wire.post("runs/log-parameter", body(run_id=run, key="lr", value="1"))
    gone = wire.post("runs/create", body(experiment_id=experiment))[2]["run"]["info"]["run_id"]
    served.call("POST", "2.0/mlflow/runs/delete", run_id=gone)
    wrong = [
        ("runs/log-metric", body(run_id="nothing", key="a", value=1, timestamp=1)),
        ("runs/log-metric", body(run_id=run, key="", value=1, timestamp=1)),
        ("runs/log-metric", body(run_id=run, key="a", value="much", timestamp=1)),
        ("runs/log-metric", body(run_id=gone, key="a", value=1, timestamp=1)),
        ("runs/log-metric", b"{not JSON".ljust(600)),
        ("runs/log-metric", b"\xff\xfe".ljust(600)),
        ("runs/log-parameter", body(run_id=run, key="lr", value="2")),
        ("runs/log-batch", body(run_id=run, params=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}])),
        ("runs/create", body(experiment_id="987654")),
        ("runs/create", body(experiment_id="x")),
        ("runs/update", body(run_id=gone, status="FINISHED")),
    ]
    for path, sent in wrong:
        wire.post(path, body())  # the head is known from here on
        status, headers, told = wire.post(path, sent)
        plain = httpx.post(served.url + API + path, content=sent, headers={"content-type": "application/json"})
        assert (status, told) == (plain.status_code, plain.json()), path
        assert 400 <= status < 500 and told["error_code"], (path, sent)
        same = {name: value for name, value in plain.headers.items() if name not in ("date", "x-request-id")}
        assert {name: value for name, value in headers.items() if name not in ("date", "x-request-id")} == same


def test_each_is_asked_for_their_right_every_time(prepared: Path, locked: Any) -> None:
    locked.here.experiments.create("theirs")
    token = locked.token("ada", ("scientist", "run:theirs"))
    wire = Wire(locked.url, token)
    with locked.client(token) as client:
        shown = client.get(f"{API}experiments/get-by-name", params={"experiment_name": "theirs"}).json()
    sent = body(experiment_id=shown["experiment"]["experiment_id"])
    assert [wire.post("runs/create", sent)[0] for _ in range(4)] == [200] * 4
    locked.here.access.revoke("ada", "scientist", scope="run:theirs", reason="has left")
    assert wire.post("runs/create", sent)[0] in (403, 404)
    locked.here.access.revoke_all("ada", reason="has left")
    assert wire.post("runs/create", sent)[0] == 401
    wire.close()
