"""The nouns of webhooks: who is told, of what, in which form, and how it went. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from modelwright.core.refs import Kind, Ref

# What MLflow's webhooks can be told of, and the actions of each, as its protocol names them.
MLFLOW_EVENTS: Final = {
    "registered_model": ("created",),
    "model_version": ("created",),
    "model_version_tag": ("set", "deleted"),
    "model_version_alias": ("created", "deleted"),
    "prompt": ("created",),
    "prompt_version": ("created",),
    "prompt_tag": ("set", "deleted"),
    "prompt_version_tag": ("set", "deleted"),
    "prompt_alias": ("created", "deleted"),
    "budget_policy": ("exceeded",),
}


class WebhookFormat(StrEnum):
    """How an event is told."""

    MLFLOW = "mlflow"  # its body, its headers, its signature
    CLOUDEVENTS = "cloudevents"  # structured: the whole event is the body
    CLOUDEVENTS_BINARY = "cloudevents-binary"  # attributes as headers, the data as the body


class WebhookStatus(StrEnum):
    """Whether it is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"  # not sent yet, or to be tried again
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver of events. Its secret is never told."""

    id: str
    name: str
    description: str = ""
    url: str
    events: list[str]  # MLflow's (`model_version.created`), or actions of the ledger and beginnings of them (`models`)
    format: WebhookFormat = WebhookFormat.MLFLOW
    status: WebhookStatus = WebhookStatus.ACTIVE
    signed: bool = False  # there is a secret
    created_at: datetime
    created_by: str
    updated_at: datetime

    @property
    def ref(self) -> Ref:
        """`webhook:<id>`."""
        return Ref(Kind.WEBHOOK, self.id)


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a webhook; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: list[str] | None = None
    format: WebhookFormat | None = None
    status: WebhookStatus | None = None
    secret: str | None = None  # empty: none from now on


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook."""

    id: str
    webhook: str
    event: str
    seq: int | None  # of the event in the ledger; None for a test
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime | None  # of the next attempt
    finished_at: datetime | None = None
    status: int | None = None  # of the last answer
    error: str = ""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent, where. Does not leave the process: it holds the secret."""

    id: str
    url: str
    event: str  # the name in the webhook's own words
    format: WebhookFormat
    payload: dict[str, Any]  # the body, or the event in the form of CloudEvents
    secret: str = ""
    attempts: int = 0
    webhook: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt."""

    status: int | None = None  # None: nobody answered
    body: str = ""  # its beginning
    error: str = ""
    wait: float | None = None  # seconds that the receiver asked to be left alone

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def again(self) -> bool:
        """Whether another attempt may go better: not after an answer that says the request is wrong."""
        if self.status is None:
            return True
        return self.status == 429 or self.status >= 500
