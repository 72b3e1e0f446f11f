"""The plan of a training set as one SQL statement for an engine that has no ASOF join. Pure text; nothing here runs.

The rows that views are computed from, the timelines and the windows are those of `sql`. What differs: the newest known row
is found by one window function over requests and timeline together, and a request is known by its entity and time, not by
a number, so that the statement is the same however often and in whatever order an engine reads the table. Requests that
are alike have like answers, and each comes back.

The text is DuckDB's, which runs it as it is; SQLGlot makes Spark's of it, after `spark` has put in the words that SQLGlot
has no translation for. What neither knows is refused: a function of the same name may compute something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.core.signature import DataType
from modelwright.features import sql
from modelwright.features.definitions import COUNTS, FeatureView, identifier
from modelwright.features.records import ViewRecord

DIALECTS = ("spark", "duckdb")


class Computed(NamedTuple):
    """A view with the types of its entity columns and inputs, and the table that its rows are in."""

    ref: Ref
    record: ViewRecord
    keys: Sequence[DataType]
    inputs: Sequence[str]
    table: str


def statement(views: Sequence[Computed], *, requests: str, timestamp: str, dialect: str) -> str:
    """One SELECT that gives every row of the table `requests` back once, with the features of the views behind its columns.

    Moments are compared as microseconds since 1970. `Invalid` where a view's own SQL has no words in the dialect.
    """
    if dialect not in DIALECTS:
        raise Invalid(f"There is no plan for {dialect!r}.", mend=f"There is one for {' and '.join(DIALECTS)}.")
    made = _duckdb(views, requests, timestamp)
    if dialect == "spark":
        from modelwright.features.spark import translated

        made = translated(made)
    told = ", ".join(f"{each.ref} over {each.table}" for each in views)
    return f"-- {told}; in a session whose time zone is UTC\n{made}\n"


def table_name(name: str) -> str:
    """A table's name with each part quoted: `catalog.schema.table`."""
    return ".".join(identifier(part) for part in name.split("."))


def table_of(dataset: str) -> str:
    """The table that a dataset's rows are in, where nobody says another."""
    return re.sub("[^0-9A-Za-z]", "_", dataset)


def _duckdb(views: Sequence[Computed], requests: str, timestamp: str) -> str:
    parts = [f"mw_given AS (SELECT * FROM {table_name(requests)})"]
    joins, chosen = [], ["mw_given.*"]
    for place, each in enumerate(views):
        found: dict[str, str] = {}
        parts.append(f"mw_rows{place} AS (SELECT * FROM {table_name(each.table)})")
        for number, (names, text) in enumerate(_relations(each, f"mw_rows{place}", timestamp)):
            name = f"v{place}_{number}"
            parts.append(f"{name} AS ({text})")
            joins.append(f"LEFT JOIN {name} ON {_matches(each.record.view, each.keys, name, timestamp)}")
            found |= {feature: f"{name}.f{i}" for i, feature in enumerate(names)}
        chosen += list(_named(each, found))
    text = f"SELECT {', '.join(chosen)} FROM mw_given {' '.join(joins)}"
    for each in views:
        if each.record.view.on_demand:
            text = f"SELECT *, {', '.join(_demanded(each.record))} FROM ({text})"
    return f"WITH {', '.join(parts)} {text}"


def _relations(each: Computed, rows: str, timestamp: str) -> Iterator[tuple[list[str], str]]:
    """Of each entity and time that is asked for: `row` and the features `f0, f1, ...`, with their names."""
    view, keys, inputs = each.record.view, each.keys, each.inputs
    cast = ", ".join(f"{_key(view, i, kind)} AS k{i}" for i, kind in enumerate(keys))
    once = f"SELECT DISTINCT {cast}, {sql.ticks_of(timestamp)} AS moment FROM mw_given"
    shared = [
        f"source AS (SELECT * FROM {rows})",
        f"requests AS (SELECT *, {_row(len(keys))} AS row FROM ({once}) WHERE moment IS NOT NULL)",
        f"events AS ({sql.events(view, keys, inputs)})",
    ]
    if not view.windowed:
        shared.append(f"timeline AS ({sql.timeline(len(keys), len(inputs))})")
        yield view.stored, f"WITH {', '.join(shared)} {_newest(view, len(keys))}"
        return
    compiled = sql.rolling if view.created_time is None else sql.rolling_late
    for pieces, features in sql.ends(view).items():
        text = compiled(view, len(keys), inputs, pieces)
        yield [feature.name for feature in features], f"WITH {', '.join(shared)} SELECT * FROM ({text})"


def _newest(view: FeatureView, keys: int) -> str:
    """Without ASOF, which Spark lacks: of requests and timeline in one order, the last row of the timeline up to here."""
    k, x = sql.columns_text("k", keys), sql.columns("x", len(view.inputs))
    row = ", ".join(f"'{name}': {name}" for name in ["event", *x])
    holds = "TRUE" if view.lifetime is None else f"moment - newest.event < {view.lifetime}"
    chosen = ", ".join(f"CASE WHEN {holds} THEN newest.{name} END AS f{i}" for i, name in enumerate(x))
    return f"""
        SELECT row, {chosen} FROM (
            SELECT row, moment, last_value(held IGNORE NULLS) OVER (PARTITION BY {k} ORDER BY moment, asking
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS newest
            FROM (SELECT row, {k}, moment, 1 AS asking, NULL AS held FROM requests
                UNION ALL SELECT NULL, {k}, visible, 0, {{{row}}} FROM timeline))
        WHERE row IS NOT NULL"""


def _row(keys: int) -> str:
    return "{" + ", ".join(f"'{name}': {name}" for name in [*sql.columns("k", keys), "moment"]) + "}"


def _key(view: FeatureView, place: int, kind: DataType, table: str = "") -> str:
    return f"CAST({table}{identifier(view.entity[place])} AS {sql.stored(kind)})"


def _matches(view: FeatureView, keys: Sequence[DataType], name: str, timestamp: str) -> str:
    same = [f"{name}.row.k{i} IS NOT DISTINCT FROM {_key(view, i, kind, 'mw_given.')}" for i, kind in enumerate(keys)]
    return " AND ".join([*same, f"{name}.row.moment = {sql.ticks_of(timestamp, 'mw_given.')}"])


def _named(each: Computed, found: Mapping[str, str]) -> Iterator[str]:
    """The features under their names and in their types."""
    view = each.record.view
    kinds = {column.name: column.dtype for column in each.record.columns if column.length is None}
    for feature in view.features:
        value = found[feature.name]
        if feature.aggregation not in COUNTS and kinds.get(feature.name) is DataType.DATETIME:
            value = f"make_timestamptz({value})"
        yield f"{value} AS {identifier(feature.name)}"


def _demanded(record: ViewRecord) -> Iterator[str]:
    kinds = {column.name: column.dtype for column in record.columns}
    for each in record.view.on_demand:
        value = f"({each.sql}\n)"
        if kinds[each.name] is DataType.FP64:
            value = f"CASE WHEN isfinite(CAST({value} AS DOUBLE)) THEN CAST({value} AS DOUBLE) END"
        yield f"{value} AS {identifier(each.name)}"
