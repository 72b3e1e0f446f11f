"""Webhooks through MLflow's own client, delivered to a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException

from modelwright.core.refs import Ref
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace
from tests.webhooks.receiver import Receiver, receiving

ALL = [
    WebhookEvent(entity, action)
    for entity, action in [
        ("registered_model", "created"),
        ("model_version", "created"),
        ("model_version_tag", "set"),
        ("model_version_tag", "deleted"),
        ("model_version_alias", "created"),
        ("model_version_alias", "deleted"),
        ("prompt", "created"),
        ("prompt_version", "created"),
        ("prompt_tag", "set"),
        ("prompt_tag", "deleted"),
        ("prompt_version_tag", "set"),
        ("prompt_version_tag", "deleted"),
        ("prompt_alias", "created"),
        ("prompt_alias", "deleted"),
    ]
]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Workspace]:
    settings = Settings(
        workspace=WorkspaceSettings(name="test"),
        server=ServerSettings(turn_every=0.05),
        webhooks={"hosts": [receiver.host]},
    )
    with open_workspace(Path(tmp_path_factory.mktemp("hooks")) / "project", settings=settings) as made:
        yield made


@pytest.fixture(scope="module")
def url(here: Workspace) -> Iterator[str]:
    with serving(here) as address:
        yield address


@pytest.fixture
def client(url: str, receiver: Receiver) -> Iterator[Any]:
    made = MlflowClient(url, url)
    yield made
    for hook in made.list_webhooks():
        made.delete_webhook(hook.webhook_id)
    receiver.clear()


def test_a_webhook_is_made_found_changed_and_deleted(client: Any) -> None:
    made = client.create_webhook("chat", "https://hooks.example.com/x", ALL[:2], description="to us", secret="hush")
    assert (made.name, made.url, made.status) == ("chat", "https://hooks.example.com/x", WebhookStatus.ACTIVE)
    assert made.events == ALL[:2]
    found = client.get_webhook(made.webhook_id)
    assert (found.webhook_id, found.description, found.secret) == (made.webhook_id, "to us", None)
    changed = client.update_webhook(made.webhook_id, name="chats", status="DISABLED", events=[ALL[4]])
    assert (changed.name, changed.status, changed.events) == ("chats", WebhookStatus.DISABLED, [ALL[4]])
    assert changed.url == made.url
    client.delete_webhook(made.webhook_id)
    for gone in (client.get_webhook, client.delete_webhook, client.test_webhook):
        with pytest.raises(MlflowException) as raised:
            gone(made.webhook_id)
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_lists_come_in_pages(client: Any) -> None:
    made = {client.create_webhook(f"w{n}", "https://hooks.example.com/", ALL[:1]).webhook_id for n in range(3)}
    first = client.list_webhooks(max_results=2)
    rest = client.list_webhooks(max_results=2, page_token=first.token)
    assert {each.webhook_id for each in [*first, *rest]} == made
    assert not rest.token


def test_a_test_says_what_the_receiver_said(client: Any, receiver: Receiver) -> None:
    made = client.create_webhook("chat", receiver.url, ALL[:1], secret="hush")
    found = client.test_webhook(made.webhook_id, event=ALL[5])
    assert (found.success, found.response_status, found.response_body) == (True, 200, "taken")
    _, headers, body = receiver.wait(1)[0]
    assert json.loads(body)["entity"] == "model_version_alias"
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(b"hush", signed, hashlib.sha256).digest()).decode()
    assert headers["x-mlflow-signature"] == f"v1,{wanted}"
    receiver.answers = [(500, {}, b"broken")]
    failed = client.test_webhook(made.webhook_id)
    assert (failed.success, failed.response_status, failed.response_body) == (False, 500, "broken")


def test_a_test_of_a_receiver_that_is_not_there_says_so(client: Any) -> None:
    made = client.create_webhook("chat", "https://no-such-host.invalid/", ALL[:1])
    found = client.test_webhook(made.webhook_id)
    assert not found.success
    assert "no address" in found.error_message


def test_models_versions_tags_and_aliases_are_told(client: Any, receiver: Receiver, here: Workspace) -> None:
    client.create_webhook("chat", receiver.url, ALL, secret="hush")
    here.registry.create("Late arrivals", description="says when", tags={"team": "ops"})
    told = _told(receiver, 1)
    assert told == [
        ("registered_model.created", {"name": "Late arrivals", "tags": {"team": "ops"}, "description": "says when"})
    ]
    _, headers, body = receiver.wait(1)[0]
    assert set(json.loads(body)) == {"entity", "action", "timestamp", "data"}
    assert headers["content-type"] == "application/json"
    here.registry.create("hello", tags={"mlflow.prompt.is_prompt": "true"})
    here.registry.tag(Ref.parse("model:hello"), {"mood": "kind", "mlflow.prompt.is_prompt": "true"})
    here.registry.tag(Ref.parse("model:hello"), {"mood": None})
    here.registry.tag(Ref.parse("model:hello"), {"a=b": "c=d"})
    told = _told(receiver, 6)
    assert [name for name, _ in told[1:5]] == ["prompt.created", "prompt_tag.set", "prompt_tag.set", "prompt_tag.deleted"]
    assert told[5] == ("prompt_tag.set", {"name": "hello", "key": "a=b", "value": "c=d"})


def _told(receiver: Receiver, count: int) -> list[tuple[str, Any]]:
    bodies = [json.loads(body) for _, _, body in receiver.wait(count)]
    return [(f"{each['entity']}.{each['action']}", each["data"]) for each in sorted(bodies, key=lambda b: b["timestamp"])]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": ""}, "Missing value for required parameter 'name'"),
        ({"name": None}, "Missing value for required parameter 'name'"),
        ({"events": []}, "events"),
        ({"events": None}, "Missing value for required parameter 'events'"),
        ({"events": [{"entity": "REGISTERED_MODEL", "action": "DELETED"}]}, "Valid actions are: created"),
        ({"events": [{"entity": "NOTHING", "action": "SET"}]}, "no entity"),
        ({"events": [7]}, "Invalid value"),
        ({"url": "http://hooks.example.com"}, "https"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "public internet"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, "public internet"),
        ({"url": "https://2852039166/"}, "public internet"),
        ({"status": "SLEEPING"}, "ACTIVE or DISABLED"),
        ({"name": "\ud800"}, ""),
        ({"secret": "\ud800"}, ""),
        ({"name": "a\x00b"}, "name"),
    ],
)
def test_what_makes_no_webhook_is_refused(client: Any, url: str, fields: dict[str, Any], why: str) -> None:
    import httpx

    event = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
    wanted = {"name": "chat", "url": "https://hooks.example.com/", "events": [event], **fields}
    answer = httpx.post(f"{url}/api/2.0/mlflow/webhooks", content=json.dumps(wanted).encode())
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
    assert why in answer.json()["message"]


def test_one_that_speaks_cloudevents_is_not_mlflows(client: Any, here: Workspace) -> None:
    made = here.webhooks.create("native", "https://hooks.example.com/", ["models"])
    assert client.list_webhooks() == []
    with pytest.raises(MlflowException):
        client.get_webhook(made.id)
    here.webhooks.delete(made.ref)
