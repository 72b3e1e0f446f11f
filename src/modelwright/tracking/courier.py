"""The thread that carries what runs have written down to their workspace, and does not mind when that is away."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelwright.core.errors import ModelwrightError
from modelwright.tracking import spool
from modelwright.tracking.journal import Journal, Lock
from modelwright.tracking.outbox import Outbox

if TYPE_CHECKING:
    from modelwright.experiments import Experiments
    from modelwright.workspace import Workspace

EVERY = 1.0  # seconds between two turns
LONGEST = 60.0  # seconds between two turns, while the workspace is away
LOG: Final = logging.getLogger("modelwright")


class Followed:
    """A run of this process, as its courier sees it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.outbox = Outbox(journal.path, opening=journal.opening, age=lambda: journal.age)
        self.context = contextvars.copy_context()  # who is asking goes along
        self.told = 0  # refusals that were told
        self.ended = False
        self.whole = True  # its end could be written
        self.arrived = False  # the last turn brought everything that there was

    def send(self, experiments: Experiments) -> None:
        """Deliver what there is, and tell what was refused."""
        self.context.run(self.outbox.send, experiments)
        for refusal in self.outbox.refused[self.told :]:
            LOG.warning("%s: entry %d was not accepted: %s", self.outbox.ref, refusal.seq, refusal.message)
        self.told = len(self.outbox.refused)


class Courier:
    """Delivers the runs of this process that go to one workspace; without a way to open one, it only keeps them safe."""

    def __init__(self, address: str, open_workspace: Callable[[], Workspace] | None, pending: list[Path]) -> None:
        self.address = address
        self._open, self._pending = open_workspace, pending
        self._workspace: Workspace | None = None
        self._followed: list[Followed] = []
        self._condition = threading.Condition()
        self._begun = self._completed = self._wanted = 0  # turns
        self._failure: str = ""  # why the last turn failed
        self._thread: threading.Thread | None = None
        self._swept = False

    def follow(self, journal: Journal) -> Followed:
        """Begin to deliver a run."""
        followed = Followed(journal)
        # Python lets nobody import this any more once the program has come to its end, which may be before the thread does.
        import concurrent.futures.thread  # noqa: F401

        with self._condition:
            self._followed.append(followed)
            self._swept = False
            self._wanted = self._begun + 1
            self._condition.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="modelwright courier", daemon=True)
                self._thread.start()
        return followed

    def flush(self, followed: Followed, patience: float, *, away: float | None = None) -> bool:
        """Wait a little until all of a run has arrived, and say whether it has; while nothing arrives, `away` seconds."""
        if self._open is None:
            if followed.ended:
                self._keep_safe(followed)
                self._leave(followed)
            return False
        with self._condition:
            if self._failure and away is not None:
                patience = min(patience, away)
            deadline = time.monotonic() + patience
            wanted = self._wanted = self._begun + 1
            self._condition.notify_all()
            while self._completed < wanted:
                left = deadline - time.monotonic()
                if left <= 0 or not self._condition.wait(left):
                    break
            return followed.arrived and self._completed >= wanted

    @property
    def offline(self) -> bool:
        """Whether it was never meant to deliver."""
        return self._open is None

    @property
    def failure(self) -> str:
        """Why nothing arrives at present; empty while all is well."""
        return self._failure

    def _work(self) -> None:
        pause = EVERY
        while True:
            with self._condition:
                if self._wanted <= self._begun:
                    self._condition.wait(pause if self._followed else None)
                self._begun += 1
                followed = list(self._followed)
            failure = self._turn(followed)
            with self._condition:
                if failure and not self._failure:
                    where = followed[0].journal.folder.parent if followed else ""
                    LOG.warning("The run goes on, and what it logs is kept in %s: %s", where, failure)
                elif self._failure and not failure:
                    LOG.warning("The workspace at %s answers again; what was kept is delivered.", self.address)
                self._failure = failure
                self._completed = self._begun
                self._condition.notify_all()
            pause = min(LONGEST, pause * 2) if failure else EVERY

    def _turn(self, followed: list[Followed]) -> str:
        """Deliver what there is; returns what stood in the way, or an empty text."""
        failure = ""
        for each in followed:
            ended = each.ended
            try:
                if self._open is not None:
                    each.send(self._experiments())
                    each.arrived = True
                else:
                    self._keep_safe(each)
            except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on; it is told once
                each.arrived = False
                failure = str(error) if isinstance(error, ModelwrightError) else f"{type(error).__name__}: {error}"
                self._keep_safe(each)
            if ended and each.arrived:
                self._leave(each)
        if self._open is not None and not failure and not self._swept and followed:
            self._swept = True
            self._sweep()
        return failure

    def _leave(self, followed: Followed) -> None:
        with self._condition:
            self._followed.remove(followed)
        followed.journal.close()
        if followed.arrived and followed.whole:
            followed.outbox.discard()
        elif not followed.journal.path.exists():  # there was never room for it
            spool.remove(followed.journal.folder)

    def _keep_safe(self, followed: Followed) -> None:
        try:
            followed.journal.sync()
        except OSError as error:
            LOG.debug("%s could not be forced to the disk: %s", followed.journal.path, error)

    def _experiments(self) -> Experiments:
        if self._workspace is None:
            assert self._open is not None
            self._workspace = self._open()
        return self._workspace.experiments

    def _sweep(self) -> None:
        """Deliver what runs have left here whose processes are gone."""
        for folder in self._pending:
            for path in spool.logs(folder):
                try:
                    deliver_dead(path, self._experiments(), address=self.address)
                except Exception as error:  # noqa: BLE001 - one that cannot be read must not keep those of this process
                    LOG.debug("%s is not delivered: %s", path, error)


def deliver_dead(
    path: Path, experiments: Experiments, *, address: str | None, told: Callable[[int], None] = lambda done: None
) -> Outbox | None:
    """Deliver the log of a process that is gone, mark its run as killed if it had not ended, and remove the log.

    None where the process lives, somebody else delivers it, or it goes to another `address`.
    """
    try:
        lock = Lock(path)
    except FileNotFoundError:
        return None  # a child's, that its parent's took along
    with lock:
        if not lock.taken or not path.is_file():  # or another has delivered and removed it while this one came for the lock
            return None
        outbox = Outbox(path)
        if address is not None and outbox.opening.address != address:
            return None
        outbox.end_as_killed()
        outbox.send(experiments, told)
        outbox.discard()
        return outbox


_couriers: dict[str, Courier] = {}
_lock = threading.Lock()


def courier_for(key: str, address: str, open_workspace: Callable[[], Workspace] | None, pending: list[Path]) -> Courier:
    """The courier of this process to a workspace."""
    with _lock:
        if key not in _couriers:
            _couriers[key] = Courier(address, open_workspace, pending)
        return _couriers[key]


def _after_fork() -> None:
    """In a child there is no thread: its runs get couriers of their own, and the parent's are the parent's."""
    global _lock
    _lock = threading.Lock()
    _couriers.clear()


os.register_at_fork(after_in_child=_after_fork)
