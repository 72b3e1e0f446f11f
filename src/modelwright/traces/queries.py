"""Reading traces: one, many, and those that a filter finds. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import experiment_ids, experiment_names, experiment_titles, run_authors
from modelwright.store import Transaction, scopes
from modelwright.traces.records import RUN_KEY, Assessment, Correlation, Span, Trace, TraceInfo, TracePage
from modelwright.traces.search import queries as searching
from modelwright.traces.tables import (
    assessment_of,
    assessments,
    info_of,
    marks,
    span_of,
    spans,
    tags,
    traces,
)

MAX_LIMIT = 500  # traces on one page
PIECE = 400  # ids in one statement

_t = traces.c


def row(tx: Transaction, ref: Ref) -> Any:
    """The row of one trace, or `NotFound`."""
    if ref.kind is not Kind.TRACE:
        raise Invalid(f"{ref} is not a trace.", mend="A trace is named trace:<id>.")
    found = tx.execute(sa.select(traces).where(_t.id == ref.name)).first()
    if found is None:
        raise unknown(ref.name)
    return found


def unknown(identity: str) -> NotFound:
    """The error for a trace that is not there, or that one may not know of."""
    return NotFound(f"Trace with ID {identity[:80]} is not found.")


def home_of(tx: Transaction, ref: Ref) -> str:
    """The name of the experiment that a trace belongs to."""
    number = row(tx, ref).experiment
    return experiment_names(tx, [number])[number]


def homes(tx: Transaction, rows: Sequence[Any]) -> dict[int, str]:
    """The names of the experiments that traces belong to, by the key of the trace."""
    names = experiment_names(tx, {each.experiment for each in rows})
    return {each.key: names[each.experiment] for each in rows}


def may_read(tx: Transaction, experiment: str) -> bool:
    """Whether the caller may read what belongs to an experiment."""
    return scopes.may_read(tx, Kind.RUN)(experiment)


def info(tx: Transaction, key: int) -> TraceInfo:
    """One trace without its spans."""
    found = tx.execute(sa.select(traces).where(_t.key == key)).one()
    return infos_of(tx, [found])[0]


def infos_of(tx: Transaction, rows: Sequence[Any]) -> list[TraceInfo]:
    """Rows of `traces` as records."""
    called = experiment_titles(tx, {each.experiment for each in rows})
    keys = {each.key: each.id for each in rows}
    tagged, marked, judged = _pairs(tx, tags, keys), _pairs(tx, marks, keys), _assessments(tx, keys)
    return [
        info_of(
            each, called[each.experiment], metadata=marked[each.key], tags=tagged[each.key], assessments=judged[each.key]
        )
        for each in rows
    ]


def spans_of(tx: Transaction, ids: Mapping[int, str]) -> dict[str, list[Span]]:
    """The spans of traces (key to id), in order of their beginning, by id of the trace."""
    found: dict[str, list[Span]] = {identity: [] for identity in ids.values()}
    for piece in _pieces(list(ids)):
        query = sa.select(spans).where(spans.c.trace.in_(piece)).order_by(spans.c.trace, spans.c.start, spans.c.id)
        for each in tx.execute(query):
            found[ids[each.trace]].append(span_of(each, ids[each.trace]))
    return found


def batch(tx: Transaction, ids: Sequence[str], *, with_spans: bool) -> list[Trace]:
    """Several traces, in the order of their ids; what is not there or may not be read is left out."""
    rows = {each.id: each for piece in _pieces(list(dict.fromkeys(ids))) for each in _rows(tx, piece)}
    names = homes(tx, list(rows.values()))
    allowed = {name for name in set(names.values()) if may_read(tx, name)}
    shown = [rows[identity] for identity in dict.fromkeys(ids) if identity in rows and names[rows[identity].key] in allowed]
    held = spans_of(tx, {each.key: each.id for each in shown}) if with_spans else {}
    return [Trace(info=each, spans=held.get(each.id, [])) for each in infos_of(tx, shown)]


def search(
    tx: Transaction,
    experiments: Sequence[Ref],
    where: str,
    order_by: Sequence[str],
    limit: int,
    after: str | None,
) -> TracePage:
    """A page of the traces that the caller may read."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} traces, not {limit}.")
    rows, following = searching.page(tx, readable(tx, experiments), where, order_by, limit, after)
    return TracePage(items=infos_of(tx, rows), next=following)


def correlate(tx: Transaction, experiments: Sequence[Ref], first: str, second: str, where: str) -> Correlation:
    """See `Traces.correlate`."""
    return searching.correlation(tx, readable(tx, experiments), first, second, where)


def readable(tx: Transaction, experiments: Sequence[Ref]) -> list[int]:
    """The numbers of those experiments that the caller may read."""
    for each in experiments:
        if each.kind is not Kind.EXPERIMENT:
            raise Invalid(f"{each} is not an experiment.", mend="Traces are looked for in experiments.")
    names = [name for name in {each.name for each in experiments} if may_read(tx, name)]
    return list(experiment_ids(tx, names).values())


def of_others(tx: Transaction, keys: Sequence[int], made_by: str) -> int:
    """How many of some traces are not the caller's own: neither of an experiment that they made nor of runs they began."""
    if made_by == tx.principal.id:
        return 0
    count = 0
    for piece in _pieces(list(keys)):
        query = sa.select(marks.c.trace, marks.c.value).where(marks.c.trace.in_(piece), marks.c.key == RUN_KEY)
        run = {each.trace: each.value for each in tx.execute(query)}
        begun = run_authors(tx, set(run.values()))
        count += sum(begun.get(run.get(key, "")) != tx.principal.id for key in piece)
    return count


def doomed(
    tx: Transaction, experiment: int, ids: Sequence[str] | None, until: int | None, most: int | None
) -> dict[int, str]:
    """The traces of an experiment that are to be deleted: key to id."""
    query = sa.select(_t.key, _t.id).where(_t.experiment == experiment)
    if ids is None:
        query = query.where(_t.started <= until).order_by(_t.started, _t.key)
        return {each.key: each.id for each in tx.execute(query.limit(most))}
    return {each.key: each.id for piece in _pieces(list(ids)) for each in tx.execute(query.where(_t.id.in_(piece)))}


def overdue_bodies(tx: Transaction, path: str, before: int, limit: int) -> dict[str, list[tuple[str, int, int]]]:
    """Traces that began before a time (milliseconds since 1970) and still have their bodies: id, beginning and bytes.

    By the name of their experiment, below a path; of each the oldest first, at most so many of all.
    """
    bodies = sa.or_(_t.size > 0, _t.request.is_not(None), _t.response.is_not(None))
    names = experiment_names(tx, tx.execute(sa.select(_t.experiment).where(_t.started < before).distinct()).scalars())
    chosen = [number for number, name in names.items() if scopes.lies_under(name, path)]
    query = sa.select(_t.id, _t.started, _t.size, _t.experiment).where(_t.started < before, bodies)
    found: dict[str, list[tuple[str, int, int]]] = {}
    for each in tx.execute(query.where(_t.experiment.in_(chosen)).order_by(_t.started, _t.key).limit(limit)):
        found.setdefault(names[each.experiment], []).append((each.id, each.started, each.size))
    return found


def body_digests(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """The digest of what each of some traces holds of its bodies: spans, request and response."""
    keys = {each.key: each for piece in _pieces(list(ids)) for each in _rows(tx, piece)}
    held: dict[int, list[str]] = {key: [] for key in keys}
    for piece in _pieces(list(keys)):
        query = sa.select(spans.c.trace, spans.c.id, spans.c.content).where(spans.c.trace.in_(piece))
        for each in tx.execute(query.order_by(spans.c.trace, spans.c.id)):
            held[each.trace] += [each.id, each.content]
    return {row.id: digest_value([row.request, row.response, *held[key]]) for key, row in keys.items()}


def with_bodies(tx: Transaction, ids: Sequence[str]) -> list[str]:
    """Those of some traces of which a span, the request or the response holds anything."""
    said = sa.exists().where(spans.c.trace == _t.key, spans.c.content != "{}")
    holds = sa.or_(said, _t.request.is_not(None), _t.response.is_not(None))
    pieces = _pieces(list(ids))
    return [each for piece in pieces for each in tx.execute(sa.select(_t.id).where(_t.id.in_(piece), holds)).scalars()]


def _rows(tx: Transaction, ids: Sequence[str]) -> list[Any]:
    return list(tx.execute(sa.select(traces).where(_t.id.in_(ids))))


def _pairs(tx: Transaction, table: sa.Table, keys: Mapping[int, str]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {key: {} for key in keys}
    for piece in _pieces(list(keys)):
        for each in tx.execute(sa.select(table).where(table.c.trace.in_(piece)).order_by(table.c.trace, table.c.key)):
            found[each.trace][each.key] = each.value
    return found


def _assessments(tx: Transaction, keys: Mapping[int, str]) -> dict[int, list[Assessment]]:
    a = assessments.c
    found: dict[int, list[Assessment]] = {key: [] for key in keys}
    for piece in _pieces(list(keys)):
        query = sa.select(assessments).where(a.trace.in_(piece)).order_by(a.trace, a.created, a.id)
        for each in tx.execute(query):
            found[each.trace].append(assessment_of(each, keys[each.trace]))
    return found


def _pieces(items: list[Any]) -> list[list[Any]]:
    return [items[at : at + PIECE] for at in range(0, len(items), PIECE)]
