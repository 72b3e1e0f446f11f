"""Every attack of the list on every parameter of the registry: a plain refusal or a harmless yes, and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from modelwright.server.mlflow.model_versions import endpoints as of_versions
from modelwright.server.mlflow.registered_models import endpoints as of_models
from tests.server.mlflow.payloads import EVERYTHING, LOOKALIKES, SCRIPTS

MODELS, VERSIONS = "2.0/mlflow/registered-models", "2.0/mlflow/model-versions"
TAGS = [{"key": "k", "value": "v"}]
# Every endpoint with a request that is good but for one parameter at a time.
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"{MODELS}/create", {"name": "fresh", "description": "x", "tags": TAGS}),
    ("GET", f"{MODELS}/get", {"name": "churn"}),
    ("PATCH", f"{MODELS}/update", {"name": "churn", "description": "x"}),
    ("POST", f"{MODELS}/rename", {"name": "churn", "new_name": "churn"}),
    ("DELETE", f"{MODELS}/delete", {"name": "nobody"}),
    ("GET", f"{MODELS}/search", {"filter": "name = 'x'", "max_results": 1, "order_by": "name", "page_token": ""}),
    ("GET", f"{MODELS}/get-latest-versions", {"name": "churn", "stages": "None"}),
    ("POST", f"{MODELS}/get-latest-versions", {"name": "churn", "stages": ["None"]}),
    ("POST", f"{MODELS}/set-tag", {"name": "churn", "key": "k", "value": "v"}),
    ("DELETE", f"{MODELS}/delete-tag", {"name": "churn", "key": "k"}),
    ("GET", f"{MODELS}/alias", {"name": "churn", "alias": "live"}),
    ("POST", f"{MODELS}/alias", {"name": "churn", "alias": "live", "version": "1"}),
    ("DELETE", f"{MODELS}/alias", {"name": "churn", "alias": "gone"}),
    (
        "POST",
        f"{VERSIONS}/create",
        {
            "name": "churn",
            "source": "s3://b/x",
            "run_id": "",
            "model_id": "",
            "run_link": "",
            "description": "",
            "tags": TAGS,
        },
    ),
    ("GET", f"{VERSIONS}/get", {"name": "churn", "version": "1"}),
    ("GET", f"{VERSIONS}/get-download-uri", {"name": "churn", "version": "1"}),
    ("PATCH", f"{VERSIONS}/update", {"name": "churn", "version": "1", "description": "x"}),
    ("DELETE", f"{VERSIONS}/delete", {"name": "churn", "version": "999"}),
    ("GET", f"{VERSIONS}/search", {"filter": "name = 'x'", "max_results": 1, "order_by": "name", "page_token": ""}),
    (
        "POST",
        f"{VERSIONS}/transition-stage",
        {"name": "churn", "version": "1", "stage": "Staging", "archive_existing_versions": False},
    ),
    ("POST", f"{VERSIONS}/set-tag", {"name": "churn", "version": "1", "key": "k", "value": "v"}),
    ("DELETE", f"{VERSIONS}/delete-tag", {"name": "churn", "version": "1", "key": "k"}),
    ("GET", "/model-versions/get-artifact", {"name": "churn", "version": "1", "path": "MLmodel"}),
]
PARAMETERS = [(method, path, fields, name) for method, path, fields in REQUESTS for name in fields]
CODES = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
}
WRONG_TYPES: list[Any] = [None, 0, -1, 1.5, 10**40, True, "", [], [[]], {}, {"a": {"b": {}}}, [None], [1], ["x"] * 1000]
NESTED = '{"name": ' + "[" * 20_000 + "]" * 20_000 + "}"


@pytest.fixture(scope="module")
def target(served: Any) -> Iterator[Any]:
    served.here.registry.create("churn")
    served.here.models.log_folder("churn", {}, source="s3://bucket/x")
    yield served
    kept = served.here.registry.titled("churn")
    assert kept.title == "churn" and kept.latest  # nothing of all that has touched it


def send(url: str, method: str, path: str, fields: dict[str, Any]) -> httpx.Response:
    address = path if path.startswith("/") else f"/api/{path}"
    with httpx.Client(base_url=url, timeout=60) as http:
        if method == "GET":
            return http.get(address, params={key: str(value) for key, value in fields.items()})
        return http.request(method, address, json=fields)


def check(answer: httpx.Response, what: Any) -> None:
    """A good answer, or one of the refusals that MLflow's client knows."""
    assert answer.status_code < 500, (what, answer.text)
    if answer.status_code != 200:
        told = answer.json()
        assert CODES.get(told["error_code"]) == answer.status_code, (what, answer.text)
        assert len(told["message"]) < 5000, what


def test_no_endpoint_is_left_out(served: Any) -> None:
    offered = {(each.method, each.below) for each in [*of_models(served.here), *of_versions(served.here, None)]}  # type: ignore[arg-type]
    assert offered == {(method, path if path.startswith("/") else f"/{path}") for method, path, _ in REQUESTS}


@pytest.mark.parametrize(("method", "path", "fields", "name"), PARAMETERS)
def test_no_payload_breaks_a_parameter(target: Any, method: str, path: str, fields: dict[str, Any], name: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda payload: send(target.url, method, path, fields | {name: payload}), EVERYTHING)
        for payload, answer in zip(EVERYTHING, answers, strict=True):
            check(answer, payload)


@pytest.mark.parametrize(("method", "path", "fields", "name"), [each for each in PARAMETERS if each[0] != "GET"])
def test_no_wrong_type_breaks_a_parameter(target: Any, method: str, path: str, fields: dict[str, Any], name: str) -> None:
    for value in WRONG_TYPES:
        check(send(target.url, method, path, fields | {name: value}), value)


@pytest.mark.parametrize(("method", "path", "fields"), REQUESTS)
def test_what_is_missing_is_named(target: Any, method: str, path: str, fields: dict[str, Any]) -> None:
    answer = send(target.url, method, path, {})
    check(answer, path)
    if not path.endswith("search"):
        assert answer.status_code == 400 and "Missing value for required parameter" in answer.json()["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}" * 1000, NESTED.encode(), b'{"name": NaN}']
)
def test_no_body_breaks_it(target: Any, body: bytes) -> None:
    for method, path, _ in REQUESTS:
        if method != "GET":
            address = f"{target.url}/api/{path}"
            check(httpx.request(method, address, content=body, headers={"content-type": "application/json"}), body[:50])


@pytest.mark.parametrize("name", [each for each in LOOKALIKES if "/" not in each and ":" not in each])
def test_a_name_that_looks_like_another_is_another_or_none(target: Any, name: str) -> None:
    """SEC-14: what is done to one is never done to the other."""
    tags = [{"key": "mine", "value": "1"}]
    answer = send(target.url, "POST", f"{MODELS}/create", {"name": name, "tags": tags})
    check(answer, name)
    if answer.status_code == 200:
        here = target.here.registry
        assert answer.json()["registered_model"]["name"] == name
        assert here.titled(name).ref != here.titled("churn").ref
        assert "mine" not in here.titled("churn").tags
        assert [each.title for each in here.search().items].count(name) == 1
        here.delete(here.titled(name).ref, reason="tried")


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_said_of_a_model_is_text_on_its_pages(target: Any, script: str) -> None:
    """SEC-10."""
    send(target.url, "PATCH", f"{MODELS}/update", {"name": "churn", "description": script})
    send(target.url, "PATCH", f"{VERSIONS}/update", {"name": "churn", "version": "1", "description": script})
    send(target.url, "POST", f"{VERSIONS}/set-tag", {"name": "churn", "version": "1", "key": "k", "value": script})
    ref = target.here.registry.titled("churn").ref
    for page in ("/models", f"/models/{ref.name}", f"/models/{ref.name}@1"):
        answer = target.http.get(page, headers={"accept": "text/html"})
        assert answer.status_code in (200, 404)
        if "<" in script:
            assert script not in answer.text
