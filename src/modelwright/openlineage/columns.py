"""Lineage to the column: from a dataset's column over the features that are made of it to the models that take those.

Nothing of it is stored. What a feature is made of stands in its view's SQL, what a model takes in its signature, and what
another system's job did in the facet `columnLineage` of its events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from modelwright.core.errors import Invalid, ModelwrightError, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets.records import DatasetRecord
from modelwright.features import Columns, column_origins
from modelwright.features.records import ViewRecord
from modelwright.models.records import ModelRecord
from modelwright.openlineage import queries
from modelwright.openlineage.incoming import column_edges
from modelwright.openlineage.naming import external
from modelwright.openlineage.records import ColumnEdge, ColumnLineage, ColumnRef, PartyKind
from modelwright.openlineage.statements import followed, table_name
from modelwright.store import Direction, Transaction, catalog
from modelwright.store.queries import pinned, readable

MOST = 2000  # columns in one answer
TAKEN = "MODEL_INPUT"  # how a column goes into a model; OpenLineage has no word for it


def of_view(tx: Transaction, ref: Ref) -> Columns:
    """What each column of a version of a view is made of."""
    record = convert(catalog.get(tx, ref).record, ViewRecord)
    source = catalog.get(tx, record.source)
    return column_origins(record.view, convert(source.record, DatasetRecord).names)


def lineage(tx: Transaction, ref: Ref, column: str, direction: Direction, depth: int, ours: str) -> ColumnLineage:
    """Follow a column up, down or both; `NotFound` where the thing has no such column."""
    if not 1 <= depth <= 100:
        raise Invalid(f"The depth of a lineage is 1 to 100, not {depth}.")
    start = ColumnRef(ref=pinned(tx, ref), column=column)
    _check(tx, start)
    edges: dict[ColumnEdge, None] = {}
    ways: list[Callable[[Transaction, ColumnRef, str], Iterator[ColumnEdge]]] = []
    ways += [_up] if direction is not Direction.DOWN else []
    ways += [_down] if direction is not Direction.UP else []
    complete = True
    for way in ways:
        seen, frontier = {start}, [start]
        for _ in range(depth):
            step = [edge for each in frontier for edge in way(tx, each, ours)]
            may = set(readable(tx, {end.ref for edge in step for end in (edge.source, edge.target)}))
            step = [edge for edge in step if edge.source.ref in may and edge.target.ref in may]
            edges |= dict.fromkeys(step)
            ends = [edge.source if way is _up else edge.target for edge in step]
            frontier = [end for end in dict.fromkeys(ends) if end not in seen]
            seen |= set(frontier)
            if not frontier or len(seen) > MOST:
                break
        complete &= not frontier
    return ColumnLineage(of=start, edges=list(edges), complete=complete)


def _check(tx: Transaction, at: ColumnRef) -> None:
    names = columns_of(tx, at.ref)
    if at.column not in names:
        raise NotFound(
            f"{at.ref} has no column {at.column!r} that is known.", mend=f"Its columns: {', '.join(names) or 'none'}."
        )


def columns_of(tx: Transaction, ref: Ref) -> Sequence[str]:
    """The columns of a thing, as far as they are known."""
    if ref.kind is Kind.EXTERNAL:
        listed = [each.get("name") for each in queries.shown(tx, ref).columns]
        moved = [edge for body in queries.bodies(tx, ref) for edge in column_edges(body, "")]
        said = [end.column for edge in moved for end in (edge.source, edge.target) if end.ref == ref]
        return list(dict.fromkeys([*(str(each) for each in listed), *said]))
    version = catalog.get(tx, ref)
    if ref.kind is Kind.DATASET:
        table: DatasetRecord = convert(version.record, DatasetRecord)
        return table.names
    if ref.kind is Kind.FEATURES:
        record = convert(version.record, ViewRecord)
        return [*record.view.entity, *record.view.names]
    if ref.kind is Kind.MODEL:
        return [each.name for each in convert(version.record, ModelRecord).signature.inputs]
    return []


def _up(tx: Transaction, at: ColumnRef, ours: str) -> Iterator[ColumnEdge]:
    if at.ref.kind is Kind.FEATURES:
        yield from _made(tx, at.ref, at.column)
    elif at.ref.kind is Kind.DATASET:
        yield from _answered(convert(catalog.get(tx, at.ref).record, DatasetRecord), at)
    elif at.ref.kind is Kind.MODEL:
        record = convert(catalog.get(tx, at.ref).record, ModelRecord)
        yield from _taken(tx, at.ref, record, at.column)
    elif at.ref.kind is Kind.EXTERNAL:
        yield from (edge for edge in _told(tx, at, ours) if edge.target == at)


def _down(tx: Transaction, at: ColumnRef, ours: str) -> Iterator[ColumnEdge]:
    if at.ref.kind in (Kind.DATASET, Kind.FEATURES):
        for user in catalog.dependants(tx, at.ref):
            version = catalog.find(tx, user)
            if version is None:
                continue
            if user.kind is Kind.FEATURES:
                names = [*convert(version.record, ViewRecord).view.entity, *convert(version.record, ViewRecord).view.names]
                yield from (edge for name in names for edge in _made(tx, user, name) if edge.source == at)
            elif user.kind is Kind.MODEL:
                record = convert(version.record, ModelRecord)
                yield from (edge for edge in _taken(tx, user, record, at.column) if edge.source == at)
    yield from (edge for edge in _told(tx, at, ours) if edge.source == at)


def _answered(record: DatasetRecord, at: ColumnRef) -> Iterator[ColumnEdge]:
    """From the columns of a database's tables to a column of what it answered."""
    kept, found = record.statement, followed(record.statement)
    if kept is None or found is None or at.column not in record.names:
        return
    for each in [*found.column(at.column), *found.rows()]:
        there = external(PartyKind.DATASET, *table_name(kept.place, each.table))
        yield ColumnEdge(source=ColumnRef(ref=there, column=each.column), target=at, use=each.use.value)


def _made(tx: Transaction, view: Ref, name: str) -> Iterator[ColumnEdge]:
    try:
        found, source = of_view(tx, view), convert(catalog.get(tx, view).record, ViewRecord).source
    except ModelwrightError:  # its SQL cannot be read, or its source is gone: there is nothing to follow
        return
    target = ColumnRef(ref=view, column=name)
    for each in [*found.features.get(name, []), *found.rows]:
        yield ColumnEdge(source=ColumnRef(ref=source, column=each.column), target=target, use=each.use.value)


def _taken(tx: Transaction, model: Ref, record: ModelRecord, name: str) -> Iterator[ColumnEdge]:
    """From where a model takes an input: a view that has a feature of that name, else a dataset that has such a column."""
    if name not in [each.name for each in record.signature.inputs]:
        return
    for ref in (*record.features, *record.datasets):
        try:
            there = name in columns_of(tx, ref)
        except NotFound:
            continue
        if there:
            yield ColumnEdge(source=ColumnRef(ref=ref, column=name), target=ColumnRef(ref=model, column=name), use=TAKEN)
            if ref.kind is Kind.FEATURES:
                return


def _told(tx: Transaction, at: ColumnRef, ours: str) -> Iterator[ColumnEdge]:
    for body in queries.bodies(tx, at.ref):
        yield from column_edges(body, ours)
