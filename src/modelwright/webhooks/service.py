"""The service of the room: who is told of what."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from modelwright.core.clock import Clock, SystemClock
from modelwright.core.errors import Invalid
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.store import Transaction
from modelwright.webhooks import queries
from modelwright.webhooks.address import check_form
from modelwright.webhooks.records import (
    MLFLOW_EVENTS,
    Delivery,
    Outgoing,
    Webhook,
    WebhookChange,
    WebhookFormat,
    WebhookStatus,
)
from modelwright.webhooks.sealing import Seal
from modelwright.webhooks.tables import deliveries, webhook_of, webhooks

MAX_NAME, MAX_DESCRIPTION, MAX_SECRET = 200, 5000, 500  # characters
MAX_EVENTS = 100
_ACTION = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*")


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[webhooks]`: which receivers may lie inside, and how hard to try."""

    hosts: list[str] = []  # `host` or `host:port` that may be reached over http and at a private address
    key: str = ""  # the file of the key that secrets are sealed with; empty: in the workspace's own folder
    timeout: float = 10.0  # seconds for one attempt
    attempts: int = 8  # before a delivery is given up: with the waits between them, some minutes
    workers: int = 4  # deliveries on their way at once


class Webhooks(Room):
    """Receivers of events outside: readings of the ledger that are sent on, signed, until they are taken or given up.

    Whoever makes one can read every event by it, so it takes the right to `grant` on `webhook:*`.
    """

    room: ClassVar[str] = "webhooks"
    kind: ClassVar[Kind] = Kind.WEBHOOK

    def __init__(
        self, caller: Caller, *, settings: WebhookSettings, key: Path | None = None, clock: Clock | None = None
    ) -> None:
        """`key` is the file that secrets are sealed with, where the workspace lies here."""
        super().__init__(caller)
        self.settings = settings
        self.clock = clock or SystemClock()
        self._seal = Seal(key) if key is not None else None

    @operation("grant", event="webhooks.webhook.created", on="")
    def create(
        self,
        tx: Transaction,
        title: str,
        url: str,
        events: Sequence[str],
        *,
        format: WebhookFormat = WebhookFormat.CLOUDEVENTS,
        description: str = "",
        secret: str = "",
        status: WebhookStatus = WebhookStatus.ACTIVE,
        reason: str = "",
    ) -> Webhook:
        """Send events to a URL from now on.

        `events` are actions of the ledger or beginnings of them (`models`, `deployments.rollout`), or MLflow's
        (`model_version.created`) for its format. With a secret, deliveries are signed.
        """
        self._check(title, description, url, events, format, secret)
        identity = tx.new_id()
        tx.execute(
            webhooks.insert().values(
                id=identity,
                name=title,
                description=description,
                url=url,
                events=encode_text(list(dict.fromkeys(events))),
                format=format.value,
                status=status.value,
                secret=self._sealed(secret, identity),
                seen=queries.end_of_ledger(tx),
                created_at=tx.stamp,
                created_by=tx.principal.id,
                updated_at=tx.stamp,
                deleted=False,
            )
        )
        made = webhook_of(queries.row(tx, identity))
        tx.note(resource=made.ref, after=_told(made))
        return made

    @operation("grant")
    def show(self, tx: Transaction, ref: Ref) -> Webhook:
        """Show one webhook. Its secret is never told."""
        return webhook_of(queries.row(tx, ref.name))

    @operation("grant", on="")
    def list(
        self, tx: Transaction, *, format: WebhookFormat | None = None, limit: int = 100, after: str | None = None
    ) -> Page[Webhook]:
        """List webhooks, newest first."""
        return queries.list_webhooks(tx, format, limit, after)

    @operation("grant", event="webhooks.webhook.changed")
    def update(self, tx: Transaction, ref: Ref, change: WebhookChange, *, reason: str = "") -> Webhook:
        """Change a webhook. One that is made active again is told of what happens from then on."""
        before = webhook_of(queries.row(tx, ref.name))
        new = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        secret = new.pop("secret", None)
        after = msgspec.structs.replace(before, **new)
        self._check(after.name, after.description, after.url, after.events, after.format, secret or "")
        if after == before and secret is None:
            tx.unchanged()
            return before
        values: dict[str, Any] = {
            "name": after.name,
            "description": after.description,
            "url": after.url,
            "events": encode_text(list(dict.fromkeys(after.events))),
            "format": after.format.value,
            "status": after.status.value,
            "updated_at": tx.stamp,
        }
        if secret is not None:
            values["secret"] = self._sealed(secret, ref.name)
        if after.status is WebhookStatus.ACTIVE and before.status is WebhookStatus.DISABLED:
            values["seen"] = queries.end_of_ledger(tx)
        tx.execute(webhooks.update().where(webhooks.c.id == ref.name).values(**values))
        told = {"secret": "another"} if secret else {"secret": "none"} if secret is not None else {}
        tx.note(resource=ref, before=_told(before), after=_told(after) | told)
        return webhook_of(queries.row(tx, ref.name))

    @operation("grant", event="webhooks.webhook.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> None:
        """Delete a webhook, with its secret and what was still on its way."""
        before = webhook_of(queries.row(tx, ref.name))
        tx.execute(deliveries.delete().where(deliveries.c.webhook == ref.name))
        tx.execute(webhooks.update().where(webhooks.c.id == ref.name).values(deleted=True, secret=None))
        tx.note(resource=ref, before=_told(before))

    @operation("grant")
    def deliveries(self, tx: Transaction, ref: Ref, *, limit: int = 100, after: str | None = None) -> Page[Delivery]:
        """What was sent to a webhook or will be, newest first: how it went, and when it is tried again."""
        queries.row(tx, ref.name)
        return queries.list_deliveries(tx, ref.name, limit, after)

    @operation("grant", event="webhooks.delivery.repeated")
    def redeliver(self, tx: Transaction, ref: Ref, delivery: str, *, reason: str = "") -> Delivery:
        """Send once more what was delivered or given up."""
        queries.row(tx, ref.name)
        again = queries.send_again(tx, ref.name, delivery, self.clock.now())
        tx.note(resource=ref, after={"delivery": delivery})
        return again

    # Where the workspace lies

    def outgoing(self, tx: Transaction, ref: Ref, event: str, payload: dict[str, Any]) -> Outgoing:
        """What would be sent of an event, to try a webhook out at once."""
        found = self.show(ref)
        secret = self.secret_of(tx, found.id)
        return Outgoing(id=tx.new_id(), url=found.url, event=event, format=found.format, payload=payload, secret=secret)

    def secret_of(self, tx: Transaction, webhook: str) -> str:
        """The secret of a webhook, or nothing; it does not leave this process but as a signature."""
        sealed = queries.sealed(tx, webhook)
        if sealed is None:
            return ""
        return self._here().open(sealed, webhook)

    def _sealed(self, secret: str, identity: str) -> bytes | None:
        return self._here().seal(secret, identity) if secret else None

    def _here(self) -> Seal:
        if self._seal is None:
            raise RuntimeError("secrets are sealed and opened where the workspace is")
        return self._seal

    def _check(
        self, title: str, description: str, url: str, events: Sequence[str], format: WebhookFormat, secret: str
    ) -> None:
        if not title.strip() or len(title) > MAX_NAME or "\x00" in title:
            raise Invalid(f"The name of a webhook has 1 to {MAX_NAME} characters.")
        if len(description) > MAX_DESCRIPTION or "\x00" in description:
            raise Invalid(f"The description of a webhook has at most {MAX_DESCRIPTION} characters.")
        if len(secret) > MAX_SECRET:
            raise Invalid(f"The secret of a webhook has at most {MAX_SECRET} characters.")
        check_form(url, {each.lower() for each in self.settings.hosts})
        if not 0 < len(events) <= MAX_EVENTS:
            raise Invalid(f"A webhook is told of 1 to {MAX_EVENTS} kinds of events, not {len(events)}.")
        for each in events:
            check_event(each, format)


def check_event(event: str, format: WebhookFormat) -> None:
    """Raise unless a webhook of that format can be told of it."""
    if format is WebhookFormat.MLFLOW:
        entity, _, action = event.partition(".")
        if entity not in MLFLOW_EVENTS:
            near = difflib.get_close_matches(entity, MLFLOW_EVENTS, n=1)
            mend = f"Did you mean {near[0]}?" if near else f"There are {', '.join(MLFLOW_EVENTS)}."
            raise Invalid(f"MLflow's webhooks know no entity {entity[:80]!r}.", mend=mend)
        if action not in MLFLOW_EVENTS[entity]:
            raise Invalid(
                f"Invalid action '{action[:80]}' for entity '{entity}'.",
                mend=f"Valid actions are: {', '.join(MLFLOW_EVENTS[entity])}.",
            )
    elif event != "*" and (not _ACTION.fullmatch(event) or len(event) > 100):
        raise Invalid(f"{event[:80]!r} is no action of the ledger.", mend="Write models, models.version.registered, or *.")


def _told(webhook: Webhook) -> dict[str, Any]:
    """What the ledger says of a webhook."""
    return {"name": webhook.name, "url": webhook.url, "events": webhook.events, "status": webhook.status.value}
