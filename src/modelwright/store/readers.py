"""Connections that read on SQLite, kept open from one reading transaction to the next: to the pool and back costs more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from modelwright.store.bare import Bare, to_join
from modelwright.store.driver import execute

KEPT = 8  # at the most; the engine's own pool has room for more than twice as many


class Readers:
    """Lends connections that are inside a transaction, each to one block at a time; from any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._free: list[sa.Connection] = []  # append and pop are atomic

    @contextmanager
    def open(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database until the block ends."""
        free = self._free
        try:
            connection = free.pop()
        except IndexError:
            connection = to_join(self._engine.connect())
        try:
            execute(connection, "BEGIN")
            yield connection
            Bare(connection).rollback()  # there is nothing to commit
        except BaseException:
            with suppress(Exception):
                Bare(connection).rollback()
            connection.close()  # what failed is not lent again
            raise
        if free is self._free and len(free) < KEPT:
            free.append(connection)
        else:
            connection.close()

    def dispose(self) -> None:
        """Close what is free; what is lent is closed when it comes back."""
        free, self._free = self._free, []
        for connection in free:
            connection.close()
