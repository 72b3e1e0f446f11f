"""DuckDB over stored parts: a connection of its own that reads those files, computes, and can do nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb


def connect(views: Mapping[str, Sequence[Path]]) -> Any:
    """A connection in memory with one view for each name over its Parquet files, rows in the order of the files.

    Times are in UTC. Expressions that run on it can reach neither other files nor the network, nor change its settings:
    what a check's author writes is computed on the data and on nothing else.
    """
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    files = sorted({str(path) for paths in views.values() for path in paths})
    connection.execute(f"SET allowed_paths = [{', '.join(quote(path) for path in files)}]")
    connection.execute("SET enable_external_access = false")
    for name, paths in views.items():
        listed = ", ".join(quote(str(path)) for path in paths)
        connection.execute(f"CREATE VIEW {identifier(name)} AS SELECT * FROM read_parquet([{listed}])")
    connection.execute("SET lock_configuration = true")
    return connection


def rows(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The result of a query as dicts, times as aware or naive datetimes."""
    found: list[dict[str, Any]] = connection.sql(sql, params=list(parameters) or None).to_arrow_table().to_pylist()
    return found


def row(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
    """The single row of a query's result."""
    return rows(connection, sql, parameters)[0]


def identifier(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote(text: str) -> str:
    """A text, quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"
