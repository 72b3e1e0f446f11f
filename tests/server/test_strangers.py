"""What is not said to strangers, nor to those who were let in and given no right."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from modelwright.core.operations import Operation, operations_of
from modelwright.server.app import Entrance, create_app
from modelwright.server.routing import check_routes
from modelwright.workspace import Workspace

PUBLIC = {
    "/healthz", "/readyz", "/signin", "/signout", "/api/v1/login", "/api/v1/logout", "/api/v1/setup",
    "/static/style.css", "/static/theme.js", "/static/page.js", "/static/icon.svg", "/static/charts.js",
    "/v2/health/live", "/v2/health/ready", "/ping", "/version", "/health",
}  # fmt: skip
INFERENCE = [
    ("GET", "/v2"), ("GET", "/v2/health/live"), ("GET", "/v2/health/ready"), ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/late/load"), ("GET", "/v2/models/late"), ("GET", "/v2/models/late/ready"),
    ("POST", "/v2/models/late/infer"), ("POST", "/v2/models/late/versions/1/infer"),
    ("POST", "/serving/late/invocations"), ("GET", "/serving/late/ping"), ("GET", "/serving/late/version"),
    ("POST", "/invocations"), ("GET", "/ping"), ("GET", "/version"),
]  # fmt: skip
EMPTY: dict[str, Any] = {"inputs": []}
CLOSED = {401, 403, 404, 405, 415}


def every_address(workspace: Workspace) -> Iterator[tuple[str, str]]:
    entrance = create_app(workspace).app
    assert isinstance(entrance, Entrance)
    for route in entrance.routes:
        path = re.sub(r"\{[^}]*\}", "1", route.path)  # type: ignore[attr-defined]
        for method in route.methods:  # type: ignore[attr-defined]
            yield method, path
    yield from INFERENCE


def ask(client: httpx.Client, method: str, path: str) -> httpx.Response:
    if method != "POST":
        return client.request(method, path)
    kind = "application/octet-stream" if path.endswith("/objects") else "application/json"
    return client.request(method, path, content=b"{}", headers={"content-type": kind})


def test_a_stranger_is_answered_at_public_addresses_only(locked: Any) -> None:
    asked = set()
    with locked.client() as stranger:
        for method, path in every_address(locked.here):
            answer = ask(stranger, method, path)
            to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/signin?")
            assert path in PUBLIC or answer.status_code == 401 or to_sign_in, (method, path, answer.status_code)
            asked.add(path)
    assert len(asked) > 150 and asked >= PUBLIC


def test_nothing_public_tells_a_stranger_the_version(locked: Any) -> None:
    from modelwright import __version__

    with locked.client() as stranger:
        for path in PUBLIC - {"/static/charts.js"}:
            answer = stranger.get(path)
            assert "server" not in answer.headers
            assert __version__ not in answer.text, path


def test_who_is_let_in_without_a_right_is_shown_nothing(locked: Any) -> None:
    locked.here.experiments.create("secret/salaries")
    with locked.client(locked.token("zoe"), accept="application/json") as zoe:
        for method, path in every_address(locked.here):
            answer = ask(zoe, method, path)
            assert b"salaries" not in answer.content
            own = path in PUBLIC | {"/api/v1/whoami", "/api/v1/openapi.json", "/v2", "/api/3.0/mlflow/server-info"}
            page = not path.startswith(("/api", "/v2"))  # its frame, with nothing in it
            empty = path.endswith("/repository/index")
            assert own or page or empty or answer.status_code in CLOSED | {400, 501}, (method, path, answer.status_code)


def nothing(operation: Operation[Any, Any, Any, Any]) -> bool:
    return not operation.writes and not any(p.default is p.empty for p in operation.parameters)


def test_lists_hold_nothing_for_who_has_no_right(locked: Any) -> None:
    locked.here.experiments.create("secret/salaries")
    with locked.client(locked.token("zoe")) as zoe:
        for _, operation in operations_of(locked.here.rooms):
            if nothing(operation):
                answer = zoe.post(f"/api/v1/{operation.path}")
                assert answer.status_code == 403, (operation.path, answer.text)


SEEN = {
    "experiments/compare": {"refs": ["{run}"]},
    "pipelines/pin": {"refs": ["dataset:secret/salaries"]},
    "features/online": {"views": ["features:secret/salaries"], "keys": [{"a": 1}]},
    "access/who_can": {"verb": "read", "resource": "experiment:secret/salaries"},
    "policy/simulate": {"text": "name = 'standard'"},
}  # what reading operations on a kind as a whole need to be asked


def test_who_may_read_one_path_sees_nothing_beside_it(locked: Any) -> None:
    here = locked.here
    for path in ("public", "secret/salaries"):
        here.experiments.create(path)
        run = here.experiments.start(path, name=f"{path}-run")
        here.deployments.create(path)
        here.access.create_user(f"{path}/person")
    token = locked.token("ada", ("viewer", "experiment:public"), ("viewer", "*:public"))
    with locked.client(token) as ada:
        seen = 0
        for _, operation in operations_of(here.rooms):
            if operation.writes or (not nothing(operation) and operation.path not in SEEN):
                continue
            body = json.dumps(SEEN.get(operation.path, {})).replace("{run}", str(run.ref))
            answer = ada.post(f"/api/v1/{operation.path}", content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (200, 400, 403, 404), (operation.path, answer.text)
            assert "salaries" not in answer.text or "salaries" in body, (operation.path, answer.text)
            seen += b"public" in answer.content
        assert seen >= 4
        assert ada.post("/api/v1/experiments/compare", json={"refs": [str(run.ref)]}).status_code in (403, 404)


def test_what_exists_is_as_unknown_as_what_does_not(locked: Any) -> None:
    locked.here.experiments.create("secret/salaries")
    with locked.client(locked.token("zoe")) as zoe:
        for path, field in (("record/show", "ref"), ("record/history", "ref"), ("record/lineage", "ref")):
            known, unknown = (
                zoe.post(f"/api/v1/{path}", json={field: f"experiment:{name}"})
                for name in ("secret/salaries", "secret/nothings")
            )
            assert known.status_code == unknown.status_code == 404
            assert known.text.replace("salaries", "nothings") == unknown.text


@pytest.mark.parametrize(
    "route", [Route("/debug", PlainTextResponse("x")), WebSocketRoute("/live", PlainTextResponse("x"))]
)
def test_a_route_without_a_permission_stops_the_start(route: Any) -> None:
    with pytest.raises(RuntimeError, match="no registered permission"):
        check_routes([route])


def test_the_operating_systems_user_is_trusted_only_without_authentication(locked: Any, embedded: Workspace) -> None:
    from modelwright.testing import serving

    with serving(embedded) as url:
        assert httpx.get(f"{url}/api/v1/whoami").json()["trusted"] is True
    with locked.client() as stranger:
        for headers in ({}, {"authorization": ""}, {"cookie": "modelwright_session="}, {"x-forwarded-user": "admin"}):
            assert stranger.get("/api/v1/whoami", headers=headers).status_code == 401


def test_a_token_stops_within_a_second_of_its_revocation_on_every_path(locked: Any) -> None:
    token = locked.token("ada", ("scientist", "*"))
    identity = locked.here.access.tokens("ada")[0].id
    with locked.client(token) as ada:
        for _ in range(3):  # so that the decision is remembered
            assert ada.post("/v2/models/late/infer", json=EMPTY).status_code == 404
        assert ada.post("/api/v1/models/list").status_code == 200
        locked.here.access.revoke_token("ada", identity)
        assert ada.post("/api/v1/models/list").status_code == 401
        time.sleep(0.6)
        assert ada.post("/v2/models/late/infer", json=EMPTY).status_code == 401
        assert ada.get("/models", follow_redirects=False).status_code == 303


def test_a_grant_taken_back_stops_calls_within_a_second(locked: Any) -> None:
    token = locked.token("ada", ("scientist", "deployment:late"))
    with locked.client(token) as ada:
        assert "is live here" in ada.post("/v2/models/late/infer", json=EMPTY).text
        locked.here.access.revoke("ada", "scientist", scope="deployment:late")
        time.sleep(0.6)
        assert "is live here" not in ada.post("/v2/models/late/infer", json=EMPTY).text


def test_a_tokens_scopes_hold_at_every_door(locked: Any) -> None:
    token = locked.token("ada", ("scientist", "*"), scopes=("read@model:public",))
    with locked.client(token) as ada:
        assert ada.post("/api/v1/models/list").status_code == 200
        assert ada.post("/api/v1/datasets/list").status_code == 403
        assert ada.post("/api/v1/experiments/create", json={"name": "new"}).status_code in (403, 404)
        assert ada.post("/v2/models/public/infer", json=EMPTY).status_code in (403, 404)
        content = {"content": b"x", "headers": {"content-type": "application/octet-stream"}}
        assert ada.post("/api/v1/objects", **content).status_code == 403
        assert ada.get("/metrics").status_code in (403, 404)


def test_bad_credentials_are_never_taken_for_none(locked: Any) -> None:
    token = locked.token("ada", ("viewer", "*"))
    wrong = [
        "Bearer x",
        f"Bearer {token[:-1]}{'1' if token.endswith('0') else '0'}",
        "Basic ###",
        "Basic YWRh",
        f"Negotiate {token}",
        "Bearer",
        f"Bearer {token} x",
    ]
    with locked.client() as client:
        for header in wrong:
            assert client.get("/api/v1/whoami", headers={"authorization": header}).status_code == 401, header
            assert client.post("/v2/models/late/infer", headers={"authorization": header}).status_code == 401, header
