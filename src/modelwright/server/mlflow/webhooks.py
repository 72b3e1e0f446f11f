"""Webhooks, as MLflow's protocol has them. Those that speak CloudEvents are made by our own doors and not seen here."""

from __future__ import annotations

from typing import Any, ClassVar

from modelwright.core.clock import isoformat
from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.routing import SIGNED_IN
from modelwright.webhooks import Outgoing, Sender, Webhook, WebhookChange, WebhookFormat, WebhookStatus
from modelwright.webhooks.mlflow import EXAMPLES, body
from modelwright.workspace import Workspace

MOST = 1000  # on one page


class WebhookEvent(Message):
    entity: str = ""
    action: str = ""

    @property
    def name(self) -> str:
        """`model_version.created`."""
        return f"{self.entity.lower()}.{self.action.lower()}"


class CreateWebhook(Message):
    needs: ClassVar = ("name", "url", "events")
    name: str = ""
    description: str = ""
    url: str = ""
    events: list[WebhookEvent] | None = None
    secret: str = ""
    status: str = ""


class UpdateWebhook(Message):
    needs: ClassVar = ("webhook_id",)
    webhook_id: str = ""
    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: list[WebhookEvent] | None = None
    secret: str | None = None
    status: str | None = None


class OneWebhook(Message):
    needs: ClassVar = ("webhook_id",)
    webhook_id: str = ""
    event: WebhookEvent | None = None


class ListWebhooks(Message):
    max_results: int = 100
    page_token: str | None = None


def endpoints(workspace: Workspace) -> list[Endpoint]:
    """`/2.0/mlflow/webhooks` and below; the right to `grant` is asked by the operations behind them."""
    doors = _Doors(workspace)
    one = "/2.0/mlflow/webhooks/{webhook_id}"
    return [
        Endpoint("POST", "/2.0/mlflow/webhooks", doors.create, needs=SIGNED_IN),
        Endpoint("GET", "/2.0/mlflow/webhooks", doors.list, needs=SIGNED_IN),
        Endpoint("GET", one, doors.get, needs=SIGNED_IN),
        Endpoint("PATCH", one, doors.update, needs=SIGNED_IN),
        Endpoint("DELETE", one, doors.delete, needs=SIGNED_IN),
        Endpoint("POST", f"{one}/test", doors.test, needs=SIGNED_IN),
    ]


class _Doors:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._hooks = workspace.webhooks
        settings = self._hooks.settings
        self._sender = Sender(settings.hosts, timeout=settings.timeout)

    async def create(self, call: Call) -> Any:
        asked = await call.message(CreateWebhook)
        events = [each.name for each in asked.events or ()]
        made = await call.run(
            lambda: self._hooks.create(
                asked.name,
                asked.url,
                events,
                format=WebhookFormat.MLFLOW,
                description=asked.description,
                secret=asked.secret,
                status=_status(asked.status or "ACTIVE"),
            )
        )
        return {"webhook": told(made)}

    async def list(self, call: Call) -> Any:
        asked = await call.message(ListWebhooks)
        if not 1 <= asked.max_results <= MOST:
            raise invalid(f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {MOST}.")
        after = asked.page_token or None
        page = await call.run(lambda: self._hooks.list(format=WebhookFormat.MLFLOW, limit=asked.max_results, after=after))
        return {
            **({"webhooks": [told(each) for each in page.items]} if page.items else {}),
            **({"next_page_token": page.next} if page.next else {}),
        }

    async def get(self, call: Call) -> Any:
        asked = await call.message(OneWebhook)
        return {"webhook": told(await call.run(lambda: self._found(asked.webhook_id)))}

    async def update(self, call: Call) -> Any:
        asked = await call.message(UpdateWebhook)
        change = WebhookChange(
            name=asked.name,
            description=asked.description,
            url=asked.url,
            events=[each.name for each in asked.events] if asked.events else None,
            secret=asked.secret or None,
            status=_status(asked.status) if asked.status else None,
        )
        return {"webhook": told(await call.run(lambda: self._hooks.update(self._found(asked.webhook_id).ref, change)))}

    async def delete(self, call: Call) -> Any:
        asked = await call.message(OneWebhook)
        await call.run(lambda: self._hooks.delete(self._found(asked.webhook_id).ref))

    async def test(self, call: Call) -> Any:
        asked = await call.message(OneWebhook)
        outgoing = await call.run(lambda: self._outgoing(asked))
        home = self._home()
        answer = await call.run(lambda: self._sender.send(outgoing, home.clock.now()))
        result: dict[str, Any] = {"success": answer.ok}
        if answer.status:
            result |= {"response_status": answer.status, "response_body": answer.body}
        if answer.error:
            result["error_message"] = answer.error
        return {"result": result}

    def _outgoing(self, asked: OneWebhook) -> Outgoing:
        home = self._home()
        found = self._found(asked.webhook_id)
        name = asked.event.name if asked.event is not None else found.events[0]
        if name not in EXAMPLES:
            raise invalid(f"Invalid value {name[:100]!r} for parameter 'event' supplied: there are {', '.join(EXAMPLES)}.")
        with home.caller().transaction(write=False) as tx:
            return self._hooks.outgoing(tx, found.ref, name, body(name, isoformat(tx.now), EXAMPLES[name]))

    def _found(self, identity: str) -> Webhook:
        try:
            found = self._hooks.show(Ref(Kind.WEBHOOK, identity))
        except (BadRef, NotFound):
            raise _unknown(identity) from None
        if found.format is not WebhookFormat.MLFLOW:
            raise _unknown(identity)
        return found

    def _home(self) -> Any:
        if self._workspace.home is None:
            raise RuntimeError("a server needs a workspace that lies here")
        return self._workspace.home


def told(webhook: Webhook) -> dict[str, Any]:
    """A webhook in MLflow's words: never its secret."""
    events = [each.partition(".") for each in webhook.events]
    return {
        "webhook_id": webhook.id,
        "name": webhook.name,
        **({"description": webhook.description} if webhook.description else {}),
        "url": webhook.url,
        "events": [{"entity": entity.upper(), "action": action.upper()} for entity, _, action in events],
        "status": webhook.status.value.upper(),
        "creation_timestamp": int(webhook.created_at.timestamp() * 1000),
        "last_updated_timestamp": int(webhook.updated_at.timestamp() * 1000),
    }


def _status(text: str) -> WebhookStatus:
    try:
        return WebhookStatus(text.lower())
    except ValueError:
        raise invalid(f"Invalid value {text[:80]!r} for parameter 'status' supplied: ACTIVE or DISABLED.") from None


def _unknown(identity: str) -> MlflowError:
    return missing(f"Webhook with ID {identity[:80]} not found.")
