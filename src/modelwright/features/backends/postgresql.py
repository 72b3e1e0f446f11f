"""The online store in PostgreSQL: a schema of its own, one statement for a read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from modelwright.core.errors import Unavailable
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode_text
from modelwright.features.backends.answering import unavailable
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

_LOCK = 0x6D77_6F6E  # of two who make the tables at once, one waits
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS modelwright_online;
CREATE TABLE IF NOT EXISTS modelwright_online.views (view text PRIMARY KEY, generation text NOT NULL, state text NOT NULL);
CREATE TABLE IF NOT EXISTS modelwright_online.rows (view text, generation text, key text, packed bytea NOT NULL,
                                                    PRIMARY KEY (view, generation, key));
"""
_VIEWS, _ROWS = "modelwright_online.views", "modelwright_online.rows"
_PUT = f"""
    INSERT INTO {_ROWS} SELECT %s, %s, * FROM unnest(%s::text[], %s::bytea[])
    ON CONFLICT (view, generation, key) DO UPDATE SET packed = excluded.packed"""
_READ = f"""
    SELECT a.n, v.state, r.packed FROM unnest(%s::int[], %s::text[], %s::text[]) AS a(n, view, key)
    JOIN {_VIEWS} v ON v.view = a.view
    LEFT JOIN {_ROWS} r ON r.view = a.view AND r.generation = v.generation AND r.key = a.key"""


class PostgresStore:
    """Connections, one for each thread, made at the first use. See `ports.OnlineStore`."""

    near = False

    def __init__(self, address: str) -> None:
        scheme, colon, rest = address.partition(":")
        self._address = scheme.partition("+")[0] + colon + rest  # SQLAlchemy's way of naming a driver is understood
        self._local = threading.local()
        self._open: list[Any] = []

    def load(self, view: Ref, generation: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `ports.OnlineStore`."""
        with self._transaction() as connection:
            latest = dict(rows)
            connection.execute(_PUT, (str(view), generation, list(latest), list(latest.values())))

    def held(self, view: Ref, generation: str) -> int:
        """See `ports.OnlineStore`."""
        with self._transaction() as connection:
            return self._count(connection, view, generation)

    def publish(self, state: OnlineState) -> bool:
        """See `ports.OnlineStore`."""
        view = str(state.view)
        with self._transaction() as connection:
            current = self._held(connection, state.view)
            if current is not None and current.generation == state.generation:
                return False
            refuse_older(current, state)
            refuse_incomplete(state, self._count(connection, state.view, state.generation))
            connection.execute(
                f"INSERT INTO {_VIEWS} VALUES (%s, %s, %s) ON CONFLICT (view) DO UPDATE"
                " SET generation = excluded.generation, state = excluded.state",
                (view, state.generation, encode_text(state)),
            )
            connection.execute(f"DELETE FROM {_ROWS} WHERE view = %s AND generation <> %s", (view, state.generation))
            return True

    def update(self, changes: Sequence[Change]) -> Sequence[OnlineState | None]:
        """See `ports.OnlineStore`. All of it is one commit; views are locked in order: no two wait for each other."""
        told: dict[int, OnlineState | None] = {}
        with self._transaction() as connection:
            for place in sorted(range(len(changes)), key=lambda place: str(changes[place].state.view)):
                told[place] = self._update(connection, *changes[place])
        return [told[place] for place in range(len(changes))]

    def _update(self, connection: Any, state: OnlineState, keys: Sequence[str], merge: Merge) -> OnlineState | None:
        view, current = str(state.view), self._held(connection, state.view)
        if current is None or overtaken(current, state):
            return None
        query = f"SELECT key, packed FROM {_ROWS} WHERE view = %s AND generation = %s AND key = ANY(%s)"
        held = {key: bytes(row) for key, row in connection.execute(query, (view, state.generation, list(keys)))}
        made = {key: merge(key, held.get(key)) for key in keys}
        connection.execute(_PUT, (view, state.generation, list(made), list(made.values())))
        grown = grown_by((key, held.get(key), row) for key, row in made.items())
        told = replace(state, rows=current.rows + len(made) - len(held), bytes=current.bytes + grown)
        connection.execute(f"UPDATE {_VIEWS} SET state = %s WHERE view = %s", (encode_text(told), view))
        return told

    def read(self, asked: Sequence[Asked]) -> Sequence[Found]:
        """See `ports.OnlineStore`."""
        numbers: list[int] = []
        views: list[str] = []
        keys: list[str | None] = []
        first: list[int] = []
        for view, wanted in asked:
            first.append(len(numbers))
            for key in (None, *wanted):  # the state is told also where no key finds anything
                numbers.append(len(numbers))
                views.append(str(view))
                keys.append(key)
        rows = {n: (state, packed) for n, state, packed in self._fetched(_READ, (numbers, views, keys))}
        found = []
        for start, (_, wanted) in zip(first, asked, strict=True):
            if start not in rows:
                found.append(Found(None, []))
                continue
            packed = [rows[start + 1 + i][1] for i in range(len(wanted))]
            found.append(
                Found(decode(rows[start][0], OnlineState), [None if row is None else bytes(row) for row in packed])
            )
        return found

    def together(self, views: Sequence[Ref], keys: Sequence[str | None]) -> Together:
        """See `ports.OnlineStore`."""
        return put_together(self.read([Asked(view, keys) for view in views]))

    def states(self) -> Mapping[Ref, OnlineState]:
        """See `ports.OnlineStore`."""
        listed = self._fetched(f"SELECT state FROM {_VIEWS} ORDER BY view")
        return {state.view: state for state in (decode(text, OnlineState) for (text,) in listed)}

    def drop(self, view: Ref) -> None:
        """See `ports.OnlineStore`."""
        with self._transaction() as connection:
            for table in (_VIEWS, _ROWS):
                connection.execute(f"DELETE FROM {table} WHERE view = %s", (str(view),))

    def close(self) -> None:
        """See `ports.OnlineStore`."""
        while self._open:
            self._open.pop().close()
        self._local = threading.local()

    @staticmethod
    def _held(connection: Any, view: Ref) -> OnlineState | None:
        """The state, which nobody else changes until the transaction ends."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (str(view),))
        row = connection.execute(f"SELECT state FROM {_VIEWS} WHERE view = %s FOR UPDATE", (str(view),)).fetchone()
        return None if row is None else decode(row[0], OnlineState)

    @staticmethod
    def _count(connection: Any, view: Ref, generation: str) -> int:
        query = f"SELECT count(*) FROM {_ROWS} WHERE view = %s AND generation = %s"
        return int(connection.execute(query, (str(view), generation)).fetchone()[0])

    def _fetched(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds; asked once more where the connection of before was closed, as by a server that restarted."""
        before = getattr(self._local, "connection", None)
        while True:
            try:
                with self._transaction() as connection:
                    return list(connection.execute(query, values).fetchall())
            except Unavailable:
                if before is None or not before.closed:
                    raise
                before = None

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        import psycopg

        connection = getattr(self._local, "connection", None)
        try:
            if connection is None or connection.closed:
                connection = self._local.connection = self._connect()
            with connection.transaction():
                yield connection
        except psycopg.Error as error:  # also of rights that are lacking, and of a server that takes no writes
            raise unavailable("PostgreSQL", error, silent=isinstance(error, psycopg.OperationalError)) from None

    def _connect(self) -> Any:
        import psycopg

        connection = psycopg.connect(self._address, autocommit=True)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_SCHEMA)
        self._open = [each for each in self._open if not each.closed] + [connection]
        return connection
