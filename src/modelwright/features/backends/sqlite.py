"""The online store in one SQLite file, beside the workspace's database."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from modelwright.core.errors import Unavailable
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode_text
from modelwright.features.ports import (
    Asked,
    Change,
    Found,
    Merge,
    Together,
    grown_by,
    overtaken,
    put_together,
    refuse_incomplete,
    refuse_older,
)
from modelwright.features.records import OnlineState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (number INTEGER PRIMARY KEY, view TEXT NOT NULL, generation TEXT NOT NULL,
                                        UNIQUE (view, generation));
CREATE TABLE IF NOT EXISTS views (view TEXT PRIMARY KEY, number INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (number INTEGER, key TEXT, packed BLOB NOT NULL,
                                 PRIMARY KEY (number, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO changes VALUES (1, 0);
"""
_VERSION = "(SELECT number FROM changes)"  # another one after every change of what reads see
_CHANGED = "UPDATE changes SET number = number + 1"
_PUT = "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET packed = excluded.packed"
_GET = "SELECT packed FROM rows WHERE number = ? AND key = ?"
_Known = tuple[int, OnlineState | None]  # the number of a generation, and what is said of it
_Columns = Sequence[Sequence[bytes | None]]
_Seen = tuple[set[int], _Columns]
MOST_TOGETHER = 30  # views whose rows of an entity are found by one statement
FEW = 3  # keys that are asked for one by one


class _Before(NamedTuple):
    """What was known at the read before of views that were read together."""

    views: Sequence[Ref]
    states: Sequence[OnlineState | None]
    numbers: list[int]
    statement: str


@cache
def _of_one(views: int) -> str:
    """The version, and the packed rows of one key in so many generations: a third of a statement for each."""
    each = [f"(SELECT packed FROM rows WHERE number = ?{place + 1} AND key = ?{views + 1})" for place in range(views)]
    return f"SELECT {', '.join([_VERSION, *each])}"


@cache
def _of_many(views: int) -> str:
    """The packed rows of the keys in a JSON array, in so many generations, each behind its key's place and the version."""
    names = [f"r{place}" for place in range(views)]
    chosen = ", ".join(["j.key", _VERSION, *(f"{name}.packed" for name in names)])
    joins = [f" LEFT JOIN rows {name} ON {name}.number = ?{i + 1} AND {name}.key = j.value" for i, name in enumerate(names)]
    return f"SELECT {chosen} FROM json_each(?{views + 1}) j{''.join(joins)}"


class SqliteStore:
    """Connections to the file, one for each thread; the file is made at the first use. See `ports.OnlineStore`."""

    near = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._file: tuple[int, int] | None = None  # the one that the connections are to
        self._decoded: dict[str, OnlineState] = {}  # states by their text: they are few and read all the time

    def load(self, view: Ref, generation: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `ports.OnlineStore`."""
        with self._transaction(write=True) as connection:
            number = self._number(connection, view, generation)
            connection.executemany(_PUT, [(number, key, packed) for key, packed in sorted(rows)])  # as they lie in the file

    def held(self, view: Ref, generation: str) -> int:
        """See `ports.OnlineStore`."""
        query = "SELECT count(*) FROM rows JOIN generations USING (number) WHERE view = ? AND generation = ?"
        with self._transaction(write=False) as connection:
            return int(connection.execute(query, (str(view), generation)).fetchone()[0])

    def publish(self, state: OnlineState) -> bool:
        """See `ports.OnlineStore`."""
        with self._transaction(write=True) as connection:
            _, current = self._state(connection, state.view)
            if current is not None and current.generation == state.generation:
                return False
            refuse_older(current, state)
            number = self._number(connection, state.view, state.generation)
            refuse_incomplete(state, self._count(connection, number))
            self._say(connection, number, state)
            self._forget(connection, state.view, but=number)
            return True

    def update(self, changes: Sequence[Change]) -> Sequence[OnlineState | None]:
        """See `ports.OnlineStore`. All of it is one commit."""
        with self._transaction(write=True) as connection:
            return [self._update(connection, *each) for each in changes]

    def _update(
        self, connection: sqlite3.Connection, state: OnlineState, keys: Sequence[str], merge: Merge
    ) -> OnlineState | None:
        number, current = self._state(connection, state.view)
        if overtaken(current, state):
            return None
        held = [connection.execute(_GET, (number, key)).fetchone() for key in keys]
        new = sum(row is None for row in held)
        rows = [(number, key, merge(key, row and row[0])) for key, row in zip(keys, held, strict=True)]
        connection.executemany(_PUT, rows)
        grown = grown_by(zip(keys, (row and row[0] for row in held), (row for *_, row in rows), strict=True))
        rows_before, bytes_before = (current.rows, current.bytes) if current else (0, 0)
        told = replace(state, rows=rows_before + new, bytes=bytes_before + grown)
        self._say(connection, number, told)
        return told

    def read(self, asked: Sequence[Asked]) -> Sequence[Found]:
        """See `ports.OnlineStore`."""
        connection, local = self._connection(), self._local
        known = [local.states[each.view] for each in asked if each.view in local.states]
        if len(known) == len(asked):
            seen, columns = self._columns(connection, known, asked)
            if seen == {local.version}:  # nobody wrote since: all of it is of one snapshot, and the states are
                return _found(known, columns)
        connection.execute("BEGIN")
        try:
            known = self._known(connection, asked)
            _, columns = self._columns(connection, known, asked)
        finally:
            connection.execute("COMMIT")
        return _found(known, columns)

    def together(self, views: Sequence[Ref], keys: Sequence[str | None]) -> Together:
        """See `ports.OnlineStore`. What was found out of the same views at the read before is looked up by nobody."""
        connection, local = self._connection(), self._local
        before = local.before
        if before is not None and before.views == views:  # as most often, the same objects
            if len(keys) == 1:
                version, *packed = connection.execute(before.statement, (*before.numbers, keys[0])).fetchone()
                if version == local.version:
                    return Together(before.states, [(each,) for each in packed])
            elif keys:
                seen, columns = self._rows(connection, before.numbers, keys)
                if seen == {local.version}:
                    return Together(before.states, columns)
        found = put_together(self.read([Asked(view, keys) for view in views]))
        if len(views) <= MOST_TOGETHER and None not in found.states:
            numbers = [local.states[view][0] for view in views]
            local.before = _Before(list(views), found.states, numbers, _of_one(len(views)))
        return found

    def _columns(self, connection: sqlite3.Connection, known: Sequence[_Known], asked: Sequence[Asked]) -> _Seen:
        """The packed rows of each view, in as few statements as may be, and the versions that these saw."""
        if 1 < len(asked) <= MOST_TOGETHER and _alike(asked):
            return self._rows(connection, [number for number, _ in known], asked[0].keys)
        seen, columns = set[int](), list[Sequence[bytes | None]]()
        for each, (number, _) in zip(asked, known, strict=True):
            versions, found = self._rows(connection, [number], each.keys)
            seen |= versions
            columns += found
        return seen, columns

    @staticmethod
    def _rows(connection: sqlite3.Connection, numbers: list[int], keys: Sequence[str | None]) -> _Seen:
        """The packed rows of some keys, generation by generation, and the versions seen: none without a key."""
        if len(keys) > FEW:
            found = connection.execute(_of_many(len(numbers)), (*numbers, encode_text(keys))).fetchall()
            places, versions, *columns = zip(*found, strict=True)
            if places != tuple(range(len(keys))):  # SQLite joins them in this order, though it need not
                places, versions, *columns = zip(*sorted(found), strict=True)
            return {versions[0]}, columns
        query = _of_one(len(numbers))
        if len(keys) == 1:
            version, *packed = connection.execute(query, (*numbers, keys[0])).fetchone()
            return {version}, [(each,) for each in packed]
        rows = [connection.execute(query, (*numbers, key)).fetchone() for key in keys]
        if not rows:
            return set(), [()] * len(numbers)
        versions, *columns = zip(*rows, strict=True)
        return set(versions), columns

    def _known(self, connection: sqlite3.Connection, asked: Sequence[Asked]) -> list[_Known]:
        """The states of views; as they were at the last read while nobody has written since."""
        (version,) = connection.execute(f"SELECT {_VERSION}").fetchone()
        held = self._local.states
        if self._local.version != version:
            held.clear()
            self._local.before, self._local.version = None, version
        found = []
        for view, _ in asked:
            state = held.get(view)
            if state is None:
                state = held[view] = self._state(connection, view)
            found.append(state)
        return found

    def states(self) -> Mapping[Ref, OnlineState]:
        """See `ports.OnlineStore`. Here it is noticed, too, that the file was deleted, or another put in its place."""
        if self._file is not None and self._file != self._there():
            self._local = threading.local()  # whoever reads just now has the old one to the end
        with self._transaction(write=False) as connection:
            listed = connection.execute("SELECT state FROM views ORDER BY view").fetchall()
        return {state.view: state for state in (decode(text, OnlineState) for (text,) in listed)}

    def drop(self, view: Ref) -> None:
        """See `ports.OnlineStore`."""
        with self._transaction(write=True) as connection:
            connection.execute("DELETE FROM views WHERE view = ?", (str(view),))
            connection.execute(_CHANGED)
            self._forget(connection, view, but=-1)
        self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")  # where nobody reads; else it goes with what comes

    def close(self) -> None:
        """See `ports.OnlineStore`."""
        while self._open:
            self._open.pop().close()
        self._local = threading.local()

    @staticmethod
    def _number(connection: sqlite3.Connection, view: Ref, generation: str) -> int:
        named = (str(view), generation)
        connection.execute("INSERT INTO generations (view, generation) VALUES (?, ?) ON CONFLICT DO NOTHING", named)
        query = "SELECT number FROM generations WHERE view = ? AND generation = ?"
        return int(connection.execute(query, named).fetchone()[0])

    @staticmethod
    def _count(connection: sqlite3.Connection, number: int) -> int:
        return int(connection.execute("SELECT count(*) FROM rows WHERE number = ?", (number,)).fetchone()[0])

    @staticmethod
    def _say(connection: sqlite3.Connection, number: int, state: OnlineState) -> None:
        connection.execute(
            "INSERT INTO views VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number, state = excluded.state",
            (str(state.view), number, encode_text(state)),
        )
        connection.execute(_CHANGED)

    @staticmethod
    def _forget(connection: sqlite3.Connection, view: Ref, *, but: int) -> None:
        old = "SELECT number FROM generations WHERE view = ? AND number <> ?"
        connection.execute(f"DELETE FROM rows WHERE number IN ({old})", (str(view), but))
        connection.execute("DELETE FROM generations WHERE view = ? AND number <> ?", (str(view), but))

    def _state(self, connection: sqlite3.Connection, view: Ref) -> _Known:
        row = connection.execute("SELECT number, state FROM views WHERE view = ?", (str(view),)).fetchone()
        if row is None:
            return -1, None
        state = self._decoded.get(row[1])
        if state is None:
            if len(self._decoded) > 1000:
                self._decoded.clear()
            state = self._decoded[row[1]] = decode(row[1], OnlineState)
        return row[0], state

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            if write:
                self._local.states.clear()
                self._local.before = None
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # which SQLite may have taken back itself, on a full disk
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            raise Unavailable(
                f"The online store in {self._path} cannot be used: {error}.",
                mend="Free some space on that disk, or see the file's owner and permissions. One that is damaged can be "
                "deleted: mw features materialise --lost puts back what stood there.",
            ) from None

    def _connection(self) -> sqlite3.Connection:
        """This thread's."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect()
            self._local.states, self._local.version = dict[Ref, _Known](), None
            self._local.before = None
        return found

    def _there(self) -> tuple[int, int] | None:
        """Which file lies at the path, whatever it is called elsewhere."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self) -> sqlite3.Connection:
        connection: Any = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=30000",
            "mmap_size=1073741824",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_SCHEMA)
        self._open.append(connection)
        self._file = self._there()
        return connection  # type: ignore[no-any-return]


def _alike(asked: Sequence[Asked]) -> bool:
    """Whether all views are asked for the very same keys."""
    first = asked[0].keys
    for each in asked:  # noqa: SIM110 - a generator takes as long as what it spares
        if each.keys is not first:
            return False
    return True


def _found(known: Sequence[_Known], columns: _Columns) -> list[Found]:
    return [Found(state, list(column) if state else []) for (_, state), column in zip(known, columns, strict=True)]
