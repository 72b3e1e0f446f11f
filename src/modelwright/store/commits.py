"""Who writes now, and what is committed together.

Writers take turns; there is one at a time. A commit waits for the disk, and that is most of what a write costs: so a writer
that is done while others wait does not commit, but hands its open transaction on. The next writes into the same
transaction behind a savepoint, and the last one commits for all. Nobody returns before that commit, and where it fails
everybody is told so. A writer that fails undoes its own part only: the first is alone in the transaction and rolls all of
it back, every later one goes back to its savepoint.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Unavailable
from modelwright.store.bare import Bare
from modelwright.store.driver import execute
from modelwright.store.ledger import log

MEMBERS = 256  # writers in one commit
LASTS = 0.02  # seconds after which a group takes in nobody else: its first waits, and so may other processes


class Group:
    """An open transaction that several writers share, one after another, and its outcome."""

    def __init__(
        self,
        connection: sa.Connection,
        transaction: sa.RootTransaction | Bare,
        head: log.Head,
        committed: Callable[[sa.Connection], None],
    ) -> None:
        """`committed` is called after the commit, while nobody else writes."""
        self.connection = connection
        self.head = head
        self.members = 0
        self.open = True
        self._transaction = transaction
        self._committed = committed
        self._failure: BaseException | None = None
        self._settling = threading.Lock()  # held until the outcome is known; an event costs several times as much
        self._settling.acquire()
        self._settled = False  # where the lock is held after that, somebody who waited has it for a moment
        self._since = 0.0

    def has_room(self, lasts: float) -> bool:
        """Whether another may join: the first that waits for the commit has waited for less than so many seconds."""
        return self.open and self.members < MEMBERS and time.monotonic() < self._since + lasts

    def begin_part(self) -> None:
        """Begin one writer's part."""
        if self.members:
            self._command("SAVEPOINT member")

    def end_part(self) -> None:
        """Keep it."""
        self._check()
        if self.members:
            self._command("RELEASE SAVEPOINT member")
        else:
            self._since = time.monotonic()
        self.members += 1

    def undo_part(self, before: tuple[int, list[bytes], str]) -> None:
        """Take it back; the ledger ends where it did `before`."""
        self.head.state = before
        if self.open:
            self._undo(first=self.members == 0)

    def commit(self) -> None:
        """Commit for everybody. Does not raise: `wait` tells each member what became of it."""
        try:
            log.keep(self.connection, self.head)
            self._check()
            self._transaction.commit()
        except BaseException as error:  # told to every member
            self._fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.open = False
            self._settle()
        if self._failure is None:
            self._committed(self.connection)

    def wait(self) -> None:
        """Return when the commit is on the disk; `Unavailable` where it failed, and nothing was written."""
        with self._settling:
            pass
        if self._failure is not None:
            raise Unavailable(
                f"Nothing was written: the database could not commit it ({_first_line(self._failure)}).",
                mend="See with `mw doctor` whether the disk is full or the database unwell, then try again.",
            ) from self._failure

    def _undo(self, first: bool) -> None:
        """Take one member's part back; where that cannot be done, nothing of the group is kept."""
        try:
            if first:
                self.open = False
                if self._transaction.is_active:
                    self._transaction.rollback()
                self._settle()
            else:
                self._check(undoing=True)
                self._command("ROLLBACK TO SAVEPOINT member")
                self._command("RELEASE SAVEPOINT member")
        except Exception as error:  # noqa: BLE001 - it becomes the failure of every member
            self._fail(error)

    def _settle(self) -> None:
        """Let everybody go on who waits; only who has the turn does that, and may do so twice."""
        if not self._settled:
            self._settled = True
            self._settling.release()

    def _fail(self, error: BaseException) -> None:
        """Nothing of the group is kept."""
        self.open = False
        self._failure = error
        self.connection.invalidate(error)  # closes it, which rolls back whatever it still held
        self._settle()

    def _check(self, *, undoing: bool = False) -> None:
        """Raise where the database has ended the transaction by itself, as SQLite does when the disk is full."""
        driver: Any = self.connection.connection.dbapi_connection
        if self.connection.dialect.name == "sqlite":
            whole = bool(driver is not None and driver.in_transaction)
        else:
            status = int(driver.info.transaction_status) if driver is not None else 0
            whole = status == _IN_TRANSACTION or (undoing and status == _IN_ERROR)
        if not whole:
            raise RuntimeError("the database ended the transaction after an error, and the write went on all the same")

    def _command(self, text: str) -> None:
        execute(self.connection, text)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


_IN_TRANSACTION, _IN_ERROR = 2, 3  # libpq's PQTRANS_INTRANS and PQTRANS_INERROR


class Part:
    """One writer's part of a group, as a block: kept if it ends, undone if it raises.

    Not a generator, as every write enters one: that would be three times as many calls.
    """

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    def __enter__(self) -> Group:
        self._group = group = self._writers.group()
        self._before = group.head.state
        group.begin_part()
        return group

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._undo()
            return
        try:
            self._group.end_part()
        except BaseException:
            self._undo()
            raise
        self._writers.forget(self._group)

    def _undo(self) -> None:
        try:
            self._group.undo_part(self._before)
        finally:
            self._writers.forget(self._group)


class Writers:
    """The queue at the write lock, first come, first served."""

    def __init__(self, begin: Callable[[], Group], *, lasts: float) -> None:
        self.lasts = lasts
        self._begin = begin
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False
        self._group: Group | None = None

    def take(self) -> None:
        """Wait for the turn. Whoever takes it must `leave`."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        try:
            ticket.acquire()
        except BaseException:  # an interrupt
            with self._mutex:
                given = ticket not in self._waiting
                if not given:
                    self._waiting.remove(ticket)
            if given:
                self.leave()
            raise

    def join(self) -> Part:
        """Write in the open group, or in a new one; whoever does so holds the turn."""
        return Part(self)

    def group(self) -> Group:
        """The open group, or a new one."""
        group = self._group
        if group is None or not group.open:
            group = self._group = self._begin()
        return group

    def forget(self, group: Group) -> None:
        """Write in another one from now on, if this one takes in nobody any more."""
        if not group.open:
            self._group = None

    @property
    def has_room(self) -> bool:
        """Whether whoever holds the turn may add to the group that is open."""
        return self._group is None or self._group.has_room(self.lasts)

    def settle(self) -> None:
        """Commit what was handed on; whoever does so holds the turn."""
        group, self._group = self._group, None
        if group is not None and group.open:
            group.commit()

    def leave(self) -> None:
        """Hand the turn on, with the open transaction if there is one; commit it if nobody waits, or if it is full."""
        while True:
            with self._mutex:
                group = self._group
                if self._waiting and (group is None or group.has_room(self.lasts)):
                    self._waiting.popleft().release()
                    return
                self._group = None
                if group is None:
                    self._taken = False
                    return
            try:
                group.commit()
            except BaseException:  # an interrupt
                self.leave()
                raise
