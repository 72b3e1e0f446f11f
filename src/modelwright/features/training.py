"""Putting together a training set: the rows asked for, each once and in order, with the features of every view."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.core.frames import without_index
from modelwright.core.refs import Ref
from modelwright.features import engine
from modelwright.features.definitions import FeatureView
from modelwright.features.records import TrainingSet, ViewVersion
from modelwright.features.sessions import sessions

Read = Callable[[Ref, Sequence[FeatureView]], pa.Table]
Timed = tuple[list[Any], float]  # the columns of a view, and the seconds that its join took
AT_ONCE = 2  # sources whose views are joined at the same time


def as_table(entities: Any) -> pa.Table:
    """Whatever offers the Arrow C stream (pyarrow, pandas, polars, DuckDB), or a list of dicts, as a table."""
    if isinstance(entities, pa.Table):
        return entities
    if isinstance(entities, list) and not entities:
        raise Invalid("An empty list has no columns.", mend="Give a table or a frame: it has columns without rows, too.")
    try:
        if isinstance(entities, list) and all(isinstance(each, dict) for each in entities):
            return pa.Table.from_pylist(entities)
        return without_index(pa.table(entities))
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise Invalid(
            f"The rows asked for are no table: {error}", mend="Give a table of Arrow, a data frame, or a list of dicts."
        ) from None


def build(
    entities: Any,
    views: Sequence[tuple[ViewVersion, Ref]],
    read: Read,
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
            raise Invalid(
                f"The rows asked for have no column {name!r}; they have {', '.join(table.column_names)}.",
                mend=f"Add it, or say which column has the times: timestamp={(table.column_names or ['sent_at'])[-1]!r}."
                if name == timestamp
                else "Rename the one that holds it: it is called as in the view.",
            )
    _check_names(table.column_names, [version for version, _ in views])
    at, joined = engine.ticks(table.column(timestamp), timestamp), table
    sources = list(dict.fromkeys(source for _, source in views))
    found = dict[Ref, Timed]()
    for columns in _at_once(read, sources, views, table, at):
        found |= columns
    for version, _ in views:
        for name, column in zip(version.view.stored, found[version.ref][0], strict=True):
            joined = joined.append_column(name, _shown(column, name, hidden))
        if version.view.on_demand:
            made = engine.on_demand(version.view, version.columns, joined)
            for feature, column in zip(version.view.on_demand, made, strict=True):
                joined = joined.append_column(feature.name, _shown(column, feature.name, hidden))
    return TrainingSet(
        table=joined,
        features=[name for version, _ in views for name in version.view.names],
        views=[version.ref for version, _ in views],
        sources=sources,
        seconds=[found[version.ref][1] for version, _ in views],
    )


def _at_once(
    read: Read, sources: Sequence[Ref], views: Sequence[tuple[ViewVersion, Ref]], table: pa.Table, at: Any
) -> Iterator[dict[Ref, Timed]]:
    """The columns of the views of one source after another; the next is read while those before are joined.

    It is read in this thread, where whoever asks is known, and only when one of the others is done: many sources together
    are larger than memory.
    """

    def joined(chosen: Sequence[ViewVersion], rows: pa.Table) -> dict[Ref, Timed]:
        with sessions() as connection:
            return {each.ref: one(connection, each, rows) for each in chosen}

    def one(connection: Any, version: ViewVersion, rows: pa.Table) -> Timed:
        began = time.perf_counter()
        return engine.join_in(connection, version.view, rows, table, at), time.perf_counter() - began

    if len(sources) == 1:
        yield joined([version for version, _ in views], read(sources[0], [version.view for version, _ in views]))
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="modelwright-join") as pool:
        waiting = deque[Future[dict[Ref, Timed]]]()
        for source in sources:
            chosen = [version for version, where in views if where == source]
            if len(waiting) == AT_ONCE:
                yield waiting.popleft().result()
            waiting.append(pool.submit(joined, chosen, read(source, [each.view for each in chosen])))
        for each in waiting:
            yield each.result()


def _shown(column: Any, name: str, hidden: Collection[str]) -> Any:
    return pa.nulls(len(column), column.type) if name in hidden else column


def _check_names(given: Sequence[str], versions: Sequence[ViewVersion]) -> None:
    owner = dict.fromkeys(given, "the rows asked for")
    for version in versions:
        for name in version.view.names:
            if name in owner:
                if owner[name] == str(version.ref):
                    raise Invalid(f"{version.ref} is named twice.", mend="Name each view once.")
                raise Invalid(
                    f"{owner[name]} and {version.ref} both have a column {name!r}.",
                    mend="Give the feature another name with name=..., and apply the view again.",
                )
            owner[name] = str(version.ref)
