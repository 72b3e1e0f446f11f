"""Reading a version's rows back from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid
from modelwright.core.frames import without_index
from modelwright.datasets.engine import connect, identifier
from modelwright.datasets.records import DatasetVersion
from modelwright.datasets.scans import Rows, is_scan, schema_of
from modelwright.datasets.types import lacks_arrays

DAY = len("2026-03-01")


def read_rows(version: DatasetVersion, files: Rows, columns: Sequence[str] | None, where: str | None) -> Any:
    """The rows in their order, with the types in which they are stored.

    `files` are paths or, without a condition, file objects; or an Arrow dataset. `NotFound` names a column that is not
    there; `Invalid` carries DuckDB's words about a condition it does not understand.
    """
    names = [version.column(name).name for name in columns] if columns is not None else version.names
    if where is None and is_scan(files):
        return files.to_table(columns=names)
    if where is None:
        return pa.concat_tables(pq.read_table(file, columns=names, partitioning=None) for file in files)
    stored = schema_of(files if is_scan(files) else files[:1])
    schema = pa.schema([stored.field(name) for name in names])
    listed = ", ".join(identifier(name) for name in names)
    try:
        found = connect({"dataset": files}).sql(f"SELECT {listed} FROM dataset WHERE ({where})").to_arrow_table()
    except duckdb.Error as error:
        raise Invalid(f"The condition {where!r} does not work on {version.ref}: {first_line(error)}") from None
    return found.cast(schema)


def read_head(files: Rows, n: int) -> Any:
    """The first `n` rows, without reading parts and row groups that hold none of them."""
    if is_scan(files):
        return files.head(n)
    found: list[Any] = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            found.append(parquet.schema_arrow.empty_table())
            for number in range(parquet.num_row_groups):
                if (left := n - sum(table.num_rows for table in found)) <= 0:
                    return pa.concat_tables(found)
                found.append(parquet.read_row_group(number).slice(0, left))
    return pa.concat_tables(found)


def shape(version: DatasetVersion, schema: Any, rows: Any) -> Any:
    """Rows in the columns and types that a version is stored in. Text becomes a moment where the version has moments."""
    if isinstance(rows, Sequence):
        given = {name for row in rows for name in row}
    else:
        rows = rows if isinstance(rows, pa.Table) else without_index(pa.table(rows))
        given = set(rows.column_names)
    if given != set(schema.names):
        missing = ", ".join(name for name in schema.names if name not in given)
        further = ", ".join(sorted(given - set(schema.names)))
        told = [f"{names} {what}" for names, what in ((missing, "missing"), (further, "not among them")) if names]
        raise Invalid(
            f"The rows do not have the columns of {version.ref}: {'; '.join(told)}.",
            mend=f"It has {', '.join(schema.names)}.",
        )
    columns = {}
    for field in schema:
        try:
            if isinstance(rows, pa.Table):
                columns[field.name] = _cast(rows[field.name], field.type)
            else:
                columns[field.name] = _column([row.get(field.name) for row in rows], field.type)
        except (pa.ArrowException, ValueError, OverflowError, Invalid) as error:
            said = error.message if isinstance(error, Invalid) else first_line(error)
            raise Invalid(f"The rows do not fit {version.ref}: {field.name!r} is {field.type}, and {said}") from None
    made = pa.table(columns, schema)
    return made.combine_chunks() if isinstance(rows, pa.Table) else made


def _cast(column: Any, kind: Any) -> Any:
    if pa.types.is_timestamp(kind) and kind.tz is not None and pa.types.is_timestamp(column.type) and not column.type.tz:
        raise Invalid("its times have no zone.")
    if lacks_arrays(kind, column):
        raise Invalid("one of its arrays is missing, of which all have one length.")
    return column if column.type == kind else column.cast(kind)


def _column(values: Sequence[Any], kind: Any) -> Any:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.array([_moment(each) for each in values], kind)
    if pa.types.is_decimal(kind):
        return pa.array([_decimal(each) for each in values]).cast(kind)
    made = pa.array(values, kind)
    if lacks_arrays(kind, made):
        raise Invalid("one of its arrays is missing, of which all have one length.")
    return made


def _decimal(value: Any) -> Any:
    """A number as it is written: JSON has no other way to say one."""
    try:
        return Decimal(str(value)) if isinstance(value, float | str) else value
    except InvalidOperation:
        raise Invalid(f"{value!r} is no number.") from None


def _moment(value: Any) -> Any:
    """A moment from text or as it is; one without a zone could be any. A bare day begins at midnight in UTC."""
    if isinstance(value, str):
        value = parse_time(value) if len(value) <= DAY else datetime.fromisoformat(value)
    if isinstance(value, int | float):
        raise Invalid(f"{value} could count seconds or anything: write a moment as text, such as 2026-03-01T08:00:00Z.")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise Invalid(f"{value.isoformat()} has no time zone: write {value.isoformat()}Z if it is UTC.")
    return value


def first_line(error: Exception) -> str:
    """What DuckDB says, without the excerpt of the query that follows."""
    return str(error).partition("\n")[0]
