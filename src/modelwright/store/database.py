"""One database, SQLite or PostgreSQL; one writer at a time; every change with its event in one transaction."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property, lru_cache
from queue import SimpleQueue
from typing import Any, TypeVar

import sqlalchemy as sa

from modelwright.core.clock import Clock, isoformat, parse_time
from modelwright.core.errors import Unavailable
from modelwright.core.ids import new_id
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.core.wire import to_plain
from modelwright.store.bare import Bare, joined, to_join
from modelwright.store.checkpointing import Checkpoints, emptied
from modelwright.store.commits import LASTS, Group, Writers
from modelwright.store.driver import Prepared, execute
from modelwright.store.ledger import log
from modelwright.store.readers import Readers
from modelwright.store.submitting import Answer, Ends, Job, tell
from modelwright.store.tables import catalog_versions, metadata
from modelwright.store.upsert import insert

# A name is matched as it is written (LIKE, by default, would let `Pricing` pass for `pricing`, unlike on PostgreSQL).
# What is read is mapped into memory, as far as 256 MiB: looking runs up by the thousand costs a third less.
# What is deleted is overwritten with zeros, as SQLite does by itself only where it was built so (Debian's is).
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=30000",
    "case_sensitive_like=ON",
    "secure_delete=ON",
    "mmap_size=268435456",
)

PATIENCE = 30.0  # seconds that a writer waits for another process
MOST_WAITING = 10_000  # pieces of work submitted and not begun; further ones are refused

T = TypeVar("T")

_DIGEST = Prepared(
    sa.select(catalog_versions.c.digest).where(
        catalog_versions.c.kind == sa.bindparam("kind"),
        catalog_versions.c.name == sa.bindparam("name"),
        catalog_versions.c.version == sa.bindparam("version"),
    ),
    *("kind", "name", "version"),
)


class Database:
    """Engine, clock and the write lock. `transaction` and `submit` are the only ways in."""

    def __init__(self, url: str, clock: Clock, *, lasts: float = LASTS) -> None:
        """`lasts` are the seconds for which a commit may be put off for those who wait; 0: each write has its own."""
        self.url = sa.make_url(url)
        self.clock = clock
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else sa.create_engine(self.url, pool_pre_ping=True)
        self._readers = Readers(self.engine) if self.is_sqlite else None
        self._writers = Writers(
            self._begin, lasts=lasts
        )  # fair among threads; the database itself keeps other processes out
        self._connection: sa.Connection | None = None  # the one that writes
        self._checkpoints = Checkpoints(str(self.url.database)) if self.is_sqlite else None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()
        self._touched: Counter[str] = Counter()

    def create_all(self) -> None:
        """Create every table that is not there. For tests; a workspace goes through the migrations."""
        metadata.create_all(self.engine)

    @contextmanager
    def transaction(self, principal: Principal, *, write: bool, request_id: str = "") -> Iterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        A writing one holds the single write lock from its beginning, so a rule that reads and then writes cannot be
        overtaken in between, alike on both databases. It may be committed together with those of other threads that
        waited (see `commits`): the block ends when it is on the disk, or raises `Unavailable` when nothing is.
        """
        ends = Ends()
        try:
            if write:
                self._writers.take()
                try:
                    with self._member(principal, request_id, ends) as (group, tx):
                        yield tx
                finally:
                    self._writers.leave()
                group.wait()
            else:
                with self._readers.open() if self._readers else self._reading() as connection:
                    now = self.clock.now()
                    tx = Transaction(self, connection, principal, now, request_id, ends=ends, group=None)
                    with _as_current(tx):
                        yield tx
        except Exception:
            ends.undone()
            raise
        ends.done()

    def submit(self, work: Callable[[Transaction], T], principal: Principal, *, request_id: str = "") -> Future[T]:
        """Have `work` done in a writing transaction by the one writer thread of this database; returns at once.

        For hot paths that must not hold a thread for each write; a coroutine awaits `write`, which is the same. What was
        submitted meanwhile is committed together, each piece of work behind a savepoint of its own. The future has the
        result when it is on the disk; an error of `work` undoes that work alone; `Unavailable` if the commit failed. `work`
        runs in another thread, in the order of submission, and every other writer waits for it: it does its computing
        beforehand. A future that is cancelled before its turn is not done.
        """
        future: Future[T] = Future()
        self._enqueue(Job(work, principal, request_id, future, None))
        return future

    async def write(self, work: Callable[[Transaction], T], principal: Principal, *, request_id: str = "") -> T:
        """`submit` for a coroutine: returns what `work` returned when it is on the disk, or raises as `submit` says."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._enqueue(Job(work, principal, request_id, future, loop))
        return await future

    def _enqueue(self, job: Job) -> None:
        if self._jobs.qsize() >= MOST_WAITING:
            raise Unavailable(
                f"{MOST_WAITING} writes are waiting for the disk already.", mend="Try again in a moment, or write less."
            )
        with self._starting:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="modelwright-writer", daemon=True)
                self._worker.start()
            self._jobs.put(job)

    def touched(self, what: str) -> int:
        """How often a transaction of this process that touched something (`Transaction.touch`) has been committed."""
        return self._touched[what]

    def scrub(self) -> bool:
        """See that the write-ahead log holds nothing of what was deleted; False if somebody was reading it just now.

        For SQLite. PostgreSQL keeps dead rows and a log by rules of its own: there it is False.
        """
        return self.is_sqlite and emptied(str(self.url.database))

    def dispose(self) -> None:
        """Finish what was submitted, and close every connection. The database may be used again afterwards."""
        with self._starting:
            worker, self._worker = self._worker, None
            if worker is not None:
                self._jobs.put(None)
        if worker is not None and worker is not threading.current_thread():
            worker.join()
        self._writers.take()
        try:
            self._writers.settle()  # a writer that was done while this waited for its turn has left its commit to it
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        finally:
            self._writers.leave()
        if self._checkpoints is not None:
            self._checkpoints.end()
        if self._readers is not None:
            self._readers.dispose()
        self.engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """On PostgreSQL a reading transaction sees one state of the database throughout, as in SQLite it does by itself."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
            yield connection

    def _begin(self) -> Group:
        """Open the transaction that writers will share: the write lock, and where the ledger ends."""
        try:
            return self._open()
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self._open()  # the server was started anew since the last write: nothing was lost yet

    def _open(self) -> Group:
        connection = self._connection
        if connection is None:
            connection = self._connection = self.engine.connect()
            if self.is_sqlite:
                to_join(connection)
                execute(connection, "PRAGMA busy_timeout=0")  # `_take_lock` waits, more evenly than SQLite does
            if self._checkpoints is not None:
                self._checkpoints.opened(connection)
        try:
            transaction = self._begun(connection)
            head = log.lock(connection, self.clock)
        except BaseException:
            self._connection = None
            connection.invalidate()
            connection.close()
            raise
        return Group(connection, transaction, head, self._committed)

    def _committed(self, connection: sa.Connection) -> None:
        if self._checkpoints is not None:
            self._checkpoints.committed(connection)

    def _begun(self, connection: sa.Connection) -> sa.RootTransaction | Bare:
        if not self.is_sqlite:
            return connection.begin()
        _take_lock(connection)
        return Bare(connection)

    @contextmanager
    def _member(self, principal: Principal, request_id: str, ends: Ends) -> Iterator[tuple[Group, Transaction]]:
        """One writer's part of the open group, by whoever has the turn."""
        if self._connection is not None and self._connection.invalidated:
            self._connection.close()
            self._connection = None
        with self._writers.join() as group:
            now = self.clock.now()
            if isoformat(now) < group.head.last_ts:  # another machine's clock may be ahead of ours
                now = parse_time(group.head.last_ts)
            tx = Transaction(self, group.connection, principal, now, request_id, ends=ends, group=group)
            token = _current.set(tx)
            try:
                yield group, tx
            finally:
                _current.reset(token)

    def _work(self) -> None:
        """The writer thread: everything that is submitted while it waits for the disk goes into the next commit."""
        while True:
            job = self._jobs.get()
            if job is None:
                return
            answers: list[Answer] = []
            ended = False
            try:
                self._writers.take()
                try:
                    while job is not None:
                        answers += self._do(job)
                        job = None
                        if self._writers.has_room and not self._jobs.empty():
                            job = self._jobs.get()
                            ended = job is None
                finally:
                    self._writers.leave()
            finally:
                tell(answers)
            if ended:
                return

    def _do(self, job: Job) -> list[Answer]:
        if not job.begin():
            return []
        ends = Ends()
        try:
            with self._member(job.principal, job.request_id, ends) as (group, tx):
                result = job.work(tx)
        except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
            return [Answer(job, ends, error=error)]
        return [Answer(job, ends, result=result, group=group)]


_current: ContextVar[Transaction | None] = ContextVar("modelwright_transaction", default=None)


@contextmanager
def _as_current(tx: Transaction) -> Iterator[None]:
    token = _current.set(tx)
    try:
        yield
    finally:
        _current.reset(token)


def current_transaction(database: Database) -> Transaction | None:
    """The transaction this thread (or task) has open on that database."""
    tx = _current.get()
    return tx if tx is not None and tx.database is database else None


class _Scope:
    """The event that one running operation will leave, as far as it is known."""

    def __init__(self, action: str | None, resource: Resource, decision: str, rules: Sequence[str], reason: str) -> None:
        self.action = action
        self.decision = decision
        self.rules = list(rules)
        self.fields: dict[str, Any] = {"resource": Ref(resource.kind, resource.name) if resource.name else None}
        self.inputs: list[Ref] = []
        self.outputs: list[Ref] = []
        self.reason = reason


class Transaction:
    """What an operation's body works with: a connection, who asks, the time, and the event it will leave."""

    def __init__(
        self,
        database: Database,
        connection: sa.Connection,
        principal: Principal,
        now: datetime,
        request_id: str,
        *,
        ends: Ends,
        group: Group | None,
    ) -> None:
        self.database = database
        self.connection = connection
        self.principal = principal
        self.now = now
        self._head = group.head if group else None  # of the ledger; only who holds the write lock knows it
        self.tentative = group is not None and group.members > 0  # it sees what others wrote that is not committed yet
        self._request_id = request_id
        self.committed = ends.committed  # called after the commit
        self.rolled_back = ends.rolled_back  # called after a rollback: a refusal is on the record all the same
        self.readable: Callable[[str], Sequence[str] | None] = lambda kind: None
        self.allowed: Callable[[str, Resource], bool] = lambda verb, resource: True
        self._scopes: list[_Scope] = []

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self._head is not None

    @property
    def request_id(self) -> str:
        """What asked for it, in words of its own where nothing did."""
        self._request_id = self._request_id or new_id(self.now)
        return self._request_id

    @cached_property
    def stamp(self) -> str:
        """`now` as it is stored."""
        return isoformat(self.now)

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run one statement of SQLAlchemy Core."""
        return self.connection.execute(statement, parameters)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part that may fail by itself: if the block raises, what it wrote is undone, events too, and the rest stands."""
        head, told = self._head, list(self.committed)
        before = None if head is None else (head.size, list(head.frontier), head.last_ts)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            self.committed[:] = told
            if head is not None and before is not None:
                head.size, head.frontier, head.last_ts = before
            raise

    def insert(self, table: sa.Table) -> Any:
        """An insert that can also say what to do where the row is there already (`on_conflict_do_...`)."""
        return insert(self.connection, table)

    def touch(self, what: str) -> None:
        """State that what caches of this process hold of something is out of date when this is committed."""
        self.committed.insert(0, lambda: self.database._touched.update((what,)))  # first: no other may keep it from it

    def new_id(self) -> str:
        """A fresh ULID at this transaction's time."""
        return new_id(self.now)

    # The event of the running operation

    def note(
        self,
        *,
        resource: Ref | None = None,
        inputs: Sequence[Ref] = (),
        outputs: Sequence[Ref] = (),
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str | None = None,
        environment: str | None = None,
        action: str | None = None,
    ) -> None:
        """Add to the event that the running operation leaves: its exact resource, lineage, and what changed.

        `before` and `after` hold changed fields only, without floats (write decimals as text); figures are evidence.
        """
        scope = self._scopes[-1]
        if resource is not None:
            scope.fields["resource"] = resource
        scope.inputs += inputs
        scope.outputs += outputs
        if action is not None:
            scope.action = action
        if reason is not None:
            scope.reason = reason
        for key, value in (("before", before), ("after", after), ("env", environment)):
            if value is not None:
                scope.fields[key] = value

    def unchanged(self) -> None:
        """The running operation changed nothing after all (it was idempotent): it leaves no event."""
        self._scopes[-1].action = None

    def record(
        self,
        action: str,
        resource: Ref,
        *,
        inputs: Sequence[Ref] = (),
        outputs: Sequence[Ref] = (),
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str = "",
        environment: str = "",
        outcome: str = "ok",
        decision: str = "allow",
        rules: Sequence[str] = (),
    ) -> int:
        """Write one more event beside the operation's own; returns its sequence number."""
        fields = {
            "actor": _actor(self.principal),
            "action": action,
            "resource": self._resource(resource),
            "env": environment,
            "decision": decision,
            "rules": list(rules),
            "reason": reason,
            "ticket": "",
            "request_id": self.request_id,
            "trace_id": "",
            "before": to_plain(dict(before)) if before else {},
            "after": to_plain(dict(after)) if after else {},
            "inputs": [str(r) for r in inputs],
            "outputs": [str(r) for r in outputs],
            "outcome": outcome,
            "error": "",
        }
        if self._head is None:
            raise RuntimeError(f"{action}: a reading transaction leaves no event")
        return log.append(self.connection, self._head, self.stamp, fields)

    def _resource(self, ref: Ref) -> dict[str, Any]:
        digest = None
        if ref.version is not None:
            row = _DIGEST.run(self.connection, kind=ref.kind.value, name=ref.name, version=ref.version).fetchone()
            digest = None if row is None else row[0]
        project = ref.name.rpartition("/")[0]
        return {
            "ref": str(ref),
            "type": ref.kind.value,
            "id": ref.name,
            "version": ref.version,
            "project": project,
            "digest": digest,
        }

    @contextmanager
    def operation(
        self, action: str | None, resource: Resource, *, decision: str, rules: Sequence[str], reason: str
    ) -> Iterator[None]:
        """Run one operation's body; leave its event when it ends without an error."""
        scope = _Scope(action, resource, decision, rules, reason)
        self._scopes.append(scope)
        try:
            yield
        finally:
            self._scopes.pop()
        if scope.action is None:
            return
        subject = scope.fields["resource"]
        if subject is None:
            raise RuntimeError(f"{scope.action}: the operation did not say which resource it changed (tx.note)")
        self.record(
            scope.action,
            subject,
            inputs=scope.inputs,
            outputs=scope.outputs,
            before=scope.fields.get("before"),
            after=scope.fields.get("after"),
            reason=scope.reason,
            environment=scope.fields.get("env", ""),
            decision=scope.decision,
            rules=scope.rules,
        )

    @property
    def head(self) -> log.Head | None:
        """Where the ledger ends: its size counts what this transaction wrote. None while there is no ledger."""
        return self._head if self._head is not None else log.read(self.connection)

    @property
    def last_event_at(self) -> datetime | None:
        """When the newest event was written, or None while there is none."""
        head = self.head
        return None if head is None or head.size == 0 else parse_time(head.last_ts)

    @property
    def next_seq(self) -> int:
        """The sequence number that the next event will get: rows written before their event point at it."""
        head = self.head
        return 0 if head is None else head.size


@lru_cache(maxsize=256)
def _actor(p: Principal) -> dict[str, Any]:
    """Who did it, as an event says it."""
    return {
        "type": p.kind.value,
        "id": p.id,
        "on_behalf_of": p.on_behalf_of,
        "auth": p.auth,
        "token_id": p.token_id,
        "session": p.session,
        "ip": p.ip,
    }


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, pool_size=16)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own habit would defer it
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("modelwright_write", False):
            _take_lock(connection)
        elif not joined(connection):
            execute(connection, "BEGIN")

    return engine


def _take_lock(connection: sa.Connection) -> None:
    """Take SQLite's write lock, for which other processes may be waiting too.

    SQLite itself sleeps up to a tenth of a second between two looks; a process that writes all the time gives the lock
    back for some microseconds only, and would hardly ever be caught so.
    """
    until, pause = time.monotonic() + PATIENCE, 0.0002
    while True:
        try:
            execute(connection, "BEGIN IMMEDIATE")
            return
        except sa.exc.OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() >= until:
                raise
        time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - so that two do not keep in step
        pause = min(2 * pause, 0.003)
