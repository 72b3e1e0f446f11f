"""DuckDB over stored parts: a connection that reads those files, computes, and where it is guarded can do nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from modelwright.datasets.scans import Rows, is_scan
from modelwright.store import analytics

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def connect(views: Mapping[str, Rows], *, guarded: bool = True, spill: Path | None = None) -> Any:
    """A connection in memory with one view for each name over its Parquet files or its Arrow dataset, rows in their order.

    Times are in UTC. Guarded, it has an instance to itself, and expressions that run on it can reach neither other files
    nor the network, nor change its settings: what a check's author writes is computed on the data and on nothing else.
    Not guarded, it opens in a fortieth of the time, and runs nothing but SQL of our own. `spill` is a folder for what does
    not fit into the memory of a guarded one.
    """
    connection = analytics.opened(spill) if guarded else analytics.reading()
    if guarded:
        files = sorted({str(path) for rows in views.values() if not is_scan(rows) for path in rows})
        connection.execute(f"SET allowed_paths = [{', '.join(quote(path) for path in files)}]")
        connection.execute("SET enable_external_access = false")
    for name, rows in views.items():
        if is_scan(rows):
            connection.register(name, rows)
            continue
        listed = ", ".join(quote(str(path)) for path in rows)
        connection.execute(f"CREATE TEMP VIEW {identifier(name)} AS SELECT * FROM read_parquet([{listed}])")
    if guarded:
        connection.execute("SET lock_configuration = true")
    return connection


def rows(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The result of a query as dicts; times are datetimes in UTC."""
    table = connection.sql(sql, params=list(parameters) or None).to_arrow_table()
    columns = [cells(column) for column in table.columns]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def cells(column: Any) -> list[Any]:
    """The values of an Arrow column; a time that Python has no object for is text, also in a list or a struct.

    Times go by way of integers: Arrow's own way imports pandas, where there is one.
    """
    kind = column.type
    if pa.types.is_date32(kind):
        return [None if count is None else day(count) for count in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_timestamp(kind):
        counts = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64()).to_pylist()
        return [None if count is None else moment(count) for count in counts]
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):  # within lists and structs
        return [_cell(each) for each in column]


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return "(a time outside of the years 1 to 9999)"


def moment(microseconds: int) -> datetime | str:
    """A moment by its microseconds since 1970, in UTC; as text where it is outside of the years that a datetime has."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return beyond(microseconds)


def day(days: int) -> date | str:
    """A day by its number since 1970; as text where it is outside of the years that a date has."""
    number = days + EPOCH.toordinal()
    if date.min.toordinal() <= number <= date.max.toordinal():
        return date.fromordinal(number)
    return str(np.datetime64(days, "D"))


def beyond(microseconds: int) -> str:
    """A moment that no datetime has: `12026-03-01T08:00:00Z`."""
    return f"{np.datetime64(microseconds, 'us')}".removesuffix(".000000") + "Z"


def row(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
    """The single row of a query's result."""
    return rows(connection, sql, parameters)[0]


def identifier(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote(text: str) -> str:
    """A text, quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"
