"""Statements as the driver takes them: for the few that every write runs, SQLAlchemy's way costs more than their work."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement of SQLAlchemy Core, compiled once for each dialect and then run on the driver's own connection.

    Errors are those that SQLAlchemy raises. Parameters are given by name. Values are the driver's: it is for columns whose
    types SQLAlchemy would not convert.
    """

    def __init__(self, statement: Any, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._compiled: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {}
        columns = statement.selected_columns.keys() if isinstance(statement, sa.Select) else ()
        self._row = _row(columns)

    def run(self, connection: sa.Connection, **values: Any) -> Any:
        """Run it; the driver's cursor, whose rows are plain tuples."""
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            known = self._compiled[connection.dialect.name] = self._compile(connection.dialect)
        text, arranged = known
        return execute(connection, text, arranged(values))

    def first(self, connection: sa.Connection, **values: Any) -> Any | None:
        """Run a query; its first row, with the names of its columns, or None."""
        row = self.run(connection, **values).fetchone()
        return None if row is None else self._row._make(row)

    def all(self, connection: sa.Connection, **values: Any) -> list[Any]:
        """Run a query; its rows, with the names of its columns."""
        return [self._row._make(row) for row in self.run(connection, **values).fetchall()]

    def many(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Run it once for each row."""
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            known = self._compiled[connection.dialect.name] = self._compile(connection.dialect)
        text, arranged = known
        driver: Any = connection.connection.dbapi_connection
        parameters = [arranged(values) for values in rows]
        try:
            driver.cursor().executemany(text, parameters)
        except connection.dialect.loaded_dbapi.Error as error:
            raise told(connection, text, parameters[0], error) from error

    def _compile(self, dialect: sa.Dialect) -> tuple[str, Callable[[dict[str, Any]], Any]]:
        columns = list(self._names) if isinstance(self._statement, sa.Insert | sa.Update) else None
        compiled = self._statement.compile(dialect=dialect, column_keys=columns)
        order: Sequence[str] | None = compiled.positiontup
        fixed = {name: value for name, value in compiled.params.items() if name not in self._names}
        if order is None:
            return str(compiled), lambda values: {**fixed, **values}
        if fixed:
            return str(compiled), lambda values: [values[name] if name in values else fixed[name] for name in order]
        if len(order) > 1:
            return str(compiled), itemgetter(*order)
        return str(compiled), lambda values: [values[name] for name in order]


def _row(columns: Sequence[str]) -> Any:
    return namedtuple("Row", columns)


def execute(connection: sa.Connection, text: str, parameters: Any = ()) -> Any:
    """Run SQL in the driver's own words on its own connection."""
    driver: Any = connection.connection.dbapi_connection  # the driver's own, without the calls that look it up
    try:
        return driver.execute(text, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise told(connection, text, parameters, error) from error


def told(connection: sa.Connection, text: str, parameters: Any, error: Exception) -> Exception:
    """A driver's error as SQLAlchemy tells it: the same class on every database."""
    dialect = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    return sa.exc.DBAPIError.instance(
        text, parameters, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect
    )
