"""A server as the process that it is: started, asked, told to stop, and killed."""

from __future__ import annotations

import gc
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from modelwright.cli.entry import run as run_command
from modelwright.core.errors import Conflict, Invalid
from modelwright.server.listening import check_address, take
from modelwright.store.leases import read_all
from modelwright.testing import serving
from modelwright.workspace import open_workspace
from tests.waiting import LONG, eventually

LENIENT = 'name = "standard"\n[tier.low]\ndescription = "Nothing is asked, so that these tests speak of serving only."\n'
SETTINGS = '[workspace]\nname = "late"\n[server]\nturn_every = 0.2\n'
ANSWER = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [0.5]}]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "modelwright.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project with a model in production, to be copied, and the digest of one of the model's files."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "modelwright.toml").write_text(SETTINGS, encoding="utf-8")
    return folder, deploy(folder)


@pytest.fixture
def deployed(made: tuple[Path, str], project: Path) -> str:
    """The project has it, too; the digest."""
    shutil.copytree(made[0] / ".modelwright", project / ".modelwright")
    return made[1]


def deploy(folder: Path) -> str:
    """Put a model into production; returns the digest of one of its files."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    from modelwright.models import Stage

    with open_workspace(folder) as here:
        here.policy.adopt(LENIENT)
        x = np.linspace(-1, 1, 40)
        version = here.models.log("late", LogisticRegression().fit(x[:, None], (x > 0).astype(int)), example={"x": x})
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            here.models.promote(version.ref, stage, reason="for a test")
        here.deployments.create("late")
        here.deployments.deploy("late", version.ref, "production", reason="for a test")
        return next(iter(here.models.show(version.ref).record.files.values()))


class Server:
    """A `mw up` of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.address = folder / f"address-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "modelwright.cli", "up", "-w", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--address-file", str(self.address), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = ""

    def wait(self) -> Server:
        def listens() -> bool:
            assert self.process.poll() is None, self.said()
            return self.address.exists()

        eventually(listens, "A start of the server")
        self.url = self.address.read_text(encoding="utf-8")
        return self

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(LONG)


@pytest.fixture
def up(project: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*options: str) -> Server:
        started.append(Server(project, *options))
        return started[-1].wait()

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(LONG)
        if server.process.stdout:
            server.process.stdout.close()


@pytest.mark.slow
@pytest.mark.usefixtures("deployed")
def test_a_stop_finishes_what_is_under_way_seals_the_ledger_and_converts_the_log(up: Any, project: Path) -> None:
    server = up()
    answers = [httpx.post(f"{server.url}/v2/models/late/infer", json=ANSWER).status_code for _ in range(5)]
    assert answers == [200] * 5

    parts = urlsplit(server.url)
    upload = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LONG)
    upload.putrequest("POST", "/api/v1/objects")
    upload.putheader("Content-Type", "application/octet-stream")
    upload.putheader("Content-Length", "2000000")
    upload.putheader("Expect", "100-continue")
    upload.endheaders()
    assert upload.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it is under way
    upload.send(b"x" * 1_000_000)
    server.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + LONG
    with pytest.raises(OSError):  # nobody else comes in
        while time.monotonic() < until:
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
            time.sleep(0.05)
    upload.send(b"x" * 1_000_000)
    assert upload.getresponse().status == 201
    assert server.process.wait(LONG) in (0, -signal.SIGTERM)
    assert "Traceback" not in server.said()

    assert not list((project / ".modelwright" / "predictions" / "journal").glob("*.journal"))
    with open_workspace(project) as here:
        head = here.record.head()
        assert head.sealed is not None and head.sealed.size >= head.size - 1  # the seal itself may be an event


@pytest.mark.slow
def test_it_ends_quietly_when_interrupted_at_the_keyboard_and_answers_when_it_is_started_again(up: Any) -> None:
    server = up()  # which makes the database
    assert server.stop(signal.SIGINT) in (0, 130, -signal.SIGINT)
    assert "Traceback" not in server.said()
    assert httpx.get(f"{up().url}/healthz").status_code == 200


@pytest.mark.slow
def test_it_answers_before_its_models_are_loaded_and_who_asks_one_waits_for_it(up: Any, deployed: str) -> None:
    server = up()
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    for path in ("/v2/models/late/infer", "/v2/models/nobody/infer"):
        code = httpx.post(f"{server.url}{path}", json=ANSWER).status_code
        assert code == (200 if "late" in path else 404)
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.slow
def test_it_ends_quietly_while_it_loads_and_has_all_when_it_is_started_again(up: Any, deployed: str) -> None:
    server = up()
    assert server.stop() in (0, -signal.SIGTERM)
    assert "Traceback" not in (said := server.said()) and "could not be loaded" not in said
    again = up()
    assert httpx.post(f"{again.url}/v2/models/late/infer", json=ANSWER).status_code == 200


@pytest.mark.slow
def test_it_is_not_ready_while_a_deployment_cannot_be_loaded(
    project: Path, deployed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (
        path
        for path in (project / ".modelwright" / "objects").rglob("*")
        if deployed in path.name or deployed[2:] in path.name
    )
    away = path.rename(project / "away")
    with open_workspace(project) as here, serving(here) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        eventually(lambda: "serving" in httpx.get(f"{url}/readyz").json().get("troubles", ()))
        assert httpx.get(f"{url}/readyz").status_code == 503
        told = httpx.post(f"{url}/v2/models/late/infer", json=ANSWER)
        assert told.status_code == 503 and "model:late@1 cannot be loaded" in told.json()["error"]
        page = httpx.get(f"{url}/deployments/late").text
        assert "Not served." in page and "is lost: There is no object" in page
        assert "No models answer in production, 1 cannot be loaded" in httpx.get(f"{url}/").text
        assert "not served" in httpx.get(f"{url}/deployments").text
        assert run_command(["doctor", "-w", url, "--json"]) == 1
        (serving_now,) = [each for each in json.loads(capsys.readouterr().out) if each["name"] == "serving"]
        assert serving_now["verdict"] == "fail" and "late does not answer" in serving_now["what"]
        away.rename(path)
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert httpx.post(f"{url}/v2/models/late/infer", json=ANSWER).status_code == 200


@pytest.fixture
def refused(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`mw up` that does not come to serve: what it says. That is over before it changes anything about its process."""

    def run(*options: str) -> str:
        collecting = gc.isenabled()
        try:
            assert run_command(["up", "-w", str(project), *options]) == 4
        finally:
            if collecting:
                gc.enable()
        return capsys.readouterr().err

    return run


def test_it_refuses_to_be_reached_from_elsewhere_without_authentication(refused: Any) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(Conflict, match="would let anybody in"):
            check_address(host, authentication=False)
        check_address(host, authentication=True)
    told = refused("--host", "0.0.0.0", "--port", "0")
    assert 'authentication = "required"' in told and "Traceback" not in told


def test_a_port_that_is_taken_is_told_before_anything_begins(refused: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = refused("--port", str(taken.getsockname()[1]))
    assert "cannot be listened on" in told and "--port" in told and "Traceback" not in told
    with pytest.raises(Invalid, match="70000 is not a port"):
        take("127.0.0.1", 70000)


LINE = re.compile(r'[a-z_]+(\{([a-z]+="[^"\n]*",?)*\})? (-?[0-9.e+-]+|NaN|\+Inf)')


@pytest.mark.slow
@pytest.mark.usefixtures("deployed")
def test_its_metrics_are_well_formed_and_tell_of_every_part(project: Path) -> None:
    with open_workspace(project) as here, serving(here) as url:
        httpx.post(f"{url}/v2/models/late/infer", json=ANSWER)
        eventually(lambda: "\nmodelwright_operator_leader 1\n" in httpx.get(f"{url}/metrics").text)
        answer = httpx.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4") and answer.text.endswith("\n")
    typed: dict[str, str] = {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed and kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == name.endswith("_total"), name
            typed[name] = kind
        elif not line.startswith("# HELP "):
            assert LINE.fullmatch(line), line
            name = line.partition("{")[0].partition(" ")[0]
            assert name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, line
    samples = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert int(samples["modelwright_ledger_events"]) > 5
    assert samples["modelwright_operator_leader"] == "1"
    assert float(samples["modelwright_operator_turn_timestamp_seconds"]) == pytest.approx(time.time(), abs=LONG)
    assert any(name.startswith("modelwright_requests_total{") and value == "1" for name, value in samples.items())


@pytest.mark.slow
def test_two_servers_on_one_database_have_one_operator_and_the_other_takes_over(up: Any, project: Path) -> None:
    servers = [up(), up()]

    def leads(server: Server) -> bool:
        return "\nmodelwright_operator_leader 1\n" in httpx.get(f"{server.url}/metrics").text

    eventually(lambda: any(map(leads, servers)))
    leader, other = sorted(servers, key=leads, reverse=True)  # whichever asked first
    assert leads(leader) and not leads(other)
    leader.stop()
    with open_workspace(project) as here, here.home.database.engine.connect() as connection:
        (lease,) = (each for each in read_all(connection) if each.name == "operator")
    assert lease.until.year == 1 or f"/{leader.process.pid}/" not in lease.holder  # given up, and not left to run out
    eventually(lambda: leads(other))
