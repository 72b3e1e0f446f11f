"""Transactions on SQLite that go straight to the driver.

SQLAlchemy's own transaction with its events costs a statement ten times its work. On a connection `to_join` BEGIN and its
end are the driver's, and SQLAlchemy joins what is open where a statement of its own is run in it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelwright.store.driver import execute

_JOINS = "modelwright_joins"


def to_join(connection: sa.Connection) -> sa.Connection:
    """A connection on which `Bare` transactions are begun."""
    return connection.execution_options(**{_JOINS: True})


def joined(connection: sa.Connection) -> bool:
    """Whether SQLAlchemy begins what is open already."""
    return bool(connection.get_execution_options().get(_JOINS)) and _driver(connection).in_transaction


class Bare:
    """A transaction that was begun by the driver: what `sqlalchemy.RootTransaction` is to its own."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @property
    def is_active(self) -> bool:
        """Whether it has not ended, by itself or otherwise."""
        return bool(_driver(self._connection).in_transaction)

    def commit(self) -> None:
        """Return when it is on the disk."""
        if self._connection.in_transaction():
            self._connection.commit()
        else:
            execute(self._connection, "COMMIT")

    def rollback(self) -> None:
        """Undo it; nothing happens where the database did so already."""
        if self._connection.in_transaction():
            self._connection.rollback()
        if self.is_active:
            execute(self._connection, "ROLLBACK")


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.dbapi_connection
