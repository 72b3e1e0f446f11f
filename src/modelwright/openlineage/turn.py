"""What the operator does for OpenLineage: tells the receiver that the settings name what is new in the ledger.

How far it has been told stands in the database, and moves only behind what it has taken: nothing is lost when the process
or the receiver dies, and what was under way then is told again. The requests go in a thread of their own, so that neither
the operator nor any job waits for a receiver. An event that it calls wrong (a 4xx) is logged and left behind: sent again it
would be as wrong, and nothing would come after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from modelwright.core.clock import Clock, SystemClock, isoformat
from modelwright.core.principals import OPERATOR
from modelwright.core.wire import encode
from modelwright.openlineage import queries
from modelwright.openlineage.service import OpenLineage
from modelwright.store import Embedded, acting_as

logger = logging.getLogger("modelwright.openlineage")

AT_ONCE = 100  # events of the ledger between two notes of how far it is
FIRST_WAIT, MOST_WAIT = 1.0, 600.0  # seconds between two attempts
AGAIN = frozenset({401, 403, 404, 408, 409, 425, 429})  # of the 4xx, those that say nothing against the event


class LineageTurn:
    """A reconciler: see `operator.Reconciler`. `end` waits for what is under way."""

    name = "openlineage"

    def __init__(self, lineage: OpenLineage, caller: Embedded, *, clock: Clock | None = None) -> None:
        self._lineage = lineage
        self._caller = caller
        self._clock = clock or SystemClock()
        self._busy = threading.Lock()
        self._stopping = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._url = lineage.settings.receiver

    def turn(self, now: datetime) -> Sequence[str]:
        """See that the receiver is being told, if there is something new and it is time to."""
        if not self._url or self._busy.locked():
            return []
        with self._caller.transaction(write=False) as tx:
            held, head = queries.target(tx, self._url), tx.head
        if head is None or held.seen >= head.size or held.due_at > isoformat(self._clock.now()):
            return []
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="modelwright-openlineage")
        self._busy.acquire()
        self._pool.submit(self._deliver, held)
        return []

    def end(self, *, wait: bool = False) -> None:
        """Finish the request that is under way, or with `wait` all that is new; the next process goes on from there."""
        if not wait:
            self._stopping.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _deliver(self, held: queries.Target) -> None:
        try:
            with acting_as(OPERATOR):
                while held is not None and not self._stopping.is_set():
                    held = self._stretch(held)  # type: ignore[assignment]
        except Exception:
            logger.exception("telling %s failed", self._url)
        finally:
            self._busy.release()

    def _stretch(self, held: queries.Target) -> queries.Target | None:
        """Tell of some events of the ledger; None where there is no more to do now."""
        import httpx

        seen, error = held.seen, ""
        with httpx.Client(timeout=self._lineage.settings.timeout, follow_redirects=False) as client:
            for _ in range(AT_ONCE):
                found = self._lineage.told(start=seen, limit=1)
                error = next((said for said in (self._send(client, each) for each in found.events) if said), "")
                if error or found.next is None or self._stopping.is_set():
                    break
                seen = found.next
        failures = held.failures + 1 if error else 0
        wait = min(FIRST_WAIT * 2.0 ** min(failures - 1, 30), MOST_WAIT) if error else 0.0
        due = isoformat(self._clock.now() + timedelta(seconds=wait)) if error else ""
        moved = queries.Target(seen, failures, due, error[:500])
        if moved != held:
            with self._caller.transaction(write=True) as tx:
                queries.move(tx, self._url, moved)
        if error and held.error != error:
            logger.warning("%s was not told of event %d: %s", self._url, seen, error)
        return moved if not error and seen - held.seen == AT_ONCE else None

    def _send(self, client: Any, event: dict[str, Any]) -> str:
        """Send one event; what went wrong in a few words, if it may go better another time."""
        import httpx

        key = self._lineage.settings.api_key
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        try:
            answer = client.post(self._url, content=encode(event), headers=headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if answer.is_success:
            return ""
        if answer.status_code >= 500 or answer.status_code in AGAIN or answer.is_redirect:
            return f"it answered {answer.status_code}"
        logger.warning("%s refused an event with %d: %s", self._url, answer.status_code, answer.text[:200])
        return ""
