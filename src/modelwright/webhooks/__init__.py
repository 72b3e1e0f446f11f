"""Webhooks: events of the ledger, told to whoever listens outside.

`Webhooks` is the service, `WebhookTurn` the reconciler that reads the ledger and delivers, `Sender` one attempt.
"""

from modelwright.webhooks.mlflow import MlflowWords
from modelwright.webhooks.records import (
    Answer,
    Delivery,
    DeliveryState,
    Outgoing,
    Webhook,
    WebhookChange,
    WebhookFormat,
    WebhookStatus,
)
from modelwright.webhooks.sending import Sender
from modelwright.webhooks.service import Webhooks, WebhookSettings
from modelwright.webhooks.turn import WebhookTurn

__all__ = [
    "Answer",
    "Delivery",
    "DeliveryState",
    "MlflowWords",
    "Outgoing",
    "Sender",
    "Webhook",
    "WebhookChange",
    "WebhookFormat",
    "WebhookSettings",
    "WebhookStatus",
    "WebhookTurn",
    "Webhooks",
]
