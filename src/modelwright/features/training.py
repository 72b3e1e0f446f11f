"""Putting together a training set: the rows asked for, each once and in order, with the features of every view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.features import engine
from modelwright.features.records import FeatureView, TrainingSet, ViewVersion


def as_table(entities: Any) -> pa.Table:
    """Whatever offers the Arrow C stream (pyarrow, pandas, polars, DuckDB) as a table."""
    return entities if isinstance(entities, pa.Table) else pa.table(entities)


def build(
    entities: Any,
    views: Sequence[tuple[ViewVersion, Ref]],
    read: Callable[[Ref, Sequence[FeatureView]], pa.Table],
    timestamp: str,
    hidden: Collection[str] = (),
) -> TrainingSet:
    """Join each view, computed from the dataset version beside it, at the time in the column `timestamp`.

    `read` gives the rows of a dataset version, with the columns at least that some views can name.
    The features in `hidden` are missing in every row.
    """
    table = as_table(entities)
    needed = [timestamp, *(name for version, _ in views for name in version.view.entity)]
    for name in needed:
        if name not in table.column_names:
            raise Invalid(f"The rows asked for have no column {name!r}; they have {', '.join(table.column_names)}.")
    _check_names(table.column_names, [version for version, _ in views])
    at, read_once, joined = engine.ticks(table.column(timestamp), timestamp), dict[Ref, pa.Table](), table
    sources = [source for _, source in views]
    with engine.sessions() as connection:
        for place, (version, source) in enumerate(views):
            if source not in read_once:
                read_once[source] = read(source, [other.view for other, where in views if where == source])
            found = engine.join_in(connection, version.view, read_once[source], table, at)
            if source not in sources[place + 1 :]:
                del read_once[source]  # many sources together are larger than memory
            for name, column in zip(version.view.stored, found, strict=True):
                joined = joined.append_column(name, _shown(column, name, hidden))
            if version.view.on_demand:
                made = engine.on_demand(version.view, version.columns, joined)
                for feature, column in zip(version.view.on_demand, made, strict=True):
                    joined = joined.append_column(feature.name, _shown(column, feature.name, hidden))
    return TrainingSet(
        table=joined,
        features=[name for version, _ in views for name in version.view.names],
        views=[version.ref for version, _ in views],
        sources=list(dict.fromkeys(sources)),
    )


def _shown(column: Any, name: str, hidden: Collection[str]) -> Any:
    return pa.nulls(len(column), column.type) if name in hidden else column


def _check_names(given: Sequence[str], versions: Sequence[ViewVersion]) -> None:
    owner = dict.fromkeys(given, "the rows asked for")
    for version in versions:
        for name in version.view.names:
            if name in owner:
                raise Invalid(
                    f"{owner[name]} and {version.ref} both have a column {name!r}.",
                    mend="Give the feature another name with name=..., and apply the view again.",
                )
            owner[name] = str(version.ref)
