"""Which columns of the source each feature is made of, read from the view's SQL with SQLGlot. Nothing is run.

A feature is made *directly* of the columns in its expression, and every feature of a view *indirectly* of those that decide
which rows it is computed from: the entity, the times, and what the view's `select` filters, joins, groups or sorts by. The
words are OpenLineage's (facet `columnLineage` 1-2-0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.core.errors import Invalid
from modelwright.features.records import Feature, FeatureView, identifier

if TYPE_CHECKING:
    from sqlglot import exp

TABLE = "source"


class Use(StrEnum):
    """How a column goes into another."""

    IDENTITY = "IDENTITY"
    TRANSFORMATION = "TRANSFORMATION"
    AGGREGATION = "AGGREGATION"
    JOIN = "JOIN"
    GROUP_BY = "GROUP_BY"
    FILTER = "FILTER"
    SORT = "SORT"
    WINDOW = "WINDOW"

    @property
    def direct(self) -> bool:
        """Whether its values do, and not only the choice of rows."""
        return self in (Use.IDENTITY, Use.TRANSFORMATION, Use.AGGREGATION)


class Origin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A column of the source, and how it is used."""

    column: str
    use: Use


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """What a view is made of."""

    features: dict[str, list[Origin]]  # by entity column or feature, those on demand too
    rows: list[Origin] = []  # for all of them: what decides which rows there are


def column_origins(view: FeatureView, source: Sequence[str]) -> Columns:
    """The columns of the source, of which there are those, that each column of a view is made of.

    `Invalid` where SQLGlot cannot read what DuckDB could.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        selected = _selected(view, source)
        found = {name: _through(selected, _columns_in(identifier(name)), Use.IDENTITY) for name in view.entity} | {
            each.name: _through(selected, _columns_in(each.sql), _use(each)) for each in view.features
        }
        for each in view.on_demand:
            parts = [one for name in _columns_in(each.sql) for one in found.get(name, [])]
            found[each.name] = _merged(Origin(column=one.column, use=Use.TRANSFORMATION) for one in parts)
        rows = list(_rows(view, selected))
        if view.select:
            rows += _deciding(view.select, source, exp)
    except SqlglotError as error:
        raise Invalid(
            f"The columns of {view.ref} cannot be followed: {str(error).splitlines()[0]}",
            mend="Write its SQL without what only DuckDB knows, or do without lineage to the column.",
        ) from error
    return Columns(features=found, rows=_merged(rows))


def _selected(view: FeatureView, source: Sequence[str]) -> dict[str, list[Origin]]:
    """Each column that features can name, by the columns of the source that it comes from."""
    if not view.select:
        return {name.lower(): [Origin(column=name, use=Use.IDENTITY)] for name in source}
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify

    schema = {TABLE: dict.fromkeys(source, "TEXT")}
    tree = qualify(_parsed(view.select), schema=schema, dialect="duckdb", validate_qualify_columns=False)
    own = {name.lower(): name for name in source}
    found = {}
    for name in tree.named_selects:
        nodes = list(lineage(name, tree, schema=schema, dialect="duckdb").walk())
        names = {node.name.rpartition(".")[2].strip('"').lower() for node in nodes if not node.downstream}
        use = _how([node.expression for node in nodes if node.downstream])
        found[name.lower()] = [Origin(column=own[each], use=use) for each in sorted(names) if each in own]
    return found


def _how(steps: Sequence[Any]) -> Use:
    """How a column comes out of all the SELECTs that it goes through."""
    from sqlglot import exp

    if any(step.find(exp.AggFunc) for step in steps):
        return Use.AGGREGATION
    plain = all(isinstance(step.unalias(), exp.Column) for step in steps)
    return Use.IDENTITY if plain else Use.TRANSFORMATION


def _use(feature: Feature) -> Use:
    from sqlglot import exp

    if feature.aggregation is not None:
        return Use.AGGREGATION
    return Use.IDENTITY if isinstance(_parsed(feature.sql), exp.Column) else Use.TRANSFORMATION


def _through(selected: dict[str, list[Origin]], names: Iterable[str], use: Use) -> list[Origin]:
    """The sources of some columns, used in a way: what was transformed before does not become the same again."""
    return _merged(
        Origin(column=each.column, use=use if each.use is Use.IDENTITY or use is Use.AGGREGATION else each.use)
        for name in names
        for each in selected.get(name.lower(), [])
    )


def _rows(view: FeatureView, selected: dict[str, list[Origin]]) -> Iterable[Origin]:
    times = [name for name in (view.event_time, view.created_time) if name is not None]
    for name, use in [*((each, Use.JOIN) for each in view.entity), *((each, Use.WINDOW) for each in times)]:
        yield from (Origin(column=each.column, use=use) for each in selected.get(name.lower(), []))


def _deciding(select: str, source: Sequence[str], exp: Any) -> list[Origin]:
    """What a SELECT filters, joins, groups and sorts by, at any depth."""
    own, tree = {name.lower(): name for name in source}, _parsed(select)
    places = (
        (exp.Where, Use.FILTER), (exp.Having, Use.FILTER), (exp.Qualify, Use.FILTER), (exp.Join, Use.JOIN),
        (exp.Group, Use.GROUP_BY), (exp.Order, Use.SORT),
    )  # fmt: skip
    return [
        Origin(column=own[column.name.lower()], use=use)
        for kind, use in places
        for part in tree.find_all(kind)
        for column in part.find_all(exp.Column)
        if column.name.lower() in own
    ]


def _columns_in(sql: str) -> list[str]:
    from sqlglot import exp

    return [] if not sql.strip() else list(dict.fromkeys(column.name for column in _parsed(sql).find_all(exp.Column)))


def _parsed(sql: str) -> exp.Expression:
    import sqlglot

    found: exp.Expression = sqlglot.parse_one(sql, dialect="duckdb")
    return found


def _merged(found: Iterable[Origin]) -> list[Origin]:
    return sorted(set(found))
