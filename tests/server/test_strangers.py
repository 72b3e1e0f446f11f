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
from modelwright.traces import Assessment, AssessmentKind, TraceGiven
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
OWN = {"/api/v1/whoami", "/api/v1/openapi.json", "/v2", "/api/3.0/mlflow/server-info"}
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
            own = path in PUBLIC | OWN or path.endswith("/mlflow/users/current")
            page = not path.startswith(("/api", "/v2"))  # its frame, with nothing in it
            empty = path.endswith("/repository/index")
            empty |= path.startswith("/api/") and answer.content in (b"{}", b'{"configs":[]}')  # MLflow's searches
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


# Through MLflow's protocol: method, path below /api, fields. `{e}`, `{r}`, `{t}`, `{a}` and `{d}` are the ids of an
# experiment, a run and a trace of it, an assessment of that, and an evaluation set beside it.
INFO = {"trace_id": "{t}", "trace_location": {"mlflow_experiment": {"experiment_id": "{e}"}}}
COUNT = {"view_type": "TRACES", "metric_name": "trace_count", "aggregations": [{"aggregation_type": "COUNT"}]}
JUDGED = "traces/{t}/assessments"
LINKED = {"name": "p", "version": "1"}
ASSESSMENT = {"assessment_name": "x", "feedback": {"value": True}}
FOREIGN: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "2.0/mlflow/experiments/get", {"experiment_id": "{e}"}),
    ("POST", "2.0/mlflow/experiments/set-experiment-tag", {"experiment_id": "{e}", "key": "a", "value": "b"}),
    ("POST", "2.0/mlflow/experiments/update", {"experiment_id": "{e}", "new_name": "mine"}),
    ("POST", "2.0/mlflow/experiments/delete", {"experiment_id": "{e}"}),
    ("POST", "2.0/mlflow/runs/create", {"experiment_id": "{e}", "start_time": 1}),
    ("POST", "2.0/mlflow/runs/search", {"experiment_ids": ["{e}"]}),
    ("GET", "2.0/mlflow/runs/get", {"run_id": "{r}"}),
    ("POST", "2.0/mlflow/runs/log-metric", {"run_id": "{r}", "key": "a", "value": 1.0, "timestamp": 1}),
    ("POST", "2.0/mlflow/runs/log-parameter", {"run_id": "{r}", "key": "a", "value": "b"}),
    ("POST", "2.0/mlflow/runs/set-tag", {"run_id": "{r}", "key": "a", "value": "b"}),
    ("POST", "2.0/mlflow/runs/delete", {"run_id": "{r}"}),
    ("GET", "2.0/mlflow/metrics/get-history", {"run_id": "{r}", "metric_key": "a"}),
    ("GET", "2.0/mlflow/artifacts/list", {"run_id": "{r}"}),
    ("POST", "3.0/mlflow/traces", {"trace": {"trace_info": INFO}}),
    ("POST", "3.0/mlflow/traces/search", {"locations": [INFO["trace_location"]]}),
    ("POST", "3.0/mlflow/traces/search", {"locations": [INFO["trace_location"]], "filter": "trace.text LIKE '%salaries%'"}),
    ("GET", "3.0/mlflow/traces/get", {"trace_id": "{t}"}),
    ("GET", "3.0/mlflow/traces/batchGet", {"trace_ids": ["{t}"]}),
    ("POST", "3.0/mlflow/traces/batchGetInfos", {"trace_ids": ["{t}"]}),
    ("POST", "3.0/mlflow/traces/calculate-filter-correlation", {"experiment_ids": ["{e}"]}),
    ("POST", "3.0/mlflow/traces/metrics", {"experiment_ids": ["{e}"], **COUNT}),
    ("POST", "3.0/mlflow/traces/metrics", {"experiment_ids": ["{e}"], "dimensions": ["trace_name"], **COUNT}),
    ("POST", "3.0/mlflow/traces/link-to-run", {"trace_ids": ["{t}"], "run_id": "{own}"}),
    ("POST", "3.0/mlflow/traces/link-prompts", {"trace_id": "{t}", "prompt_versions": [LINKED]}),
    ("POST", "3.0/mlflow/traces/delete-traces", {"experiment_id": "{e}", "request_ids": ["{t}"]}),
    ("GET", "3.0/mlflow/traces/{t}", {}),
    ("PATCH", "3.0/mlflow/traces/{t}/tags", {"key": "a", "value": "b"}),
    ("DELETE", "3.0/mlflow/traces/{t}/tags", {"key": "mlflow.traceName"}),
    ("POST", f"3.0/mlflow/{JUDGED}", {"assessment": ASSESSMENT}),
    ("GET", f"3.0/mlflow/{JUDGED}/{{a}}", {}),
    ("PATCH", f"3.0/mlflow/{JUDGED}/{{a}}", {"assessment": ASSESSMENT, "update_mask": "feedback"}),
    ("DELETE", f"3.0/mlflow/{JUDGED}/{{a}}", {}),
    ("POST", "2.0/mlflow/traces", {"experiment_id": "{e}"}),
    ("GET", "2.0/mlflow/traces", {"experiment_ids": ["{e}"]}),
    ("PATCH", "2.0/mlflow/traces/{t}", {"timestamp_ms": 1, "status": "OK"}),
    ("GET", "2.0/mlflow/traces/{t}/info", {}),
    ("POST", "3.0/mlflow/datasets/create", {"name": "mine", "experiment_ids": ["{e}"]}),
    ("POST", "3.0/mlflow/datasets/search", {"experiment_ids": ["{e}"]}),
    ("POST", "3.0/mlflow/datasets/search", {"filter_string": "name LIKE '%salaries%'"}),
    ("GET", "3.0/mlflow/datasets/{d}", {}),
    ("DELETE", "3.0/mlflow/datasets/{d}", {}),
    ("POST", "3.0/mlflow/datasets/{d}/records", {"records": "[]"}),
    ("GET", "3.0/mlflow/datasets/{d}/records", {}),
    ("DELETE", "3.0/mlflow/datasets/{d}/records", {"dataset_record_ids": ["dr-1"]}),
    ("PATCH", "3.0/mlflow/datasets/{d}/tags", {"tags": '{"a": "b"}'}),
    ("DELETE", "3.0/mlflow/datasets/{d}/tags/team", {}),
    ("GET", "3.0/mlflow/datasets/{d}/experiment-ids", {}),
    ("POST", "3.0/mlflow/datasets/{d}/add-experiments", {"experiment_ids": ["{ours}"]}),
    ("POST", "3.0/mlflow/datasets/{d}/remove-experiments", {"experiment_ids": ["{e}"]}),
    ("POST", "3.0/mlflow/scorers/register", {"experiment_id": "{e}", "name": "salaries", "serialized_scorer": "{}"}),
    ("GET", "3.0/mlflow/scorers/list", {"experiment_id": "{e}"}),
    ("GET", "3.0/mlflow/scorers/versions", {"experiment_id": "{e}", "name": "salaries"}),
    ("GET", "3.0/mlflow/scorers/get", {"experiment_id": "{e}", "name": "salaries"}),
    ("DELETE", "3.0/mlflow/scorers/delete", {"experiment_id": "{e}", "name": "salaries"}),
]


def test_of_anothers_traces_evaluation_sets_and_scorers_nothing_is_told_or_changed(locked: Any) -> None:
    here = locked.here
    foreign, ours = here.experiments.create("secret/salaries"), here.experiments.create("public/ours")
    run, hidden = (here.experiments.start(name, name="r") for name in ("public/ours", "secret/salaries"))
    info = here.traces.start(foreign.ref, TraceGiven(id=f"tr-{7:032x}", tags={"mlflow.traceName": "salaries"}))
    judged = Assessment(name="salaries", kind=AssessmentKind.FEEDBACK, value=True)
    assessment = here.traces.assess(info.ref, judged)
    examples = here.evaluation_sets.create("secret/salaries", experiments=[foreign.ref], tags={"team": "salaries"})
    here.scorers.register(foreign.ref, "salaries", "{}")
    there = {"{e}": str(foreign.id), "{r}": hidden.ref.name, "{t}": info.id, "{a}": assessment.id, "{d}": examples.ref.name}
    nowhere = {"{e}": "987654", "{r}": hidden.ref.name[::-1], "{t}": f"tr-{8:032x}"}
    nowhere |= {"{a}": f"a-{8:032x}", "{d}": f"d-{8:032x}"}
    mine = {"{own}": run.ref.name, "{ours}": str(ours.id)}

    def standing() -> list[Any]:
        seen = [here.experiments.experiment(foreign.ref), here.experiments.show(hidden.ref), here.traces.show(info.ref)]
        return [*seen, here.evaluation_sets.show(examples.ref), here.scorers.latest([foreign.ref])]

    before = standing()

    def told(client: Any, method: str, path: str, fields: Any, ids: dict[str, str]) -> tuple[int, str]:
        """The answer, with the ids taken out of it again."""
        body, known = json.dumps(fields), [*ids.items(), *mine.items()]
        for mark, identity in known:
            path, body = path.replace(mark, identity), body.replace(mark, identity)
        sent = {"params": json.loads(body)} if method == "GET" else {"json": json.loads(body)}
        answer = client.request(method, f"/api/{path}", **sent)
        text = answer.text
        for mark, identity in known:
            text = text.replace(identity, mark) if len(identity) > 3 else re.sub(rf"\b{identity}\b", mark, text)
        return answer.status_code, text

    with locked.client(locked.token("ada", ("scientist", "*:public"))) as ada:
        for method, path, fields in FOREIGN:
            status, text = told(ada, method, path, fields, there)
            assert status in (403, 404) or (status == 200 and method in ("GET", "POST")), (method, path, status, text)
            assert (status, text) == told(ada, method, path, fields, nowhere), (method, path)
    assert standing() == before


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
