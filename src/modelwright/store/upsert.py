"""An insert that may meet a row that is there already, in the words of the database at hand."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """SQLAlchemy's `insert` with `on_conflict_do_nothing` and `on_conflict_do_update`.

    Both databases have it, and SQLAlchemy keeps it in their dialects; only the one in use is imported.
    """
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
