"""What the operator does for webhooks: reads what is new in the ledger, and sends what is due.

Each webhook remembers how far it has read, in the same transaction as the deliveries that came of it; so nothing is lost
or made twice when the process dies. An attempt runs in a thread of its own pool, and only its end is written: one that
was under way when the process died is made again, and the receiver sees the same id twice. Due times are by the
machine's clock, not the workspace's, which may be simulated.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import msgspec

from modelwright.core.errors import ModelwrightError
from modelwright.core.principals import OPERATOR
from modelwright.store import Embedded, Event, Transaction, acting_as
from modelwright.webhooks import queries
from modelwright.webhooks.records import Answer, Outgoing, Webhook, WebhookFormat
from modelwright.webhooks.sending import Sender
from modelwright.webhooks.service import Webhooks
from modelwright.webhooks.telling import cloud_event

logger = logging.getLogger("modelwright.webhooks")

MlflowTelling = Callable[[Transaction, Event], Sequence[queries.Told]]


class WebhookTurn:
    """A reconciler: see `operator.Reconciler`. `end` waits for what is under way."""

    name = "webhooks"

    def __init__(self, webhooks: Webhooks, caller: Embedded, sender: Sender, told: MlflowTelling) -> None:
        """`told` says an event of the ledger in MLflow's words, if it has any."""
        self._webhooks = webhooks
        self._caller = caller
        self._sender = sender
        self._told = told
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._pool: ThreadPoolExecutor | None = None

    def turn(self, now: datetime) -> Sequence[str]:
        """Read on, and send what is due; the attempts themselves go on after this has returned."""
        real = self._webhooks.clock.now()
        with self._caller.transaction(write=False) as tx:
            behind, forgettable = queries.behind(tx), queries.forgettable(tx, real)
        if behind or forgettable:
            with self._caller.transaction(write=True) as tx:
                queries.match(tx, self._telling(tx), real)
                queries.forget(tx, real)
        with self._lock:
            free = self._webhooks.settings.workers - len(self._under_way)
            busy = list(self._under_way)
        if free <= 0:
            return []
        with self._caller.transaction(write=False) as tx:
            waiting = queries.due(tx, real, free, busy)
            ready = [self._opened(tx, each) for each in waiting]
        for outgoing in ready:
            with self._lock:
                self._under_way.add(outgoing.id)
            self._workers().submit(self._deliver, outgoing)
        return []

    def end(self) -> None:
        """Wait for the attempts that are under way; what was not begun is begun by the next process, or the next turn."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            with self._lock:
                self._under_way.clear()  # of what was cancelled

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._webhooks.settings.workers, thread_name_prefix="modelwright-webhook")
        return self._pool

    def _telling(self, tx: Transaction) -> queries.Telling:
        log_id = queries.log_id(tx)
        in_mlflow: dict[int, Sequence[queries.Told]] = {}

        def tell(event: Event, webhook: Webhook) -> Sequence[queries.Told]:
            if event.outcome != "ok" or event.decision == "deny":
                return ()
            if webhook.format is WebhookFormat.MLFLOW:
                if event.seq not in in_mlflow:
                    in_mlflow[event.seq] = self._told(tx, event)
                return [(name, body) for name, body in in_mlflow[event.seq] if name in webhook.events]
            if any(_covers(wanted, event.action) for wanted in webhook.events):
                return [(event.action, cloud_event(event, log_id=log_id))]
            return ()

        return tell

    def _opened(self, tx: Transaction, outgoing: Outgoing) -> Outgoing:
        try:
            return msgspec.structs.replace(outgoing, secret=self._webhooks.secret_of(tx, outgoing.webhook))
        except ModelwrightError as error:
            return msgspec.structs.replace(outgoing, url="", payload={"why": str(error)})

    def _deliver(self, outgoing: Outgoing) -> None:
        try:
            with acting_as(OPERATOR):
                answer = self._attempt(outgoing)
                with self._caller.transaction(write=True) as tx:
                    most = self._webhooks.settings.attempts
                    queries.record(tx, outgoing.id, answer, self._webhooks.clock.now(), most=most)
        finally:
            with self._lock:
                self._under_way.discard(outgoing.id)

    def _attempt(self, outgoing: Outgoing) -> Answer:
        if not outgoing.url:  # without its secret a delivery cannot be signed, and unsigned it must not go
            return Answer(error=str(outgoing.payload["why"]))
        try:
            return self._sender.send(outgoing, self._webhooks.clock.now())
        except Exception as error:  # counted as an attempt, or it would be made again without end
            logger.exception("webhook %s: delivery %s", outgoing.webhook, outgoing.id)
            return Answer(error=f"{type(error).__name__}: {error}"[:500])


def _covers(wanted: str, action: str) -> bool:
    return wanted in ("*", action) or action.startswith(wanted + ".")


def in_words(name: str, at: str, data: dict[str, Any]) -> queries.Told:
    """An event in MLflow's words: its name `entity.action`, and the body."""
    entity, _, action = name.partition(".")
    return name, {"entity": entity, "action": action, "timestamp": at, "data": data}
