"""The SQL of point-in-time truth, for DuckDB. Pure text; nothing here runs.

The user's own SQL (`select`, the expressions of features) and column names appear only in `events`. From there on a column
is `k0, k1, ...` (entity), `x0, x1, ...` (inputs), `event` and `visible`, and every number is one of ours: definitions
cannot reach into what follows. Times are whole microseconds since 1970.

The rules, in one place:

- A row is *visible* from the later of its event time and its created time on, that moment included.
- The *newest* row is the one with the latest event time, then the latest created time, then the greatest values (compared
  in order, missing first): never the order of rows in a file.
- A row holds while its age is less than the ttl. A window of length w at t holds the visible rows with t - w < event <= t;
  one that tumbles holds those of the last whole piece: the same with the greatest multiple of w that is not after t as t.
- A row without a key, an event time or (where declared) a created time is never used. NaN and infinity are missing values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelwright.core.signature import DataType
from modelwright.features.definitions import Aggregation, Feature, FeatureView, identifier

ARRAY = "ARRAY"  # beside the types of single values: an embedding
ALWAYS = -(1 << 62)  # the event time of a table that is true at all times: before every moment

_STORED = {
    DataType.BOOL: "BOOLEAN",
    DataType.INT64: "BIGINT",
    DataType.FP64: "DOUBLE",
    DataType.STRING: "VARCHAR",
    DataType.DATETIME: "BIGINT",
    ARRAY: "DOUBLE[]",
}
_AGGREGATES = {
    Aggregation.COUNT: "count({x})",
    Aggregation.MEAN: "avg({x})",
    Aggregation.TOTAL: "sum({x})",
    Aggregation.MINIMUM: "min({x})",
    Aggregation.MAXIMUM: "max({x})",
    Aggregation.DEVIATION: "stddev_samp({x})",
    Aggregation.DISTINCT: "count(DISTINCT {x})",
    Aggregation.LAST: "arg_max({x}, {n})",
}


def derived(view: FeatureView) -> str:
    """The rows the view is computed from."""
    return f"({view.select}\n)" if view.select else "source"


def probe(view: FeatureView) -> str:
    """A query whose columns are the entity, the times that are declared, and the inputs: for finding their types."""
    times = [identifier(name) for name in (view.event_time, view.created_time) if name is not None]
    listed = [identifier(name) for name in view.entity] + times + [f"({sql}\n)" for sql in view.inputs]
    return f"SELECT {', '.join(listed)} FROM {derived(view)}"


def needed(view: FeatureView, names: Sequence[str]) -> list[str]:
    """Of the source's columns, those that a view can name: none that its SQL needs is missing, some too many may be there.

    A name counts wherever its letters stand in the SQL; COLUMNS(...), the table's own name and a SELECT of the view's own,
    which can call it something else, stand for all.
    """
    said = "\n".join(view.inputs).replace('""', '"').lower()
    if view.select or "columns" in said or re.search(r"\bsource\b(?!\s*\.)", said):
        return list(names)
    times = [name for name in (view.event_time, view.created_time) if name is not None]
    text = "\n".join([*view.entity, *times]).lower() + "\n" + said
    return [name for name in names if name.lower() in text]


def events(view: FeatureView, keys: Sequence[DataType], inputs: Sequence[str]) -> str:
    """The source's usable rows as `k*, event, known, visible, x*`, in types of ours.

    For each input whose last value is wanted there is also `n*`, which numbers an entity's rows from oldest to newest.
    """
    rows = every(view, keys, inputs)
    if view.created_time is None:
        rows = f"SELECT *, event AS known FROM ({rows})"
    usable = [f"k{i} IS NOT NULL" for i in range(len(keys))] + ["event IS NOT NULL", "known IS NOT NULL"]
    entity = columns_text("k", len(keys))
    numbered = [
        f", row_number() OVER (PARTITION BY {entity} ORDER BY event, known, x{i} NULLS FIRST) AS n{i}"
        for i, sql in enumerate(view.inputs)
        if any(each.sql == sql and each.aggregation is Aggregation.LAST for each in view.features)
    ]
    chosen = f"SELECT *, greatest(event, known) AS visible{''.join(numbered)} FROM ({rows})"
    return f"{chosen} WHERE {' AND '.join(usable)}"


def every(view: FeatureView, keys: Sequence[DataType], inputs: Sequence[str]) -> str:
    """All of the source's rows, in their order, as `k*, event, x*` and, where a created time is declared, `known`."""
    typed_keys, typed_inputs = zip(view.entity, keys, strict=True), zip(view.inputs, inputs, strict=True)
    k = [f"CAST({identifier(name)} AS {_STORED[kind]}) AS k{i}" for i, (name, kind) in enumerate(typed_keys)]
    x = [f"{_value(sql, kind)} AS x{i}" for i, (sql, kind) in enumerate(typed_inputs)]
    event = str(ALWAYS) if view.event_time is None else ticks_of(view.event_time)
    times = [f"{event} AS event"]
    if view.created_time is not None:
        times.append(f"{ticks_of(view.created_time)} AS known")
    return f"SELECT {', '.join([*k, *times])}, {_listed(x)} FROM {derived(view)}"


def best(inputs: int, *, known: bool) -> str:
    """Of `candidates` (`grp, place, event, x*`, perhaps `known`), the `place` of the newest of each group, by group."""
    order = ["event DESC", *(["known DESC"] if known else []), *(f"{x} DESC NULLS LAST" for x in columns("x", inputs))]
    number = f"row_number() OVER (PARTITION BY grp ORDER BY {', '.join(order)})"
    return f"SELECT place FROM (SELECT grp, place, {number} AS n FROM candidates) WHERE n = 1 ORDER BY grp"


def timeline(keys: int, inputs: int) -> str:
    """Of `events`, those that become the newest known row at some moment: `k*, visible, event, known, x*`.

    Between one row of an entity and the next in order of `visible`, the first is the newest known. Ranks order the rows of
    an entity from oldest to newest; a row enters when none of those visible by then has a higher one.
    """
    k, x = columns("k", keys), columns("x", inputs)
    values = [f"{each} ASC NULLS FIRST" for each in x]
    newest_last = ", ".join(["event", "known", *values])
    entity = ", ".join(k)
    return f"""
        SELECT {entity}, visible, event, known, {", ".join(x)} FROM (
            SELECT *, max(rank) OVER (PARTITION BY {entity} ORDER BY visible) AS highest FROM (
                SELECT *, row_number() OVER (PARTITION BY {entity} ORDER BY {newest_last}) AS rank FROM events))
        WHERE rank = highest"""


def ends(view: FeatureView) -> dict[int, list[Feature]]:
    """The features by where their windows end: 0 at the request itself, else at the last whole piece of so many µs."""
    found: dict[int, list[Feature]] = {}
    for each in view.features:
        found.setdefault(each.span if each.tumbling else 0, []).append(each)
    return found


def rolling(view: FeatureView, keys: int, inputs: Sequence[str], pieces: int) -> str:
    """For each of `requests`, one of `ends`' aggregates over `events` that are known as they happen.

    Requests and events go through one sort; a frame of w microseconds that ends at the present one, and all that shares
    its time, is the window (t - w, t]. Requests carry no values, so that they add nothing to a frame. The answers come with
    their `row` and in no order.
    """
    k, features = columns("k", keys), ends(view)[pieces]
    x = [*columns("x", len(view.inputs)), *_numbers(view, features)]
    empty = [f"NULL::{_STORED[kind]} AS x{i}" for i, kind in enumerate(inputs)]
    empty += [f"NULL::BIGINT AS {each}" for each in _numbers(view, features)]
    both = f"""
        SELECT row, {", ".join(k)}, {_end("moment", pieces)} AS moment, NULL AS one, {_listed(empty)} FROM requests
        UNION ALL
        SELECT NULL, {", ".join(k)}, event, 1, {_listed(x)} FROM events"""
    chosen = [f"{_aggregate(view, each)} OVER w{i} AS f{i}" for i, each in enumerate(features)]
    frames = [
        f"w{i} AS (PARTITION BY {', '.join(k)} ORDER BY moment RANGE BETWEEN {each.span - 1} PRECEDING AND CURRENT ROW)"
        for i, each in enumerate(features)
    ]
    return f"""
        SELECT row, {columns_text("f", len(features))} FROM (
            SELECT row, {", ".join(chosen)} FROM ({both}) WINDOW {", ".join(frames)})
        WHERE row IS NOT NULL"""


def rolling_late(view: FeatureView, keys: int, inputs: Sequence[str], pieces: int) -> str:
    """The same where events become known after they happened: no single sort shows a window then.

    Time is cut into pieces as long as the longest window; what a window holds lies in the piece of its end or the one
    before, so pieces and entity are joined by equality and only the neighbours are compared.
    """
    features = ends(view)[pieces]
    reach = max(each.span for each in features)
    k = columns("k", keys)
    match = " AND ".join(f"r.{each} = e.{each}" for each in k)
    chosen = [
        f"{_aggregate(view, each, 'e.')} FILTER (e.event > r.ending - {each.span}) AS f{i}"
        for i, each in enumerate(features)
    ]
    ending = _end("moment", pieces)
    return f"""
        WITH cut AS (SELECT *, {_piece("event", reach)} AS piece, 1 AS one FROM events),
        ended AS (SELECT *, {ending} AS ending FROM requests),
        asked AS (SELECT r.*, {_piece("ending", reach)} - back.n AS piece FROM ended r, (VALUES (0), (1)) back(n))
        SELECT r.row, {", ".join(chosen)}
        FROM asked r LEFT JOIN cut e
        ON {match} AND r.piece = e.piece AND e.visible <= r.moment
        AND e.event <= r.ending AND e.event > r.ending - {reach}
        GROUP BY r.row"""


def columns(letter: str, number: int) -> list[str]:
    """`k0, k1, ...`"""
    return [f"{letter}{i}" for i in range(number)]


def columns_text(letter: str, number: int) -> str:
    """The same, joined by commas."""
    return ", ".join(columns(letter, number))


def _listed(parts: object) -> str:
    return ", ".join(list(parts)) or "NULL AS none"  # type: ignore[call-overload]


def _aggregate(view: FeatureView, feature: Feature, table: str = "") -> str:
    place = view.inputs.index(feature.sql) if feature.sql else None
    subject = "one" if place is None else f"x{place}"
    assert feature.aggregation is not None
    return _AGGREGATES[feature.aggregation].format(x=table + subject, n=f"{table}n{place}")


def _numbers(view: FeatureView, features: Sequence[Feature]) -> list[str]:
    wanted = [each.sql for each in features if each.aggregation is Aggregation.LAST]
    return [f"n{view.inputs.index(sql)}" for sql in dict.fromkeys(wanted)]


def _end(time: str, pieces: int) -> str:
    """Where the window of a request ends."""
    return f"({time} - (({time} % {pieces}) + {pieces}) % {pieces})" if pieces else time


def _piece(time: str, length: int) -> str:
    return f"(({time} - (({time} % {length}) + {length}) % {length}) // {length})"


def stored(kind: DataType) -> str:
    """The type in which values of a kind are computed with."""
    return _STORED[kind]


def ticks_of(name: str, table: str = "") -> str:
    """A column of moments as whole microseconds since 1970; infinite ones are missing."""
    quoted = table + identifier(name)
    return f"CASE WHEN isfinite({quoted}) THEN epoch_us({quoted}) END"


def _value(sql: str, kind: str) -> str:
    if kind == DataType.DATETIME:
        return f"epoch_us(({sql}\n))"
    if kind == ARRAY:
        array = f"CAST(({sql}\n) AS DOUBLE[])"
        return f"CASE WHEN len(list_filter({array}, lambda e: e IS NULL OR NOT isfinite(e))) = 0 THEN {array} END"
    cast = f"CAST(({sql}\n) AS {_STORED[kind]})"
    return f"CASE WHEN isfinite({cast}) THEN {cast} END" if kind == DataType.FP64 else cast
