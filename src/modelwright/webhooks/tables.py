"""The tables of webhooks. Times of deliveries are by the machine's clock, since receivers live by it; see `turn`."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.store.tables import metadata
from modelwright.webhooks.records import Delivery, DeliveryState, Webhook, WebhookFormat, WebhookStatus

webhooks = sa.Table(
    "webhooks_webhooks",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.Text, nullable=False),
    sa.Column("format", sa.String(20), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("secret", sa.LargeBinary),  # sealed
    sa.Column("seen", sa.BigInteger, nullable=False),  # the first event of the ledger that was not looked at yet
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("updated_at", sa.String(27), nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

deliveries = sa.Table(
    "webhooks_deliveries",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("webhook", sa.String(26), sa.ForeignKey("webhooks_webhooks.id"), nullable=False),
    sa.Column("event", sa.String(100), nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("due_at", sa.String(27)),
    sa.Column("finished_at", sa.String(27)),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_webhooks_deliveries_due", "state", "due_at"),
    sa.Index("ix_webhooks_deliveries_webhook", "webhook", "id"),
    sa.Index("ix_webhooks_deliveries_finished", "finished_at"),
)


def webhook_of(row: Any) -> Webhook:
    """A row of `webhooks` as a record, without the secret."""
    return Webhook(
        id=row.id,
        name=row.name,
        description=row.description,
        url=row.url,
        events=msgspec.json.decode(row.events, type=list[str]),
        format=WebhookFormat(row.format),
        status=WebhookStatus(row.status),
        signed=row.secret is not None,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        updated_at=parse_time(row.updated_at),
    )


def delivery_of(row: Any) -> Delivery:
    """A row of `deliveries` as a record."""
    return Delivery(
        id=row.id,
        webhook=row.webhook,
        event=row.event,
        seq=row.seq,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        created_at=parse_time(row.created_at),
        due_at=parse_time(row.due_at) if row.due_at else None,
        finished_at=parse_time(row.finished_at) if row.finished_at else None,
        status=row.status,
        error=row.error,
    )
