"""Who may be told of what, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.principals import Principal
from modelwright.store import acting_as
from modelwright.webhooks import WebhookChange, WebhookFormat, WebhookStatus
from modelwright.workspace import Workspace

URL = "https://hooks.example.com/in"


def test_a_webhook_is_made_shown_changed_and_deleted(workspace: Workspace) -> None:
    made = workspace.webhooks.create("chat", URL, ["models", "deployments.rollout"], secret="hush", description="to us")
    assert (made.name, made.signed, made.status) == ("chat", True, WebhookStatus.ACTIVE)
    assert workspace.webhooks.show(made.ref) == made
    changed = workspace.webhooks.update(made.ref, WebhookChange(events=["*"], status=WebhookStatus.DISABLED, secret=""))
    assert (changed.events, changed.status, changed.signed) == (["*"], WebhookStatus.DISABLED, False)
    assert [each.id for each in workspace.webhooks.list().items] == [made.id]
    workspace.webhooks.delete(made.ref)
    for gone in (workspace.webhooks.show, workspace.webhooks.delete, workspace.webhooks.deliveries):
        with pytest.raises(NotFound):
            gone(made.ref)
    assert workspace.webhooks.list().items == []


def test_a_secret_is_nowhere_to_be_read(embedded: Workspace) -> None:
    made = embedded.webhooks.create("chat", URL, ["models"], secret="canary-5150")
    embedded.webhooks.update(made.ref, WebhookChange(secret="canary-5151"))
    assert embedded.home is not None
    with embedded.home.caller().transaction(write=False) as tx:
        assert embedded.webhooks.secret_of(tx, made.id) == "canary-5151"
    embedded.home.database.dispose()
    for path in embedded.home.folder.rglob("*"):
        assert path.is_dir() or b"canary-515" not in path.read_bytes(), path
    key = embedded.home.folder / "keys" / "webhooks.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    told = str([embedded.webhooks.show(made.ref), embedded.webhooks.list(), embedded.record.history(made.ref)])
    assert "canary" not in told


def test_lists_come_in_pages(embedded: Workspace) -> None:
    made = [embedded.webhooks.create(f"w{number}", URL, ["*"]) for number in range(3)]
    first = embedded.webhooks.list(limit=2)
    rest = embedded.webhooks.list(limit=2, after=first.next)
    assert {each.id for each in [*first.items, *rest.items]} == {each.id for each in made}
    assert rest.next is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"title": " "}, "name"),
        ({"title": "x" * 201}, "name"),
        ({"url": "http://hooks.example.com/"}, "https"),
        ({"url": "https://127.0.0.1/"}, "public internet"),
        ({"events": []}, "kinds of events"),
        ({"events": ["No Action"]}, "no action"),
        ({"events": ["model_version.updated"], "format": WebhookFormat.MLFLOW}, "Valid actions are: created"),
        ({"events": ["model_versions.created"], "format": WebhookFormat.MLFLOW}, "Did you mean model_version"),
        ({"secret": "x" * 501}, "secret"),
        ({"description": "x" * 5001}, "description"),
    ],
)
def test_what_makes_no_webhook_is_refused(embedded: Workspace, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        embedded.webhooks.create(**{"title": "chat", "url": URL, "events": ["models"], **fields})


def test_only_who_may_grant_has_to_do_with_webhooks(embedded: Workspace) -> None:
    made = embedded.webhooks.create("chat", URL, ["*"])
    for name, role in (("ada", "scientist"), ("root", "admin")):
        embedded.access.create_user(name)
        embedded.access.grant(name, role, reason="as agreed")
    with acting_as(Principal(id="ada", auth="token")):
        for refused in (
            lambda: embedded.webhooks.create("mine", URL, ["*"]),
            lambda: embedded.webhooks.list(),
            lambda: embedded.webhooks.show(made.ref),
            lambda: embedded.webhooks.update(made.ref, WebhookChange(url="https://evil.example.com/")),
            lambda: embedded.webhooks.delete(made.ref),
            lambda: embedded.webhooks.deliveries(made.ref),
            lambda: embedded.webhooks.redeliver(made.ref, "x"),
        ):
            with pytest.raises(Denied):
                refused()
    with acting_as(Principal(id="root", auth="token")):
        assert embedded.webhooks.show(made.ref) == made
