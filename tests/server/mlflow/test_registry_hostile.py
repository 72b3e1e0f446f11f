"""Every attack of the list on every parameter of the registry: a plain refusal or a harmless yes, and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelwright.core.refs import Ref
from modelwright.models import Stage
from modelwright.server.mlflow.model_versions import endpoints as of_versions
from modelwright.server.mlflow.registered_models import endpoints as of_models
from tests.server.mlflow.attacking import NESTED, WRONG_TYPES, Target, check
from tests.server.mlflow.payloads import EVERYTHING, HEAVY, INJECTIONS, LOOKALIKES, SCRIPTS, TRAVERSALS

MODELS, VERSIONS = "2.0/mlflow/registered-models", "2.0/mlflow/model-versions"
CHURN = Ref.parse("model:churn")
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
FREE = [*TRAVERSALS[::7], *INJECTIONS[::3], *SCRIPTS, *HEAVY[::4]]


@pytest.fixture(scope="module")
def target(served: Any) -> Iterator[Target]:
    assert served.here.registry.create("churn").ref == CHURN
    served.here.models.log_folder("churn", {}, source="s3://bucket/x")
    served.here.policy.adopt('name = "closed"\n[[tier.high.require]]\nid = "never"\nevidence = "never"\n')
    yield Target(served.here)
    kept = served.here.registry.titled("churn")
    assert kept.title == "churn" and served.here.models.show(kept.ref.at(1)).record.source == "s3://bucket/x"
    assert {each.stage for each in kept.latest} <= {Stage.CANDIDATE, Stage.ARCHIVED}  # nothing has passed the gate


def test_no_endpoint_is_left_out(served: Any) -> None:
    offered = {(each.method, each.below) for each in [*of_models(served.here), *of_versions(served.here, None)]}  # type: ignore[arg-type]
    assert offered == {(method, path if path.startswith("/") else f"/{path}") for method, path, _ in REQUESTS}


@pytest.mark.parametrize(("method", "path", "fields", "name"), PARAMETERS)
def test_no_payload_breaks_a_parameter(
    target: Target, method: str, path: str, fields: dict[str, Any], name: str, thorough: bool
) -> None:
    """Each parameter is given a twelfth of the list, each another one: any payload is tried on about five of them."""
    payloads = FREE if name in ("description", "value") else EVERYTHING  # each of those is a write
    if not thorough:
        payloads = payloads[PARAMETERS.index((method, path, fields, name)) % 12 :: 12]
    answers = target.send([(method, path, fields | {name: payload}) for payload in payloads])
    for payload, answer in zip(payloads, answers, strict=True):
        check(answer, payload)
    if path.endswith("rename"):  # a text that can be a name has become its name
        target.here.registry.rename(CHURN, "churn")


@pytest.mark.parametrize(("method", "path", "fields", "name"), [each for each in PARAMETERS if each[0] != "GET"])
def test_no_wrong_type_breaks_a_parameter(
    target: Target, method: str, path: str, fields: dict[str, Any], name: str, thorough: bool
) -> None:
    """Each is given a third of them, the next one another third; `thorough` gives each all."""
    at = PARAMETERS.index((method, path, fields, name)) % 3
    values = WRONG_TYPES if thorough else WRONG_TYPES[at::3]
    answers = target.send([(method, path, fields | {name: value}) for value in values])
    for value, answer in zip(values, answers, strict=True):
        check(answer, value)


def test_what_is_missing_is_named(target: Target) -> None:
    answers = target.send([(method, path, {}) for method, path, _ in REQUESTS])
    for (_, path, _), answer in zip(REQUESTS, answers, strict=True):
        check(answer, path)
        if not path.endswith("search"):
            assert answer.status == 400 and "Missing value for required parameter" in answer.told["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}" * 1000, NESTED.encode(), b'{"name": NaN}']
)
def test_no_body_breaks_it(target: Target, body: bytes) -> None:
    for answer in target.raw([(method, path, body) for method, path, _ in REQUESTS if method != "GET"]):
        check(answer, body[:50])


@pytest.mark.parametrize("name", [each for each in LOOKALIKES if "/" not in each and ":" not in each])
def test_a_name_that_looks_like_another_is_another_or_none(target: Target, name: str) -> None:
    """SEC-14: what is done to one is never done to the other."""
    answer = target.one("POST", f"{MODELS}/create", {"name": name, "tags": [{"key": "mine", "value": "1"}]})
    check(answer, name)
    here = target.here.registry
    if answer.status == 200:
        assert answer.told["registered_model"]["name"] == name
        assert here.titled(name).ref != here.titled("churn").ref
        assert [each.title for each in here.search().items].count(name) == 1
        here.delete(here.titled(name).ref, reason="tried")
    assert "mine" not in here.titled("churn").tags


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_said_of_a_model_is_text_on_its_pages(target: Target, served: Any, script: str) -> None:
    """SEC-10."""
    name, version = {"name": "churn"}, {"name": "churn", "version": "1"}
    said = target.send(
        [
            ("PATCH", f"{MODELS}/update", name | {"description": script}),
            ("PATCH", f"{VERSIONS}/update", version | {"description": script}),
            ("POST", f"{VERSIONS}/set-tag", version | {"key": "k", "value": script}),
        ]
    )
    assert [answer.status for answer in said] == [200, 200, 200]
    for page in ("/models", "/models/churn", "/models/churn@1"):
        answer = served.http.get(page, headers={"accept": "text/html"})
        assert answer.status_code in (200, 404)
        if "<" in script and not script.startswith("&"):
            assert script not in answer.text
