"""The online store: one SQLite file beside the workspace's database, one packed row for each view version and entity.

Rows belong to a generation (one materialisation). A generation fills unseen and is switched to in one transaction, so a
reader sees all of one or all of the other; whoever was killed while filling one goes on where it stopped.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode_text
from modelwright.features.records import OnlineState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS views (view TEXT PRIMARY KEY, generation TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (view TEXT, generation TEXT, key TEXT, packed BLOB NOT NULL,
                                 PRIMARY KEY (view, generation, key)) WITHOUT ROWID;
"""


class OnlineStore:
    """Connections to the file, one for each thread; the file is made at the first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []

    def load(self, view: Ref, generation: str, rows: Sequence[tuple[str, bytes]]) -> int:
        """Write rows into a generation, again if need be; returns how many it holds now."""
        with self._transaction(write=True) as connection:
            connection.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET packed = excluded.packed",
                [(str(view), generation, key, packed) for key, packed in rows],
            )
            return self._count(connection, view, generation)

    def publish(self, state: OnlineState) -> bool:
        """Let reads see a complete generation and drop the others; False if they see it already.

        `Conflict` if rows are missing from it, or reads already see what was known later.
        """
        with self._transaction(write=True) as connection:
            current = self._state(connection, state.view)
            if current is not None and current.generation == state.generation:
                return False
            if current is not None and current.until > state.until:
                raise Conflict(f"{state.view} stands online as of {current.until}, later than {state.until}.")
            held = self._count(connection, state.view, state.generation)
            if held != state.rows:
                raise Conflict(
                    f"Of {state.rows} rows of {state.view}, {held} have arrived.",
                    mend="Materialise again: it goes on from there.",
                )
            connection.execute(
                "INSERT INTO views VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET generation = excluded.generation, state = excluded.state",
                (str(state.view), state.generation, encode_text(state)),
            )
            connection.execute("DELETE FROM rows WHERE view = ? AND generation <> ?", (str(state.view), state.generation))
            return True

    def state(self, view: Ref) -> OnlineState | None:
        """What reads of a view version see, or None if there is nothing."""
        with self._transaction(write=False) as connection:
            return self._state(connection, view)

    def read(self, view: Ref, keys: Sequence[str | None]) -> tuple[OnlineState | None, list[bytes | None]]:
        """The packed row of each key, or None; all of one generation, the one that the state describes."""
        with self._transaction(write=False) as connection:
            state = self._state(connection, view)
            if state is None:
                return None, []
            query = "SELECT packed FROM rows WHERE view = ? AND generation = ? AND key = ?"
            name = str(view)
            found = [connection.execute(query, (name, state.generation, key)).fetchone() for key in keys]
            return state, [None if row is None else row[0] for row in found]

    def drop(self, view: Ref) -> None:
        """Forget a view version."""
        with self._transaction(write=True) as connection:
            connection.execute("DELETE FROM views WHERE view = ?", (str(view),))
            connection.execute("DELETE FROM rows WHERE view = ?", (str(view),))

    def close(self) -> None:
        """Close every connection; no thread may be using one."""
        while self._open:
            self._open.pop().close()
        self._local = threading.local()

    @staticmethod
    def _count(connection: sqlite3.Connection, view: Ref, generation: str) -> int:
        query = "SELECT count(*) FROM rows WHERE view = ? AND generation = ?"
        return int(connection.execute(query, (str(view), generation)).fetchone()[0])

    @staticmethod
    def _state(connection: sqlite3.Connection, view: Ref) -> OnlineState | None:
        row = connection.execute("SELECT state FROM views WHERE view = ?", (str(view),)).fetchone()
        return None if row is None else decode(row[0], OnlineState)

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_SCHEMA)
        self._open.append(connection)
        return connection
