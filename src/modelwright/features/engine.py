"""Running the SQL of point-in-time truth: a DuckDB session that sees one table and nothing else. At the caller's side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import Invalid
from modelwright.core.signature import Column, DataType
from modelwright.features import rowwise, sql
from modelwright.features.records import FeatureView

_KINDS = {
    "BOOLEAN": DataType.BOOL,
    "VARCHAR": DataType.STRING,
    "UUID": DataType.STRING,
    "FLOAT": DataType.FP64,
    "DOUBLE": DataType.FP64,
    "HUGEINT": DataType.FP64,
    "UHUGEINT": DataType.FP64,
    "UBIGINT": DataType.FP64,
    "TIMESTAMP WITH TIME ZONE": DataType.DATETIME,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), DataType.INT64),
}
_NUMBERS = {DataType.BOOL, DataType.INT64, DataType.FP64}
_KEYS = {DataType.BOOL, DataType.INT64, DataType.STRING}
_ARROW = {
    DataType.BOOL: pa.bool_(),
    DataType.INT64: pa.int64(),
    DataType.FP64: pa.float64(),
    DataType.STRING: pa.string(),
    DataType.DATETIME: pa.timestamp("us", tz="UTC"),
}
_TICKS = pa.timestamp("us", tz="UTC")


@contextmanager
def session(source: pa.Table) -> Iterator[Any]:
    """A connection in memory whose one table is `source`, in UTC.

    A definition's SQL was written by somebody else, perhaps: it can reach no file, no network and no setting.
    """
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        connection.register("source", source)
        yield connection
    except duckdb.Error as error:
        raise Invalid(f"DuckDB cannot compute this: {str(error).strip()}") from error
    finally:
        connection.close()


def describe(view: FeatureView, source: pa.Table) -> tuple[list[Column], list[Column]]:
    """The entity columns and the features with their types; `Invalid` says what of the definition does not hold."""
    with session(source.slice(0, 0)) as connection:
        keys, inputs = _types(connection, view)
    if not view.windowed:
        kinds = inputs
    else:
        kinds = [DataType.FP64 if feature.aggregation != "count" else DataType.INT64 for feature in view.features]
    return (
        [Column(name=name, dtype=kind) for name, kind in zip(view.entity, keys, strict=True)],
        [Column(name=name, dtype=kind, nullable=kind is not DataType.INT64 or not view.windowed)
         for name, kind in zip(view.names, kinds, strict=True)],
    )  # fmt: skip


def join(view: FeatureView, source: pa.Table, requests: pa.Table, at: Any) -> list[pa.ChunkedArray]:
    """One column for each feature, with a value (or null) for every row of `requests` in its order.

    `requests` holds the entity columns; `at` are the request times as int64 microseconds, without nulls.
    """
    with session(source) as connection:
        keys, inputs = _types(connection, view)
        connection.register("asked", _requests(view, requests, at, keys))
        connection.execute("CREATE TEMP TABLE requests AS SELECT * FROM asked")
        _load(connection, view, keys, inputs)
        if not view.windowed:
            found = connection.sql(sql.newest(view, len(keys))).to_arrow_table()
            return [_typed(found.column(i), kind) for i, kind in enumerate(inputs)]
        query = sql.rolling(view, len(keys)) if view.created_time is None else sql.rolling_late(view, len(keys))
        return list(connection.sql(query).to_arrow_table().columns)


def kept(view: FeatureView, source: pa.Table, since: int, until: int) -> Iterator[pa.RecordBatch]:
    """What the online store must hold, entity by entity: `k*, visible, event, x*`, the last three groups as lists."""
    with session(source) as connection:
        keys, inputs = _types(connection, view)
        _load(connection, view, keys, inputs)
        found = connection.sql(sql.kept(view, len(keys)), params={"since": since, "until": until}).to_arrow_table()
    yield from found.to_batches(max_chunksize=1000)


def entities(view: FeatureView, source: pa.Table, number: int) -> pa.Table:
    """Up to `number` different entities of the source, spread evenly over their order."""
    with session(source) as connection:
        keys, inputs = _types(connection, view)
        connection.execute(f"CREATE TEMP TABLE events AS {sql.events(view, keys, inputs)}")
        k = sql.columns_text("k", len(keys))
        found = connection.sql(f"SELECT DISTINCT {k} FROM events ORDER BY {k}").to_arrow_table()
    step = max(1, -(-found.num_rows // number))
    return found.take(list(range(0, found.num_rows, step))).rename_columns(view.entity)


def ticks(moments: Any, name: str) -> pa.Array:
    """A column of moments as int64 microseconds since 1970, finer parts cut off; naive times and nulls are `Invalid`."""
    if not pa.types.is_timestamp(moments.type) or moments.type.tz is None:
        raise Invalid(
            f"Column {name!r} is {moments.type}, and a request time needs a time zone.",
            mend="Make it timestamp[us, tz=UTC]; pyarrow.compute.assume_timezone gives naive times their zone.",
        )
    if moments.null_count:
        raise Invalid(f"Column {name!r} has {moments.null_count} missing times.", mend="Every row needs its request time.")
    return pc.cast(pc.cast(moments, _TICKS, safe=False), pa.int64())


def _load(connection: Any, view: FeatureView, keys: Sequence[DataType], inputs: Sequence[DataType]) -> None:
    connection.execute(f"CREATE TEMP TABLE events AS {sql.events(view, keys, inputs)}")
    if not view.windowed:
        connection.execute(f"CREATE TEMP TABLE timeline AS {sql.timeline(len(keys), len(inputs))}")


def _types(connection: Any, view: FeatureView) -> tuple[list[DataType], list[DataType]]:
    """The types of the entity columns and of the inputs, after everything about the definition was checked."""
    for text in [view.select] if view.select else []:
        rowwise.check(connection, text, f"View {view.name!r}: `select`")
    for text in view.inputs:
        rowwise.check(connection, f"SELECT ({text}\n)", f"View {view.name!r}: the expression {text!r}")
    described = connection.execute(f"DESCRIBE {sql.probe(view)}").fetchall()
    times = [name for name in (view.event_time, view.created_time) if name is not None]
    if len(described) != len(view.entity) + len(times) + len(view.inputs):
        raise Invalid(f"View {view.name!r}: an expression gives more than one value.")
    found = [(name, kind.partition("(")[0]) for name, kind, *_ in described]
    first, middle = len(view.entity), len(view.entity) + len(times)
    for name, (_, kind) in zip(times, found[first:middle], strict=True):
        if kind != "TIMESTAMP WITH TIME ZONE":
            raise Invalid(
                f"View {view.name!r}: the time {name!r} is {kind}, not a moment with a time zone.",
                mend=f"Say in `select` which zone it is in: timezone('UTC', {name}) AS {name}",
            )
    keys = [_kind(view, name, kind, _KEYS) for name, (_, kind) in zip(view.entity, found[:first], strict=True)]
    allowed = _NUMBERS if view.windowed else set(DataType)
    inputs = [_kind(view, text, kind, allowed) for text, (_, kind) in zip(view.inputs, found[middle:], strict=True)]
    return keys, [DataType.FP64] * len(inputs) if view.windowed else inputs


def _kind(view: FeatureView, name: str, kind: str, allowed: set[DataType]) -> DataType:
    found = DataType.STRING if kind.startswith("ENUM") else DataType.FP64 if kind == "DECIMAL" else _KINDS.get(kind)
    if found not in allowed:
        words = ", ".join(sorted(each.value for each in allowed))
        raise Invalid(f"View {view.name!r}: {name} is {kind}, which does not fit ({words}).", mend="Cast it in `select`.")
    assert found is not None
    return found


def _requests(view: FeatureView, requests: pa.Table, at: Any, keys: Sequence[DataType]) -> pa.Table:
    named: dict[str, Any] = {"row": pa.array(range(requests.num_rows), pa.int64())}
    for i, (name, kind) in enumerate(zip(view.entity, keys, strict=True)):
        column = requests.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not _fits(column.type, kind):
            raise Invalid(
                f"Entity column {name!r} is {column.type} in the rows asked for and {kind.value} in view {view.name!r}."
            )
        named[f"k{i}"] = column.cast(_ARROW[kind])
    return pa.table({**named, "moment": at})


def _fits(given: Any, kind: DataType) -> bool:
    if pa.types.is_null(given):
        return True
    if kind is DataType.STRING:
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))
    return bool(pa.types.is_integer(given) if kind is DataType.INT64 else pa.types.is_boolean(given))


def _typed(column: pa.ChunkedArray, kind: DataType) -> pa.ChunkedArray:
    return column.cast(_ARROW[kind])
