"""Which columns of the source each feature is made of, read from the view's SQL: for lineage, for classes, for masks.

A feature is made *directly* of the columns in its expression, and every feature of a view *indirectly* of those that decide
which rows it is computed from: the entity, the times, and what the view's `select` filters, joins, groups or sorts by. The
words are OpenLineage's (facet `columnLineage` 1-2-0). Where it cannot be told, it is all columns: better one too many than
one that is not held against who may not read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from modelwright.core.errors import Invalid
from modelwright.features.definitions import Feature, FeatureView, identifier
from modelwright.features.following import Known, Origin, Text, Undecided, Use

if TYPE_CHECKING:
    pass


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What a view is made of."""

    features: dict[str, list[Origin]]  # by entity column or feature, those on demand too
    rows: list[Origin] = []  # for all of them: what decides which rows there are
    selected: list[Origin] = []  # of these, what the view's `select` decides by
    unsure: list[str] = []  # the features of which it cannot be told, so that all columns count


def column_origins(view: FeatureView, source: Sequence[str]) -> Columns:
    """The columns of the source, of which there are those, that each column of a view is made of.

    `Invalid` where SQLGlot cannot read what DuckDB could.
    """
    from sqlglot.errors import SqlglotError

    own: dict[str, list[Origin]] = {name.lower(): [Origin(column=name, use=Use.IDENTITY)] for name in source}
    everything = [Origin(column=name, use=Use.TRANSFORMATION) for name in source]
    unsure: list[str] = []

    def decided(name: str, sql: str, known: Known, use: Use | None = None) -> list[Origin]:
        try:
            return _behind(sql, known, own, use)
        except Undecided:
            unsure.append(name)
            return everything

    try:
        outputs, selected = _selected(view, own, source)
        found = {name: decided(name, identifier(name), outputs) for name in view.entity}
        stored = {each.name: decided(each.name, each.sql, outputs, _use(each)) for each in view.features}
        known: Known = {**outputs, **{name.lower(): parts for name, parts in {**found, **stored}.items()}}
        known = {**known, **{name.lower(): [] for name in view.request}}
        found |= stored
        for each in view.on_demand:
            found[each.name] = decided(each.name, each.sql, known, Use.TRANSFORMATION)
        rows = [*_rows(view, outputs, everything), *selected]
    except SqlglotError as error:
        raise Invalid(
            f"The columns of {view.ref} cannot be followed: {str(error).splitlines()[0]}",
            mend="Write its SQL without what only DuckDB knows, or do without lineage to the column.",
        ) from error
    return Columns(features=found, rows=_merged(rows), selected=_merged(selected), unsure=unsure)


def columns_behind(view: FeatureView, source: Sequence[str]) -> dict[str, list[str]]:
    """The columns behind each feature and each entity column, by name, in their order: what masks and classes go by.

    What `select` decides by counts for every feature: who is in a table can be what nobody should know. Where the SQL
    cannot be read, every column is behind everything.
    """
    names = [*view.entity, *(each.name for each in [*view.features, *view.on_demand])]
    try:
        found = column_origins(view, source)
    except Invalid:
        return {name: list(source) for name in names}
    decided = {each.column for each in found.selected}  # for a count of rows, too: it tells of whom a condition holds
    held = {name: {each.column for each in found.features[name]} for name in names}
    return {name: [column for column in source if column in held[name] | decided] for name in names}


def _behind(sql: str, known: Known, own: Known, use: Use | None) -> list[Origin]:
    from sqlglot import exp

    if not sql.strip():
        return []
    text = Text(f"SELECT ({sql}\n)", known)
    (value,) = text.tree.expressions
    if value.find(exp.Query):  # a query within: its names may be those of the table itself
        both = {name: _both(known.get(name, ()), own.get(name, ())) for name in {*known, *own}}
        text = Text(f"SELECT ({sql}\n)", both)
        (value,) = text.tree.expressions
    found = text.expression(value.unnest())
    return _merged(each.into(use) if use is not None else each for each in found)


def _both(one: Iterable[Origin] | None, other: Iterable[Origin] | None) -> list[Origin] | None:
    return None if one is None or other is None else [*one, *other]


def _selected(view: FeatureView, own: dict[str, list[Origin]], source: Sequence[str]) -> tuple[Known, list[Origin]]:
    """Each column that features can name, by the columns of the source that it comes from; and what rows are chosen by."""
    if not view.select:
        return own, []
    everything = [Origin(column=name, use=Use.FILTER) for name in source]
    try:
        text = Text(view.select, own)
    except Undecided:
        return dict.fromkeys(own), everything
    try:
        deciding = list(text.deciding())
    except Undecided:
        deciding = everything
    outputs: dict[str, list[Origin] | None] = {}
    for name in text.names():
        try:
            outputs[name] = sorted(text.name(name))
        except Undecided:
            outputs[name] = None
    return outputs, deciding


def _use(feature: Feature) -> Use:
    if feature.aggregation is not None:
        return Use.AGGREGATION
    import sqlglot
    from sqlglot import exp

    return Use.IDENTITY if isinstance(sqlglot.parse_one(feature.sql, dialect="duckdb"), exp.Column) else Use.TRANSFORMATION


def _rows(view: FeatureView, outputs: Known, everything: list[Origin]) -> Iterable[Origin]:
    times = [name for name in (view.event_time, view.created_time) if name is not None]
    for name, use in [*((each, Use.JOIN) for each in view.entity), *((each, Use.WINDOW) for each in times)]:
        held = outputs.get(name.lower())
        yield from (Origin(column=each.column, use=use) for each in (everything if held is None else held))


def _merged(found: Iterable[Origin]) -> list[Origin]:
    return sorted(set(found))
