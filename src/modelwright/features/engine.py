"""Running the SQL of point-in-time truth, in sessions that see one table and nothing else. At the caller's side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid
from modelwright.core.signature import Column, DataType
from modelwright.core.wire import encode
from modelwright.features import plain, rowwise, sql
from modelwright.features.asof import Best, Newest
from modelwright.features.definitions import COUNTS, Feature, FeatureView
from modelwright.features.grouping import grouped
from modelwright.features.ordering import in_order
from modelwright.features.records import FeatureColumn, ViewRecord
from modelwright.features.sessions import session, sessions

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
MOST_CHECKED = 1000  # definitions that are remembered as sound
_checked: dict[tuple[bytes, bytes], tuple[list[DataType], list[str]]] = {}
_described: dict[tuple[bytes, bytes], list[tuple[DataType, int | None]]] = {}  # types of keys and features, as far as asked
BROUGHT = {"bool": DataType.BOOL, "int": DataType.INT64, "float": DataType.FP64, "text": DataType.STRING,
            "time": DataType.DATETIME}  # fmt: skip


def describe(view: FeatureView, source: pa.Table) -> tuple[list[Column], list[FeatureColumn]]:
    """The entity columns and the features with their types; `Invalid` says what of the definition does not hold."""
    with session(source.slice(0, 0), view) as connection:
        keys, inputs = _types(connection, view, source)
        lengths = _lengths(connection, view, inputs)
    columns = []
    for feature in view.features:
        place = view.inputs.index(feature.sql) if feature.sql else 0
        counted = feature.aggregation in COUNTS
        kind = DataType.INT64 if counted else inputs[place] if feature.sql else DataType.FP64
        length = lengths[place] if kind == sql.ARRAY else None
        dtype = DataType.FP64 if kind == sql.ARRAY else DataType(kind)
        columns.append(FeatureColumn(name=feature.name, dtype=dtype, nullable=not counted, length=length))
    return (
        [Column(name=name, dtype=kind) for name, kind in zip(view.entity, keys, strict=True)],
        [*columns, *_demanded(view, columns)],
    )


def unlike(record: ViewRecord, source: pa.Table) -> str:
    """Which key or feature of a view version has another type over these rows than the version says; empty if none has."""
    asked = _asked(record.view, source)
    held = _described.get(asked)
    if held is None:
        keys, columns = describe(record.view, source)
        held = [(each.dtype, None) for each in keys] + [(each.dtype, each.length) for each in columns]
        if len(_described) >= MOST_CHECKED:
            _described.clear()
        _described[asked] = held
    lengths = [None] * len(record.keys) + [each.length for each in record.columns]
    said = [(each.name, each.dtype, length) for each, length in zip([*record.keys, *record.columns], lengths, strict=True)]
    for (name, dtype, length), (now, others) in zip(said, held, strict=True):
        if (dtype, length) != (now, others):
            return f"{name} is {_shown_type(now, others)} there, and {_shown_type(dtype, length)} in this version"
    return ""


def _shown_type(dtype: DataType, length: int | None) -> str:
    return dtype.value if length is None else f"{length} of {dtype.value}"


def types(view: FeatureView, source: pa.Table) -> tuple[list[DataType], list[str]]:
    """The types of the entity columns and of the inputs, as `sql` takes them; `Invalid` as for `describe`."""
    with session(source.slice(0, 0), view) as connection:
        return _types(connection, view, source)


def on_demand(view: FeatureView, columns: Sequence[FeatureColumn], found: pa.Table) -> list[pa.ChunkedArray]:
    """The features on demand, from a table with the others and what the requests bring, row by row."""
    kinds = {column.name: arrow_type(column) for column in columns}
    given = {name: found[name].cast(kinds[name]) for name in view.stored}
    for name, kind in view.request.items():
        if name not in found.column_names:
            raise Invalid(f"View {view.name!r} needs {name!r} with every request.", mend=f"Add a column of type {kind}.")
        given[name] = _brought(view, name, kind, found[name])
    listed = ", ".join(f"{_value_of(kinds[each.name], each.sql)} AS {_quoted(each.name)}" for each in view.on_demand)
    with session(pa.table(given), view) as connection:
        made = connection.sql(f"SELECT {listed} FROM source").to_arrow_table()
    return [made.column(i).cast(kinds[each.name]) for i, each in enumerate(view.on_demand)]


def _brought(view: FeatureView, name: str, kind: str, column: Any) -> Any:
    try:
        return pa.chunked_array([column.combine_chunks() if hasattr(column, "combine_chunks") else column]).cast(
            _ARROW[BROUGHT[kind]]
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(f"View {view.name!r}: {name!r} is no {kind} in the rows asked for: {error}") from None


def _demanded(view: FeatureView, columns: Sequence[FeatureColumn]) -> list[FeatureColumn]:
    """The types of the features on demand, found on a table without rows."""
    if not view.on_demand:
        return []
    given = {column.name: pa.array([], arrow_type(column)) for column in columns}
    given |= {name: pa.array([], _ARROW[BROUGHT[kind]]) for name, kind in view.request.items()}
    with session(pa.table(given), view) as connection:
        for each in view.on_demand:
            rowwise.check(connection, f"SELECT ({each.sql}\n)", f"View {view.name!r}: the expression {each.sql!r}")
        listed = ", ".join(f"({each.sql}\n)" for each in view.on_demand)
        described = connection.execute(f"DESCRIBE SELECT {listed} FROM source").fetchall()
    kinds = [_kind(view, each.name, row[1].partition("(")[0], set(DataType))
             for each, row in zip(view.on_demand, described, strict=True)]  # fmt: skip
    return [FeatureColumn(name=each.name, dtype=DataType(kind), nullable=True)
            for each, kind in zip(view.on_demand, kinds, strict=True)]  # fmt: skip


def _value_of(kind: Any, text: str) -> str:
    """An expression in the type of ours that its value has; what is not finite is missing."""
    if pa.types.is_floating(kind):
        return f"CASE WHEN isfinite(CAST(({text}\n) AS DOUBLE)) THEN CAST(({text}\n) AS DOUBLE) END"
    return f"({text}\n)"


def _quoted(name: str) -> str:
    return f'"{name}"'


def arrow_type(column: FeatureColumn) -> Any:
    """The Arrow type of a feature."""
    return _ARROW[column.dtype] if column.length is None else pa.list_(pa.float64())


def arrow_type_of(kind: DataType) -> Any:
    """The Arrow type of a single value."""
    return _ARROW[kind]


def moments_of(values: Iterable[Any]) -> list[datetime | None]:
    """Moments that travel as text."""
    return [parse_time(each) if isinstance(each, str) else each for each in values]


def _lengths(connection: Any, view: FeatureView, inputs: Sequence[str]) -> list[int]:
    """Of arrays, how long they are by their type; 0 where that is open."""
    described = connection.execute(f"DESCRIBE {sql.probe(view)}").fetchall()
    last = described[len(described) - len(inputs) :]
    sizes = [kind.rpartition("[")[2].rstrip("]") for _, kind, *_ in last]
    return [int(size) if kind == sql.ARRAY and size.isdigit() else 0 for kind, size in zip(inputs, sizes, strict=True)]


def join(view: FeatureView, source: pa.Table, requests: pa.Table, at: Any) -> list[pa.ChunkedArray]:
    """One column for each feature, with a value (or null) for every row of `requests` in its order.

    `requests` holds the entity columns; `at` are the request times as int64 microseconds, without nulls.
    """
    with sessions(view.functions) as connection:
        return _join_in(connection, view, source, requests, at)


def join_in(connection: Any, view: FeatureView, source: pa.Table, requests: pa.Table, at: Any) -> list[pa.ChunkedArray]:
    """`join` in an open session, which afterwards is as empty as before; a view with functions gets one of its own."""
    if view.functions:
        return join(view, source, requests, at)
    return _join_in(connection, view, source, requests, at)


def _join_in(connection: Any, view: FeatureView, source: pa.Table, requests: pa.Table, at: Any) -> list[pa.ChunkedArray]:
    connection.register("source", source)
    registered = ["source"]
    try:
        keys, inputs = _types(connection, view, source)
        asked = _requests(view, requests, at, keys)
        if not view.windowed:
            there = plain.rows(view, keys, inputs, source)
            rows = _computed(connection, view, keys, inputs) if there is None else there
            return _newest(connection, view, inputs, _usable(view, len(keys), rows), asked)
        connection.register("requests", asked)
        registered.append("requests")
        connection.execute(f"CREATE TEMP TABLE events AS {sql.events(view, keys, inputs)}")
        compiled = sql.rolling if view.created_time is None else sql.rolling_late
        made: dict[str, pa.ChunkedArray] = {}
        for pieces, features in sql.ends(view).items():
            chosen = sql.columns_text("f", len(features))
            text = f"SELECT {chosen} FROM ({compiled(view, len(keys), inputs, pieces)}) ORDER BY row"
            found = connection.sql(text).to_arrow_table()
            made |= {each.name: column for each, column in zip(features, found.columns, strict=True)}
        return [_aggregated(view, each, made[each.name], inputs) for each in view.features]
    finally:
        connection.execute("DROP TABLE IF EXISTS events")
        for each in registered:  # of one that is not there, DuckDB's error would hide what went wrong
            connection.unregister(each)


def _newest(
    connection: Any, view: FeatureView, inputs: Sequence[str], found: pa.Table, asked: pa.Table
) -> list[pa.ChunkedArray]:
    """The features of the newest row for each request, of a view's rows: NumPy finds which."""
    k = sql.columns("k", len(view.entity))
    entity = grouped([found.column(name) for name in k], [asked.column(name) for name in k])
    event, visible = _times(view, found)
    moments = asked.column("moment").to_numpy()
    best = _best(connection, view, found, inputs)
    rows = Newest(entity.source, entity.number, visible, event, best).rows(entity.asked, moments)
    there = rows >= 0
    if view.lifetime is not None and len(event):
        there &= moments - event[rows] < view.lifetime
    chosen = pa.array(rows, mask=~there)
    return [_typed(pa.chunked_array([plain.cleaned(found.column(f"x{i}").combine_chunks().take(chosen), kind)]), kind)
            for i, kind in enumerate(inputs)]  # fmt: skip


def _rows(connection: Any, view: FeatureView, keys: Any, inputs: Any) -> pa.Table:
    """The usable rows of the source as `sql.every` has them, in their order."""
    return _usable(view, len(keys), _computed(connection, view, keys, inputs))


def _computed(connection: Any, view: FeatureView, keys: Any, inputs: Any) -> pa.Table:
    """All rows of the source as `sql.every` has them, in their order."""
    return connection.sql(sql.every(view, keys, inputs)).to_arrow_table()


def _usable(view: FeatureView, keys: int, found: pa.Table) -> pa.Table:
    """Of the rows that `sql.every` has, those with everything that they need."""
    for name in [*sql.columns("k", keys), "event", *(["known"] if view.created_time else [])]:
        if found.column(name).null_count:
            found = found.filter(pc.is_valid(found.column(name)))
    return found


def _times(view: FeatureView, rows: pa.Table) -> tuple[Any, Any]:
    """When rows happened and when they became visible; one and the same array where no created time is declared."""
    event = rows.column("event").to_numpy()
    return event, event if view.created_time is None else np.maximum(event, rows.column("known").to_numpy())


def _best(connection: Any, view: FeatureView, rows: pa.Table, inputs: Sequence[str]) -> Best:
    """What says which of some rows is the newest: their values are compared, too, and DuckDB does so."""
    times, x = ["event"] if view.created_time is None else ["event", "known"], sql.columns("x", len(inputs))

    def best(chosen: Any, group: Any) -> Any:
        taken = rows.select([*times, *x]).take(chosen)
        values = [plain.cleaned(taken.column(name), kind) for name, kind in zip(x, inputs, strict=True)]
        numbers = [pa.array(group), pa.array(np.arange(len(chosen)))]
        connection.register(
            "candidates", pa.table([*taken.select(times).columns, *values, *numbers], names=[*times, *x, "grp", "place"])
        )
        try:
            return connection.sql(sql.best(len(x), known=len(times) > 1)).to_arrow_table().column("place").to_numpy()
        finally:
            connection.unregister("candidates")

    return best


def _aggregated(view: FeatureView, feature: Feature, column: pa.ChunkedArray, inputs: Sequence[str]) -> pa.ChunkedArray:
    if feature.aggregation in COUNTS:
        return column.cast(pa.int64())
    return _typed(column, inputs[view.inputs.index(feature.sql)])


class Kept(NamedTuple):
    """Rows that the online store must hold: `event, x*` and perhaps `known`, by entity and by when they became visible."""

    keys: pa.Table  # the key of each entity
    counts: Any  # its rows
    visible: Any
    rows: pa.Table


def kept(
    view: FeatureView, source: pa.Table, since: int, until: int, *, after: int | None = None, added: int = 0
) -> tuple[Kept, Sequence[str]]:
    """What every read between `since` and `until` needs, and the types of the inputs.

    Of a timeline that is the row that was the newest at `since` and all that follow; of the rows of windows, those that one
    which ends at `since` or later can hold. With `after`, only the entities of which a row became visible after that time,
    or is one of the last `added` of the source's rows: theirs is all that can have changed.
    """
    with session(source, view) as connection:
        keys, inputs = _types(connection, view, source)
        found = _rows(connection, view, keys, inputs)
        k = sql.columns("k", len(keys))
        late = found.slice(0, 0)
        if added:
            with session(source.slice(source.num_rows - added), view) as other:
                late = _rows(other, view, keys, inputs)
        entity = grouped([found.column(name) for name in k], [late.column(name) for name in k])
        event, visible = _times(view, found)
        if view.windowed:
            chosen = in_order(entity.source, entity.number, visible, event)
            chosen = chosen[(visible[chosen] <= until) & (event[chosen] > since - view.reach)]
        else:
            best = _best(connection, view, found, inputs)
            chosen = Newest(entity.source, entity.number, visible, event, best).timeline()
            chosen = chosen[visible[chosen] <= until]
            follows = np.zeros(len(chosen), np.bool_)  # one of the same entity that was the newest by `since`
            follows[:-1] = (np.diff(entity.source[chosen]) == 0) & (visible[chosen[1:]] <= since)
            chosen = chosen[~follows]
    if after is not None:
        touched = np.zeros(entity.number, np.bool_)
        touched[entity.source[(visible > after) & (visible <= until)]] = True
        touched[entity.asked[entity.asked >= 0]] = True
        chosen = chosen[touched[entity.source[chosen]]]
    of = entity.source[chosen]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    rows = found.take(chosen)
    return Kept(rows.select(k).take(first), np.diff(first, append=len(of)), visible[chosen], rows), inputs


def waits(view: FeatureView, source: pa.Table, until: int) -> bool:
    """Whether the source holds rows that become visible after a time."""
    with session(source, view) as connection:
        keys, inputs = _types(connection, view, source)
        text = f"SELECT 1 FROM ({sql.events(view, keys, inputs)}) WHERE visible > $until LIMIT 1"
        return connection.execute(text, {"until": until}).fetchone() is not None


def arrived(opened: Callable[[], Any], view: FeatureView, rows: pa.Table) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Rows that were pushed, as `(key, [visible, event, known, x...])`; what can never be used is left out.

    `opened` gives a session (see `sessions`). It is asked for where something has to be computed: a push is a few rows and
    goes into many views, and most of these only name columns.
    """
    held = _checked.get(_asked(view, rows))
    found = None if held is None else plain.rows(view, *held, rows)
    if held is None or found is None:
        if view.functions:
            with sessions(view.functions) as own:
                yield from list(_arrived(own, view, rows))
        else:
            yield from _arrived(opened(), view, rows)
        return
    keys, inputs = held
    found = _usable(view, len(keys), found)
    event, visible = _times(view, found)
    known = event if view.created_time is None else found.column("known").to_numpy()
    values = [plain.listed(found.column(f"x{i}"), kind) for i, kind in enumerate(inputs)]
    named = [found.column(name).to_pylist() for name in sql.columns("k", len(keys))]
    columns = [visible.tolist(), event.tolist(), known.tolist(), *values]
    yield from zip(zip(*named, strict=True), map(list, zip(*columns, strict=True)), strict=True)


def _arrived(connection: Any, view: FeatureView, rows: pa.Table) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    connection.register("source", rows)
    try:
        keys, inputs = _types(connection, view, rows)
        chosen = ", ".join(["visible", "event", "known", *sql.columns("x", len(inputs))])
        text = f"SELECT {sql.columns_text('k', len(keys))}, {chosen} FROM ({sql.events(view, keys, inputs)})"
        found = connection.execute(text).fetchall()
    finally:
        connection.unregister("source")
    for row in found:
        yield tuple(row[: len(keys)]), list(row[len(keys) :])


def entities(view: FeatureView, source: pa.Table, number: int) -> pa.Table:
    """Up to `number` different entities of the source, spread evenly over their order."""
    with session(source, view) as connection:
        keys, inputs = _types(connection, view, source)
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


def _types(connection: Any, view: FeatureView, source: pa.Table) -> tuple[list[DataType], list[str]]:
    """The types of the entity columns and of the inputs, after everything about the definition was checked.

    They follow from the definition and the source's columns alone, and so does that it holds: once is enough.
    """
    asked = _asked(view, source)
    held = _checked.get(asked)
    if held is None:
        held = _found_types(connection, view)
        if len(_checked) >= MOST_CHECKED:
            _checked.clear()
        _checked[asked] = held
    return held


def _asked(view: FeatureView, source: pa.Table) -> tuple[bytes, bytes]:
    return encode(view), source.schema.remove_metadata().serialize().to_pybytes()


def _unbound(connection: Any, view: FeatureView, said: str) -> Invalid:
    """What a definition names that is not there, and what is."""
    there = [name for name, *_ in connection.execute(f"DESCRIBE FROM ({view.select or 'FROM source'})").fetchall()]
    missing = re.search(r'Referenced column "(.+?)" not found', said)
    what = f"there is no column {missing[1]!r}" if missing else said.splitlines()[0]
    giver = "`select` gives" if view.select else f"{view.source} has"
    return Invalid(f"View {view.name!r}: {what}.", mend=f"{giver} {', '.join(there)}.")


def _found_types(connection: Any, view: FeatureView) -> tuple[list[DataType], list[str]]:
    for text in [view.select] if view.select else []:
        rowwise.check(connection, text, f"View {view.name!r}: `select`")
    for text in view.inputs:
        rowwise.check(connection, f"SELECT ({text}\n)", f"View {view.name!r}: the expression {text!r}")
    try:
        described = connection.execute(f"DESCRIBE {sql.probe(view)}").fetchall()
    except duckdb.BinderException as error:
        raise _unbound(connection, view, str(error)) from None
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
    keys = [DataType(_kind(view, name, kind, _KEYS)) for name, (_, kind) in zip(view.entity, found[:first], strict=True)]
    inputs = []
    for text, (_, kind), (_, whole, *_) in zip(view.inputs, found[middle:], described[middle:], strict=True):
        measured = text in view.measured
        if whole.endswith("]") and not view.windowed:
            inputs.append(_array(view, text, whole))
        else:
            found_kind = _kind(view, text, kind, _NUMBERS if measured else set(DataType))
            inputs.append(DataType.FP64 if measured else found_kind)
    return keys, inputs


def _array(view: FeatureView, name: str, kind: str) -> str:
    inner = _KINDS.get(kind.rpartition("[")[0].partition("(")[0])
    if inner not in (DataType.INT64, DataType.FP64):
        raise Invalid(f"View {view.name!r}: {name} is {kind}, and an embedding is an array of numbers.", mend="Cast it.")
    return sql.ARRAY


def _kind(view: FeatureView, name: str, kind: str, allowed: set[DataType]) -> DataType:
    found = DataType.STRING if kind.startswith("ENUM") else DataType.FP64 if kind == "DECIMAL" else _KINDS.get(kind)
    if found not in allowed:
        words = ", ".join(sorted(each.value for each in allowed))
        raise Invalid(f"View {view.name!r}: {name} is {kind}, which does not fit ({words}).", mend="Cast it in `select`.")
    assert found is not None
    return found


def _requests(view: FeatureView, requests: pa.Table, at: Any, keys: Sequence[DataType]) -> pa.Table:
    named: dict[str, Any] = {"row": pa.array(np.arange(requests.num_rows, dtype=np.int64))} if view.windowed else {}
    for i, (name, kind) in enumerate(zip(view.entity, keys, strict=True)):
        column = requests.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not _fits(column.type, kind):
            raise Invalid(
                f"Entity column {name!r} is {column.type} in the rows asked for and {kind.value} in view {view.name!r}.",
                mend="Cast it in the rows: what names an entity is of the same type on both sides.",
            )
        named[f"k{i}"] = column.cast(_ARROW[kind])
    return pa.table({**named, "moment": at})


def _fits(given: Any, kind: DataType) -> bool:
    if pa.types.is_null(given):
        return True
    if kind is DataType.STRING:
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))
    return bool(pa.types.is_integer(given) if kind is DataType.INT64 else pa.types.is_boolean(given))


def _typed(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    return column.cast(pa.list_(pa.float64()) if kind == sql.ARRAY else _ARROW[DataType(kind)])
