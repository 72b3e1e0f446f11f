"""One database, SQLite or PostgreSQL; one writer at a time; every change with its event in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import Clock, isoformat, parse_time
from modelwright.core.ids import new_id
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.core.wire import to_plain
from modelwright.store.ledger import log
from modelwright.store.tables import catalog_versions, ledger_head, metadata
from modelwright.store.upsert import insert

# A name is matched as it is written (LIKE, by default, would let `Pricing` pass for `pricing`, unlike on PostgreSQL).
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000", "case_sensitive_like=ON")

_DIGEST = sa.select(catalog_versions.c.digest).where(
    catalog_versions.c.kind == sa.bindparam("kind"),
    catalog_versions.c.name == sa.bindparam("name"),
    catalog_versions.c.version == sa.bindparam("version"),
)


class _Ends:
    """What to call when a transaction has ended, the write lock already given back: either may open another."""

    def __init__(self) -> None:
        self.committed: list[Callable[[], None]] = []
        self.rolled_back: list[Callable[[], None]] = []


class Database:
    """Engine, clock and the write lock. `transaction` is the only way in."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = sa.make_url(url)
        self.clock = clock
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = threading.Lock()  # fair among threads; the database itself keeps other processes out
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else sa.create_engine(self.url, pool_pre_ping=True)
        # A reading transaction sees one state of the database throughout, as it does in SQLite by itself.
        self._reading: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}

    def create_all(self) -> None:
        """Create every table that is not there. For tests; a workspace goes through the migrations."""
        metadata.create_all(self.engine)

    @contextmanager
    def transaction(self, principal: Principal, *, write: bool, request_id: str = "") -> Iterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        A writing one holds the single write lock from its beginning, so a rule that reads and then writes cannot be
        overtaken in between, alike on both databases.
        """
        ends = _Ends()
        try:
            with self._writer if write and self.is_sqlite else nullcontext():
                yield from self._run(principal, write, request_id, ends)
        except Exception:
            for callback in ends.rolled_back:
                callback()
            raise
        for callback in ends.committed:
            callback()

    def _run(self, principal: Principal, write: bool, request_id: str, ends: _Ends) -> Iterator[Transaction]:
        options = {"modelwright_write": True} if write else self._reading
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            now, head = self.clock.now(), None
            if write:
                head = log.lock(connection, isoformat(now))
                now = max(self.clock.now(), parse_time(head.last_ts))  # another machine's clock may be ahead of ours
            tx = Transaction(self, connection, principal, now, head, request_id or new_id(now))
            tx.committed, tx.rolled_back = ends.committed, ends.rolled_back
            token = _current.set(tx)
            try:
                yield tx
            finally:
                _current.reset(token)

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


_current: ContextVar[Transaction | None] = ContextVar("modelwright_transaction", default=None)


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
        head: log.Head | None,
        request_id: str,
    ) -> None:
        self.database = database
        self.connection = connection
        self.principal = principal
        self.now = now
        self._head = head  # of the ledger; only who holds the write lock knows it
        self.request_id = request_id
        self.committed: list[Callable[[], None]] = []  # called after the commit
        self.rolled_back: list[Callable[[], None]] = []  # called after a rollback: a refusal is on the record all the same
        self.readable: Callable[[str], Sequence[str] | None] = lambda kind: None
        self._scopes: list[_Scope] = []

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self._head is not None

    @property
    def stamp(self) -> str:
        """`now` as it is stored."""
        return isoformat(self.now)

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run one statement of SQLAlchemy Core."""
        return self.connection.execute(statement, parameters)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part that may fail by itself: if the block raises, what it wrote is undone, events too, and the rest stands."""
        head, told = self._head, len(self.committed)
        before = None if head is None else (head.size, list(head.frontier), head.last_ts)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self.committed[told:]
            if head is not None and before is not None:
                head.size, head.frontier, head.last_ts = before
            raise

    def insert(self, table: sa.Table) -> Any:
        """An insert that can also say what to do where the row is there already (`on_conflict_do_...`)."""
        return insert(self.connection, table)

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
        p = self.principal
        actor = {"type": p.kind.value, "id": p.id, "on_behalf_of": p.on_behalf_of, "auth": p.auth}
        actor |= {"token_id": p.token_id, "session": p.session, "ip": p.ip}
        fields = {
            "actor": actor,
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
            digest = self.execute(_DIGEST, {"kind": ref.kind, "name": ref.name, "version": ref.version}).scalar()
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
    def last_event_at(self) -> datetime | None:
        """When the newest event was written, or None while there is none."""
        head = self.execute(sa.select(ledger_head.c.size, ledger_head.c.last_ts)).first()
        return None if head is None or head.size == 0 else parse_time(head.last_ts)

    @property
    def next_seq(self) -> int:
        """The sequence number that the next event will get: rows written before their event point at it."""
        return int(self.execute(sa.select(ledger_head.c.size)).scalar_one())


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, pool_size=16)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own habit would defer it
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("modelwright_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
