# ruff: noqa: E501
"""What an attacker sends to the artifact proxy and to logged models: every payload on every parameter, with every verb.

Nothing of it may be answered as a failure of the server, leave anything outside the objects, or reach what it must not. A
payload that is a name like another may be one: then it comes back exactly as it went in.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import BadFileName, check_file_name, check_folder
from tests.server.mlflow.payloads import EVERYTHING, HEAVY, LOOKALIKES, TRAVERSALS
from tests.waiting import LONG

FILES = "/api/2.0/mlflow-artifacts"
CANARY = b"root:x:0:0"
WAYS_OUT = [
    each for each in TRAVERSALS if ".." in each or each.startswith(("/", "\\", "~/../", "file:/")) or "\x00" in each
]


class Wire:
    """A bare connection: nothing between a test and the server tidies an address up."""

    def __init__(self, url: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LONG)
        self.headers = headers

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes, dict[str, str]]:
        """Send it as it is; what HTTP itself cannot carry is encoded."""
        target = quote(target, safe="".join(chr(code) for code in range(0x21, 0x7F)))
        self.connection.request(method, target, body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}

    def tell(self, method: str, path: str, /, **fields: Any) -> tuple[int, bytes, dict[str, str]]:
        """The same with fields: as a query of a GET, as JSON of anything else."""
        if method == "GET":
            return self.ask(method, f"{path}?{urlencode(fields)}")
        return self.ask(method, path, json.dumps(fields).encode())


@pytest.fixture(scope="module")
def wire(served: Any) -> Wire:
    return Wire(served.url)


@pytest.fixture(scope="module")
def run(served: Any) -> Any:
    return served.here.experiments.start("hostile/files")


@pytest.fixture(scope="module")
def model(served: Any, run: Any) -> Any:
    return served.here.logged_models.create(run.experiment_id, name="prey", run=run.ref)


@pytest.fixture(autouse=True)
def nothing_outside(served: Any) -> Iterator[None]:
    """Whatever a test does, files appear among the objects only."""
    home = served.here.home.project

    def seen() -> set[Path]:
        found: set[Path] = set()
        for folder, below, files in os.walk(home):
            below[:] = [each for each in below if each not in ("objects", ".incoming")]
            found |= {Path(folder, each) for each in (*below, *files)}
        return found

    before = seen()
    yield
    assert {
        each for each in seen() - before if not each.name.startswith(("workspace.db", "online.db", "keys", "ledger-"))
    } == set()


def decent(answer: tuple[int, bytes, dict[str, str]], payload: str) -> int:
    """Assert that an answer is one that may be given to anybody, whatever was asked; its status."""
    status, body, _ = answer
    assert status < 500, (payload, status, body[:300])
    assert CANARY not in body, payload
    if status >= 400 and (body or len(payload) < 5000):  # an address of 32 KiB is not even read
        told = json.loads(body)
        assert told.get("error_code") or told.get("error"), (payload, body[:300])
        assert b"Traceback" not in body and b"sqlalchemy" not in body, payload
    return status


# Names


@pytest.mark.parametrize("payload", WAYS_OUT)
def test_no_way_out_is_a_name(payload: str) -> None:
    with pytest.raises(BadFileName):
        check_file_name(payload)
    with pytest.raises(BadFileName):
        check_folder(f"plots/{payload}")


@pytest.mark.parametrize(
    "name",
    ["a", "plots/roc curve.png", "Größe/数.csv", ".hidden", "a..b", "x...", "2026-01-01T10:00:00.csv", "a;b,c=d&e+f", "'", "né", "(1) [2] {3}"],
)  # fmt: skip
def test_what_people_call_their_files_is_a_name(name: str) -> None:
    assert check_file_name(name) == name


def test_a_name_ends_somewhere() -> None:
    assert check_file_name("a/" * 249 + "bb")
    for long in ("a/" * 250 + "b", "a" * 256, "é" * 128, ""):
        with pytest.raises(Invalid):
            check_file_name(long)


# Every payload as a path, with every verb, as it is and encoded once more


def spelled(payload: str) -> list[str]:
    return list(dict.fromkeys([payload, quote(payload, safe="")]))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize("below", ["", "{experiment}/{run}/artifacts/"])
def test_paths(served: Any, wire: Wire, run: Any, verb: str, below: str) -> None:
    root = below.format(run=run.id, experiment=run.experiment_id)
    for payload in TRAVERSALS:
        for target in spelled(payload):
            answer = wire.ask(verb, f"{FILES}/artifacts/{root}{target}", b"<content>" if verb == "PUT" else None)
            if verb == "GET" and answer[0] == 200 and "content-disposition" in answer[2]:
                assert answer[1] == b"<content>", payload
            elif decent(answer, payload) == 200 and verb == "PUT":
                named = target.partition("?")[0].partition("#")[0]
                assert payload not in WAYS_OUT or named != target, (payload, answer)
    for kept in (run.ref, Ref(Kind.EXPERIMENT, run.experiment)):
        for each in served.here.artifacts.all(kept):
            assert check_file_name(each.name) == each.name


@pytest.mark.slow
@pytest.mark.parametrize("what", ["create", "complete", "abort"])
def test_paths_of_uploads_in_parts(wire: Wire, what: str) -> None:
    body = json.dumps({"path": "x", "num_parts": 1, "upload_id": "x"}).encode()
    for payload in TRAVERSALS:
        assert decent(wire.ask("POST", f"{FILES}/mpu/{what}/{payload}", body), payload) in (400, 404), payload


def test_a_way_out_is_told_to_be_no_path(wire: Wire, run: Any) -> None:
    root = f"{FILES}/artifacts/{run.experiment_id}/{run.id}/artifacts/"
    for way in ("../x", "%2e%2e/x", "..%2fx", "%252e%252e/x", "a\\b", "a%5cb", "%2Fetc/passwd", "a%00b", "C:/x", "c:", "50%25.txt", "..;/x", "%c0%ae%c0%ae/x"):  # fmt: skip
        for verb, body in (("PUT", b"x"), ("GET", None), ("DELETE", None)):
            status, told, _ = wire.ask(verb, root + way, body)
            assert status == 400 and json.loads(told)["message"].startswith("Invalid path"), (verb, way, told)


FIELDS: dict[str, Callable[[Any, Any, str], tuple[str, str, dict[str, Any]]]] = {
    "list, path": lambda run, model, x: ("GET", f"{FILES}/artifacts", {"path": x}),
    "list, path below a run": lambda run, model, x: ("GET", f"{FILES}/artifacts", {"path": f"{run.experiment_id}/{run.id}/artifacts/{x}"}),
    "artifacts/list, run_id": lambda run, model, x: ("GET", "/api/2.0/mlflow/artifacts/list", {"run_id": x}),
    "artifacts/list, path": lambda run, model, x: ("GET", "/api/2.0/mlflow/artifacts/list", {"run_id": run.id, "path": x}),
    "get-artifact, run_id": lambda run, model, x: ("GET", "/get-artifact", {"run_id": x, "path": "x"}),
    "get-artifact, path": lambda run, model, x: ("GET", "/get-artifact", {"run_id": run.id, "path": x}),
    "create, file": lambda run, model, x: ("POST", f"{FILES}/mpu/create/{run.experiment_id}/{run.id}/artifacts", {"path": x, "num_parts": 1}),
    "create, parts": lambda run, model, x: ("POST", f"{FILES}/mpu/create/{run.experiment_id}/{run.id}/artifacts", {"path": "x", "num_parts": x}),
    "complete, upload": lambda run, model, x: ("POST", f"{FILES}/mpu/complete/1/x", {"upload_id": x, "parts": [{"part_number": x, "etag": x}]}),
    "abort, upload": lambda run, model, x: ("POST", f"{FILES}/mpu/abort/1/x", {"upload_id": x}),
    "model, experiment": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models", {"experiment_id": x}),
    "model, name": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models", {"experiment_id": str(run.experiment_id), "name": x}),
    "model, type": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models", {"experiment_id": str(run.experiment_id), "model_type": x}),
    "model, run": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models", {"experiment_id": str(run.experiment_id), "source_run_id": x}),
    "model, parameter": lambda run, model, x: ("POST", f"/api/2.0/mlflow/logged-models/{model.id}/params", {"params": [{"key": x, "value": x}]}),
    "model, tag": lambda run, model, x: ("PATCH", f"/api/2.0/mlflow/logged-models/{model.id}/tags", {"tags": [{"key": x, "value": x}]}),
    "model, status": lambda run, model, x: ("PATCH", f"/api/2.0/mlflow/logged-models/{model.id}", {"status": x}),
    "model, folder": lambda run, model, x: ("GET", f"/api/2.0/mlflow/logged-models/{model.id}/artifacts/directories", {"artifact_directory_path": x}),
    "model, file": lambda run, model, x: ("GET", f"/api/2.0/mlflow/logged-models/{model.id}/artifacts/files", {"artifact_file_path": x}),
    "search, filter": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "filter": x}),
    "search, value": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "filter": f"name = '{x}'"}),
    "search, experiments": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": [x]}),
    "search, order": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "order_by": [{"field_name": x}]}),
    "search, metric": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "order_by": [{"field_name": f"metrics.{x}"}]}),
    "search, dataset": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "datasets": [{"dataset_name": x, "dataset_digest": x}]}),
    "search, page": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "page_token": x}),
    "search, size": lambda run, model, x: ("POST", "/api/2.0/mlflow/logged-models/search", {"experiment_ids": ["1"], "max_results": x}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_fields(wire: Wire, run: Any, model: Any, field: str, thorough: bool) -> None:
    """What names a file is given every way out; every other field a sixth of all, the next one another sixth."""
    apart = 1 if thorough else 6
    for payload in (
        TRAVERSALS if "path" in field or "file" in field else EVERYTHING[[*FIELDS].index(field) % apart :: apart]
    ):
        if field != "model, status" or payload != "2":
            verb, path, fields = FIELDS[field](run, model, payload)
            decent(wire.tell(verb, path, **fields), payload)


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/logged-models/{}", "/api/2.0/mlflow/logged-models/{}/tags", "/api/2.0/mlflow/logged-models/{}/tags/x", FILES + "/mpu/part/{}/1"])  # fmt: skip
def test_ids_in_addresses(wire: Wire, path: str, thorough: bool) -> None:
    """Each payload by every verb, or by one of them, the next by another, unless all are asked for."""
    verbs = ("GET", "PATCH", "DELETE", "PUT")
    for at, payload in enumerate([*TRAVERSALS, *HEAVY]):
        for verb in verbs if thorough else (verbs[at % 4],):
            decent(wire.ask(verb, path.format(payload[:20_000]), None if verb == "GET" else b"{}"), payload)


def test_names_that_look_alike_are_names_apart(wire: Wire, run: Any) -> None:
    root = f"{FILES}/artifacts/{run.experiment_id}/{run.id}/artifacts/alike/"
    kept = {}
    for name in ["churn", *LOOKALIKES]:
        status, _, _ = wire.ask("PUT", root + quote(name, safe=""), name.encode())
        if status == 200:
            kept[name] = name.encode()
    assert len(kept) > 10
    for name, content in kept.items():
        if not name.endswith("/"):
            assert wire.ask("GET", root + quote(name, safe=""))[1] == content, name


def test_bodies_that_are_no_messages(wire: Wire) -> None:
    for body in (
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"experiment_id": {"$ne": ""}}',
    ):
        for path in ("/api/2.0/mlflow/logged-models", "/api/2.0/mlflow/logged-models/search", f"{FILES}/mpu/create/1/x"):
            assert decent(wire.ask("POST", path, body), repr(body[:20])) in (400, 404)


# Rights: every address of this resource, for whoever may not


def test_who_may_not_read_an_experiment_finds_nothing_below_it(locked: Any) -> None:
    here = locked.here
    run = here.experiments.start("secret/salaries")
    model = here.logged_models.create(run.experiment_id, name="pay", run=run.ref)
    root = f"{run.experiment_id}/{run.id}/artifacts"
    admin, other = (f"Bearer {locked.token(*who)}" for who in ADMIN_AND_OTHER)
    boss, stranger = Wire(locked.url, Authorization=admin), Wire(locked.url, Authorization=other)
    assert boss.ask("PUT", f"{FILES}/artifacts/{root}/x.txt", b"pay")[0] == 200
    begun = json.loads(boss.tell("POST", f"{FILES}/mpu/create/{root}", path="y.bin", num_parts=1)[1])
    part = urlsplit(begun["credentials"][0]["url"]).path
    assert begun["credentials"][0]["headers"] == {"Authorization": admin}
    asked = [
        ("PUT", f"{FILES}/artifacts/{root}/x.txt", b"mine"), ("GET", f"{FILES}/artifacts/{root}/x.txt", None),
        ("HEAD", f"{FILES}/artifacts/{root}/x.txt", None), ("DELETE", f"{FILES}/artifacts/{root}/x.txt", None),
        ("GET", f"{FILES}/artifacts?path={root}", None), ("GET", f"/get-artifact?run_id={run.id}&path=x.txt", None),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run.id}", None), ("PUT", part, b"mine"),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_id={run.id}&path=x.txt", b"mine"),
        ("POST", f"{FILES}/mpu/create/{root}", b'{"path": "x.txt", "num_parts": 1}'),
        ("POST", f"{FILES}/mpu/complete/{root}", json.dumps({"upload_id": begun["upload_id"], "parts": []}).encode()),
        ("POST", f"{FILES}/mpu/abort/{root}", json.dumps({"upload_id": begun["upload_id"]}).encode()),
        ("POST", "/api/2.0/mlflow/logged-models", json.dumps({"experiment_id": str(run.experiment_id)}).encode()),
        ("GET", f"/api/2.0/mlflow/logged-models/{model.id}", None), ("DELETE", f"/api/2.0/mlflow/logged-models/{model.id}", None),
        ("PATCH", f"/api/2.0/mlflow/logged-models/{model.id}", b'{"status": "LOGGED_MODEL_READY"}'),
        ("PATCH", f"/api/2.0/mlflow/logged-models/{model.id}/tags", b'{"tags": [{"key": "a", "value": "b"}]}'),
        ("DELETE", f"/api/2.0/mlflow/logged-models/{model.id}/tags/a", None),
        ("POST", f"/api/2.0/mlflow/logged-models/{model.id}/params", b'{"params": [{"key": "a", "value": "b"}]}'),
        ("GET", f"/api/2.0/mlflow/logged-models/{model.id}/artifacts/directories", None),
        ("GET", f"/api/2.0/mlflow/logged-models/{model.id}/artifacts/files?artifact_file_path=x", None),
    ]  # fmt: skip
    for method, target, body in asked:
        status, told, _ = stranger.ask(method, target, body)
        assert status == 404, (method, target, status, told)
        assert b"salaries" not in told and b"pay" not in told, (method, target, told)
        nobody = Wire(locked.url).ask(method, target, body)
        assert nobody[0] == 401, (method, target, nobody)
    found = stranger.tell("POST", "/api/2.0/mlflow/logged-models/search", experiment_ids=[str(run.experiment_id)])
    assert found[:2] == (200, b"{}")
    assert boss.ask("GET", f"{FILES}/artifacts/{root}/x.txt")[1] == b"pay"
    assert here.logged_models.show(model.ref).lifecycle == "active"


ADMIN_AND_OTHER = (("ada", ("admin", "*:*")), ("zoe", ("scientist", "*:public")))


def test_who_may_only_read_changes_nothing(locked: Any) -> None:
    here = locked.here
    run = here.experiments.start("shared/one")
    model = here.logged_models.create(run.experiment_id, name="m", run=run.ref)
    token = locked.token("vic", ("viewer", "*:shared"))
    viewer, root = (
        Wire(locked.url, Authorization=f"Bearer {token}"),
        f"{FILES}/artifacts/{run.experiment_id}/{run.id}/artifacts",
    )
    assert viewer.ask("GET", f"{FILES}/artifacts?path={run.experiment_id}")[0] == 200
    for method, target, body in (
        ("PUT", f"{root}/x", b"x"),
        ("DELETE", f"{root}/x", None),
        ("POST", root.replace("/artifacts/", "/mpu/create/", 1), b'{"path": "x", "num_parts": 1}'),
        ("DELETE", f"/api/2.0/mlflow/logged-models/{model.id}", None),
        ("POST", "/api/2.0/mlflow/logged-models", json.dumps({"experiment_id": str(run.experiment_id)}).encode()),
    ):
        status, told, _ = viewer.ask(method, target, body)
        assert (status, json.loads(told)["error_code"]) == (403, "PERMISSION_DENIED"), (method, target, told)
    assert here.artifacts.all(run.ref) == []
