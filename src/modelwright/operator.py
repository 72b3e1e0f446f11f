"""The operator: calls the reconcilers again and again, under a lease so that of several processes only one acts.

Each reconciler looks at the world and does what is due. A crash loses nothing: the next turn looks again and goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from modelwright.core.clock import Clock
from modelwright.core.errors import ModelwrightError
from modelwright.core.principals import OPERATOR
from modelwright.store import acting_as

logger = logging.getLogger("modelwright.operator")


class Reconciler(Protocol):
    """One thing that is kept true over time."""

    @property
    def name(self) -> str: ...

    def turn(self, now: datetime) -> Sequence[str]:
        """Look at what is wanted and what is, act, and say in a sentence each what was done. Twice does no harm."""
        ...


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn did, by reconciler, and what went wrong."""

    at: datetime
    led: bool  # False: another process holds the lease, or took it during the turn
    done: dict[str, list[str]] = {}
    failed: dict[str, str] = {}


class Lease(Protocol):
    """The right to act, held for a while."""

    def hold(self, now: datetime, lasting: timedelta) -> bool:
        """Take or renew it; False while another holds it."""
        ...

    def give_up(self) -> None: ...


class Operator:
    """Turns every reconciler, once per `turn` or in a thread of its own between `start` and `stop`."""

    def __init__(
        self,
        reconcilers: Sequence[Reconciler],
        lease: Lease,
        clock: Clock,
        *,
        every: float = 1.0,
        turned: Callable[[Turn], None] = lambda turn: None,
    ) -> None:
        self._reconcilers = list(reconcilers)
        self._lease = lease
        self._clock = clock
        self._every = every
        self._lasting = timedelta(seconds=max(30.0, 10 * every))
        self._failing: dict[str, str] = {}
        self._turned = turned
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def turn(self) -> Turn:
        """One turn. A reconciler that fails is reported and does not keep the others from theirs.

        The lease is asked for again before each of them, so that after a long one nobody acts whose lease is over.
        """
        now = self._clock.now()
        done: dict[str, list[str]] = {}
        failed: dict[str, str] = {}
        led = False
        for reconciler in self._reconcilers:
            led = self._lease.hold(now, self._lasting)
            if not led:
                break
            try:
                with acting_as(OPERATOR):
                    actions = list(reconciler.turn(now))
            except Exception as error:  # noqa: BLE001 - told, logged and counted; the others still have their turn
                failed[reconciler.name] = self._told(reconciler.name, error)
            else:
                self._failing.pop(reconciler.name, None)
                if actions:
                    done[reconciler.name] = actions
                for action in actions:
                    logger.info("%s: %s", reconciler.name, action)
        turn = Turn(at=now, led=led, done=done, failed=failed)
        self._turned(turn)
        return turn

    def _told(self, name: str, error: Exception) -> str:
        """What went wrong in a sentence, which is logged once and not again with every turn until it is over."""
        known = isinstance(error, ModelwrightError)
        told = str(error) if known else f"{type(error).__name__}: {error}"
        if self._failing.get(name) != told:
            self._failing[name] = told
            logger.warning("%s: %s", name, told, exc_info=None if known else error)
        return told

    def wake(self) -> None:
        """Turn now rather than at the next interval."""
        self._wanted.set()

    def start(self) -> None:
        """Begin turning in a thread."""
        self._thread = threading.Thread(target=self._run, name="modelwright-operator", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish the turn that is under way, give the lease up, and end. A turn that takes longer keeps its lease."""
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout)
        if self._thread is None or not self._thread.is_alive():
            self._lease.give_up()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.clear()
            try:
                self.turn()
            except Exception:
                logger.exception("the operator's turn failed")
            if not self._stopping.is_set():  # which may have been said just before the flag was cleared
                self._wanted.wait(self._every)
