"""Reading the ledger into deliveries, and keeping the books of them. Functions on an open transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.ids import new_id
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.wire import encode_text
from modelwright.store import Event, Transaction
from modelwright.store.queries import event_of
from modelwright.store.tables import ledger_details, ledger_events, ledger_head
from modelwright.webhooks.records import (
    Answer,
    Delivery,
    DeliveryState,
    Outgoing,
    Webhook,
    WebhookFormat,
    WebhookStatus,
)
from modelwright.webhooks.tables import deliveries, delivery_of, webhook_of, webhooks

MOST_EVENTS = 500  # looked at in one turn for one webhook
FIRST_WAIT, MOST_WAIT = 1.0, 600.0  # seconds between two attempts
KEPT = timedelta(days=30)  # of deliveries that are over

_w, _d = webhooks.c, deliveries.c

Told = tuple[str, dict[str, Any]]  # the name of an event in the webhook's words, and what is said of it
Telling = Callable[[Event, Webhook], Sequence[Told]]


def row(tx: Transaction, identity: str) -> Any:
    """The row of one webhook that was not deleted, or `NotFound`."""
    found = tx.execute(sa.select(webhooks).where(_w.id == identity, _w.deleted.is_(False))).first()
    if found is None:
        raise NotFound(f"There is no webhook {identity!r}.", mend="See what there is: mw list webhook")
    return found


def list_webhooks(tx: Transaction, format: WebhookFormat | None, limit: int, after: str | None) -> Page[Webhook]:
    """The webhooks, newest first."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} webhooks, not {limit}.")
    query = sa.select(webhooks).where(_w.deleted.is_(False))
    if format is not None:
        query = query.where(_w.format == format.value)
    if after is not None:
        query = query.where(_w.id < after)
    found = tx.execute(query.order_by(_w.id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    return Page(items=[webhook_of(each) for each in shown], next=shown[-1].id if len(found) > limit else None)


def list_deliveries(tx: Transaction, webhook: str, limit: int, after: str | None) -> Page[Delivery]:
    """What was sent to a webhook or will be, newest first."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} deliveries, not {limit}.")
    query = sa.select(deliveries).where(_d.webhook == webhook)
    if after is not None:
        query = query.where(_d.id < after)
    found = tx.execute(query.order_by(_d.id.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    return Page(items=[delivery_of(each) for each in shown], next=shown[-1].id if len(found) > limit else None)


def end_of_ledger(tx: Transaction) -> int:
    """The sequence number that the next event will get."""
    found = tx.execute(sa.select(ledger_head.c.size)).scalar()
    return 0 if found is None else int(found)


def log_id(tx: Transaction) -> str:
    """The identity of the ledger."""
    found = tx.execute(sa.select(ledger_head.c.log_id)).scalar()
    return "" if found is None else str(found)


def details(tx: Transaction, said: dict[str, Any]) -> dict[str, Any]:
    """The `before` or `after` of an event, fetched from where it lies if it was too large for the event."""
    if set(said) != {"sha256", "size"}:
        return said
    body = tx.execute(sa.select(ledger_details.c.body).where(ledger_details.c.sha256 == said["sha256"])).scalar()
    return {} if body is None else msgspec.json.decode(bytes(body), type=dict[str, Any])


def behind(tx: Transaction) -> bool:
    """Whether any active webhook has not looked at the end of the ledger yet."""
    end = end_of_ledger(tx)
    query = sa.select(_w.id).where(_w.deleted.is_(False), _w.status == WebhookStatus.ACTIVE.value, _w.seen < end)
    return tx.execute(query.limit(1)).first() is not None


def match(tx: Transaction, telling: Telling, now: datetime) -> int:
    """Turn new events into deliveries, and remember how far each webhook has looked; returns how many were made."""
    active = sa.select(webhooks).where(_w.deleted.is_(False), _w.status == WebhookStatus.ACTIVE.value)
    made = 0
    for found in tx.execute(active.order_by(_w.id)).all():
        e = ledger_events.c
        query = sa.select(e.seq, e.body).where(e.seq >= found.seen).order_by(e.seq).limit(MOST_EVENTS)
        events = [event_of(each.body) for each in tx.execute(query)]
        if not events:
            continue
        webhook = webhook_of(found)
        for event in events:
            for name, payload in telling(event, webhook):
                add_delivery(tx, found.id, name, payload, now, seq=event.seq)
                made += 1
        tx.execute(webhooks.update().where(_w.id == found.id).values(seen=events[-1].seq + 1))
    return made


def add_delivery(
    tx: Transaction, webhook: str, event: str, payload: dict[str, Any], now: datetime, *, seq: int | None = None
) -> str:
    """Put a delivery on its way; returns its id."""
    identity = new_id(now)
    stamp = isoformat(now)
    tx.execute(
        deliveries.insert().values(
            id=identity,
            webhook=webhook,
            event=event,
            seq=seq,
            payload=encode_text(payload),
            state=DeliveryState.PENDING.value,
            attempts=0,
            created_at=stamp,
            due_at=stamp,
            error="",
        )
    )
    return identity


def due(tx: Transaction, now: datetime, limit: int, under_way: Sequence[str]) -> list[Outgoing]:
    """What is to be sent now, the longest due first, bar what is under way; the secrets are still sealed: see `sealed`."""
    query = (
        sa.select(deliveries, _w.url, _w.format)
        .join(webhooks, _w.id == _d.webhook)
        .where(
            _d.state == DeliveryState.PENDING.value,
            _d.due_at <= isoformat(now),
            _d.id.not_in(under_way),
            _w.status == WebhookStatus.ACTIVE.value,
            _w.deleted.is_(False),
        )
        .order_by(_d.due_at, _d.id)
        .limit(limit)
    )
    return [
        Outgoing(
            id=each.id,
            url=each.url,
            event=each.event,
            format=WebhookFormat(each.format),
            payload=msgspec.json.decode(each.payload),
            attempts=each.attempts,
            webhook=each.webhook,
        )
        for each in tx.execute(query)
    ]


def sealed(tx: Transaction, webhook: str) -> bytes | None:
    """The sealed secret of a webhook, or None where it has none."""
    found = tx.execute(sa.select(_w.secret).where(_w.id == webhook)).scalar()
    return None if found is None else bytes(found)


def record(tx: Transaction, identity: str, answer: Answer, now: datetime, *, most: int) -> DeliveryState:
    """Write down what came of an attempt: over, or when to try again. A receiver that says it is gone is disabled."""
    held = tx.execute(sa.select(deliveries).where(_d.id == identity)).first()
    if held is None:  # its webhook was deleted meanwhile
        return DeliveryState.FAILED
    attempts = held.attempts + 1
    state = DeliveryState.DELIVERED if answer.ok else DeliveryState.PENDING
    if not answer.ok and (not answer.again or attempts >= most):
        state = DeliveryState.FAILED
    values: dict[str, Any] = {
        "state": state.value,
        "attempts": attempts,
        "status": answer.status or None,
        "error": answer.error or ("" if answer.ok else answer.body[:500].replace("\x00", "\ufffd")),
    }
    if state is DeliveryState.PENDING:
        values["due_at"] = isoformat(now + timedelta(seconds=answer.wait or wait_after(attempts)))
    else:
        values |= {"due_at": None, "finished_at": isoformat(now)}
    tx.execute(deliveries.update().where(_d.id == identity).values(**values))
    if answer.status == 410:
        tx.execute(webhooks.update().where(_w.id == held.webhook).values(status=WebhookStatus.DISABLED.value))
    return state


def wait_after(attempts: int) -> float:
    """Seconds until the next attempt: twice as long each time, a quarter of it by chance, so that not all come at once."""
    wait = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 30), MOST_WAIT)
    return wait * (0.75 + secrets.randbelow(1000) / 4000)


def send_again(tx: Transaction, webhook: str, identity: str, now: datetime) -> Delivery:
    """Put a delivery that is over on its way again."""
    query = sa.select(deliveries).where(_d.id == identity, _d.webhook == webhook)
    if tx.execute(query).first() is None:
        raise NotFound(f"There is no delivery {identity!r} of that webhook.")
    again = {"state": DeliveryState.PENDING.value, "attempts": 0, "due_at": isoformat(now), "finished_at": None}
    tx.execute(deliveries.update().where(_d.id == identity).values(**again))
    return delivery_of(tx.execute(query).one())


def forget(tx: Transaction, now: datetime) -> int:
    """Delete what has long been over; returns how many."""
    return tx.execute(deliveries.delete().where(_d.finished_at < isoformat(now - KEPT))).rowcount


def forgettable(tx: Transaction, now: datetime) -> bool:
    """Whether there is anything to forget."""
    return tx.execute(sa.select(_d.id).where(_d.finished_at < isoformat(now - KEPT)).limit(1)).first() is not None
