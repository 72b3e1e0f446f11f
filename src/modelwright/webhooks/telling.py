"""An event as a request: body, headers and signature of each format. Pure.

MLflow's: https://mlflow.org/docs/latest/ml/webhooks/. CloudEvents 1.0: structured and binary over HTTP. Ours are signed as
Standard Webhooks has it: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from modelwright.core.clock import isoformat
from modelwright.core.wire import encode
from modelwright.store import Event
from modelwright.webhooks.records import Outgoing, WebhookFormat

TYPE = "io.modelwright.{action}.v1"
SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')  # of a header, as CloudEvents has it


def cloud_event(event: Event, *, log_id: str) -> dict[str, Any]:
    """An event of the ledger in the form of CloudEvents. The same event always has the same id, so receivers can tell."""
    return {
        "specversion": "1.0",
        "id": f"{log_id}-{event.seq}",
        "source": f"urn:modelwright:{log_id}",
        "type": TYPE.format(action=event.action),
        "subject": event.resource,
        "time": isoformat(event.ts),
        "sequence": f"{event.seq:016d}",
        "datacontenttype": "application/json",
        "data": {
            "action": event.action,
            "resource": event.resource,
            "actor": {"type": event.actor.get("type", ""), "id": event.actor.get("id", "")},
            "inputs": event.inputs,
            "outputs": event.outputs,
            "environment": event.environment,
            "reason": event.reason,
            "before": event.before,
            "after": event.after,
        },
    }


def request(outgoing: Outgoing, *, seconds: int) -> tuple[dict[str, str], bytes]:
    """Headers and body of a delivery that is sent at a time (in seconds since 1970)."""
    if outgoing.format is WebhookFormat.MLFLOW:
        body = encode(outgoing.payload)
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": outgoing.id,
            "X-MLflow-Timestamp": str(seconds),
        }
        return headers | _signed("X-MLflow-Signature", outgoing, outgoing.id, seconds, body), body
    identity = str(outgoing.payload["id"])
    if outgoing.format is WebhookFormat.CLOUDEVENTS:
        body = encode(outgoing.payload)
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    else:
        body = encode(outgoing.payload["data"])
        headers = {"Content-Type": outgoing.payload["datacontenttype"], **_attributes(outgoing.payload)}
    headers |= {"webhook-id": identity, "webhook-timestamp": str(seconds)}
    return headers | _signed("webhook-signature", outgoing, identity, seconds, body), body


def signature(secret: str, identity: str, seconds: int, body: bytes) -> str:
    """`v1,` and HMAC-SHA256 over `id.timestamp.body` in base 64."""
    signed = f"{identity}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _signed(header: str, outgoing: Outgoing, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    return {header: signature(outgoing.secret, identity, seconds, body)} if outgoing.secret else {}


def _attributes(event: Mapping[str, Any]) -> dict[str, str]:
    skipped = ("data", "datacontenttype")
    return {f"ce-{name}": quote(str(value), safe=SAFE) for name, value in event.items() if name not in skipped}
