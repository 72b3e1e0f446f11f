"""Readings of the ledger: the history of a thing, what everybody did, and lineage. Each goes along an index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.operations import Resource
from modelwright.core.paging import MAX_LIMIT, Page, number_after
from modelwright.core.refs import LATEST, Ref
from modelwright.store import catalog, scopes
from modelwright.store.database import Transaction
from modelwright.store.records import Direction, Edge, Event, EventFilter, Lineage
from modelwright.store.tables import catalog_things, ledger_events, ledger_refs

Home = Callable[[Transaction, Ref], Resource]
"""The resource that rights on a ref are asked on."""
MAX_NODES = 2000
_MICROSECOND = timedelta(microseconds=1)
_PAST_VERSIONS = chr(ord("@") + 1)  # what comes next to the sign between a thing and its version
_e, _r = ledger_events.c, ledger_refs.c


def pinned(tx: Transaction, ref: Ref, as_of: datetime | None = None) -> Ref:
    """The exact ref that is meant: a version for what has versions, the thing itself for what has none.

    With `as_of`, an alias is read as it stood then. `NotFound` where neither the catalog nor the ledger knows the thing.
    """
    if as_of is not None and ref.alias not in (None, LATEST):
        move = catalog.aliased_at(tx, ref, str(ref.alias), as_of)
        if move is None:
            raise NotFound(f"{ref.whole} had no alias {ref.alias!r} at {isoformat(as_of)}.")
        return ref.at(move.version)
    if not _versioned(tx, ref) and _mentioned(tx, ref):
        return ref
    return catalog.resolve(tx, ref)


def history(tx: Transaction, ref: Ref, where: EventFilter) -> Page[Event]:
    """The events that name a thing (without a selector: any version of it) as subject, input or output; newest first."""
    if ref.alias is not None or ref.digest is not None:
        ref = catalog.resolve(tx, ref)
    query = sa.select(_e.seq, _e.body).where(_e.seq.in_(naming(ref, within=_within(tx, _r.seq, where))))
    page = _page(tx, query, where)
    if not page.items and where == EventFilter() and not _versioned(tx, ref):
        catalog.resolve(tx, ref)  # says that there is no such thing, and what comes near
    return page


def events(tx: Transaction, where: EventFilter) -> Page[Event]:
    """All events that fit, newest first."""
    return _page(tx, sa.select(_e.seq, _e.body).where(*_within(tx, _e.seq, where)), where)


def lineage(
    tx: Transaction, ref: Ref, direction: Direction, depth: int, as_of: datetime | None, *, home: Home | None = None
) -> Lineage:
    """Follow the events from output to inputs (up), from input to outputs (down), or both, as the record stood then.

    What the caller may not read (see `readable`) is left out, with what lies behind it.
    """
    if not 1 <= depth <= 100:
        raise Invalid(f"The depth of a lineage is 1 to 100, not {depth}.")
    start = pinned(tx, ref, as_of)
    last = None if as_of is None else _last_seq(tx, as_of)
    nodes, edges, complete = {start: None}, dict[tuple[Ref, Ref, int], Edge](), True
    for way in (Direction.UP, Direction.DOWN):
        if direction in (way, Direction.BOTH):
            found, whole = _walk(tx, start, way, depth, last, home)
            complete &= whole
            for edge in found:
                edges.setdefault((edge.source, edge.target, edge.seq), edge)
                nodes |= {edge.source: None, edge.target: None}
    ordered = sorted(edges.values(), key=lambda edge: (edge.seq, edge.source, edge.target))
    return Lineage(of=start, nodes=list(nodes), edges=ordered, complete=complete)


def naming(*refs: Ref, role: str | None = None, within: Sequence[Any] = ()) -> Any:
    """The sequence numbers of the events that name any of these; a thing without a selector stands for every version."""
    also = [*within, *([] if role is None else [_r.role == role])]
    parts = [sa.select(_r.seq).where(_r.ref == str(ref), *also) for ref in refs]
    for ref in refs:
        if ref.selector is None:
            parts.append(sa.select(_r.seq).where(_r.ref > f"{ref}@", _r.ref < f"{ref}{_PAST_VERSIONS}", *also))
    return sa.union_all(*parts)


def inputs_of(tx: Transaction, made: Collection[str]) -> list[str]:
    """What went into the events that these came out of, in the order of the events."""
    out = sa.select(_r.seq).where(_r.ref.in_(list(made)), _r.role == "out")
    bodies = tx.execute(sa.select(_e.body).where(_e.seq.in_(out)).order_by(_e.seq)).scalars()
    return [ref for body in bodies for ref in sorted(set(_named(body).inputs))]


def readable(tx: Transaction, refs: Collection[Ref], home: Home | None = None) -> list[Ref]:
    """Those of the refs that the caller may read: by their kind and path, or by those of their `home`."""
    where = {ref: home(tx, ref) if home is not None else Resource(ref.kind, ref.name) for ref in refs}
    may = {kind: scopes.may_read(tx, kind) for kind in {each.kind for each in where.values()}}
    return [ref for ref in refs if may[where[ref].kind](where[ref].name or "")]


def event_of(body: bytes) -> Event:
    """An event as it is read back from its canonical bytes."""
    fields = msgspec.json.decode(body)
    return Event(
        seq=fields["seq"],
        ts=parse_time(fields["ts"]),
        action=fields["action"],
        actor=fields["actor"],
        resource=fields["resource"]["ref"],
        inputs=fields["inputs"],
        outputs=fields["outputs"],
        reason=fields["reason"],
        environment=fields["env"],
        decision=fields["decision"],
        rules=fields["rules"],
        before=fields["before"],
        after=fields["after"],
        outcome=fields["outcome"],
        error=fields["error"],
        ticket=fields["ticket"],
        request_id=fields["request_id"],
    )


def _walk(
    tx: Transaction, start: Ref, way: Direction, depth: int, last: int | None, home: Home | None
) -> tuple[list[Edge], bool]:
    seen, frontier, edges = {start}, [start], list[Edge]()
    for _ in range(depth):
        step = _step(tx, frontier, way, last)
        ends = {edge.source if way is Direction.UP else edge.target for edge in step}
        allowed = set(readable(tx, ends, home))
        edges += [edge for edge in step if (edge.source if way is Direction.UP else edge.target) in allowed]
        frontier = sorted(allowed - seen)
        seen |= allowed
        if not frontier or len(seen) > MAX_NODES:
            break
    return edges, not frontier


def _step(tx: Transaction, frontier: Sequence[Ref], way: Direction, last: int | None) -> list[Edge]:
    role = "out" if way is Direction.UP else "in"
    edges: list[Edge] = []
    for at in range(0, len(frontier), 500):  # databases bound the number of parameters
        query = (
            sa.select(_r.ref, _e.seq, _e.action, _e.ts, _e.body)
            .join(ledger_events, _e.seq == _r.seq)
            .where(_r.ref.in_([str(ref) for ref in frontier[at : at + 500]]), _r.role == role)
        )
        if last is not None:
            query = query.where(_r.seq <= last)
        for row in tx.execute(query):
            near, named = Ref.parse(row.ref), _named(row.body)
            for text in dict.fromkeys(named.inputs if way is Direction.UP else named.outputs):
                far = Ref.parse(text)
                source, target = (far, near) if way is Direction.UP else (near, far)
                if source != target:
                    moment = parse_time(row.ts)
                    edges.append(Edge(source=source, target=target, action=row.action, seq=row.seq, at=moment))
    return edges


class _Named(msgspec.Struct):
    """The part of an event's body that lineage reads."""

    inputs: list[str]
    outputs: list[str]


_named = msgspec.json.Decoder(_Named).decode


def _page(tx: Transaction, query: Any, where: EventFilter) -> Page[Event]:
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} events, not {where.limit}.")
    if where.actor:
        query = query.where(_e.actor == where.actor)
    if where.action:
        query = query.where(sa.or_(_e.action == where.action, _begins_with(_e.action, where.action)))
    rows = tx.execute(query.order_by(_e.seq.desc()).limit(where.limit + 1)).all()
    page = rows[: where.limit]
    return Page(items=[event_of(row.body) for row in page], next=str(page[-1].seq) if len(rows) > where.limit else None)


def _begins_with(column: Any, prefix: str) -> Any:
    """`models` fits `models.version.registered`: a range, so that an index serves it."""
    path = prefix.rstrip(".") + "."
    return sa.and_(column >= path, column < path[:-1] + chr(ord(".") + 1))


def _within(tx: Transaction, column: Any, where: EventFilter) -> list[Any]:
    """Times as bounds on the sequence number: the log is in order of time."""
    bounds = []
    if where.since is not None:
        bounds.append(column > _last_seq(tx, where.since - _MICROSECOND))
    if where.until is not None:
        bounds.append(column <= _last_seq(tx, where.until - _MICROSECOND))
    if where.after is not None:
        bounds.append(column < number_after(where.after))
    return bounds


def _last_seq(tx: Transaction, moment: datetime) -> int:
    """The number of the last event up to a moment; -1 if there is none. Found by halving: the log is in order of time."""
    found = tx.execute(_HALVING, {"moment": isoformat(moment)}).scalar_one()
    return int(found)


def _halving() -> Any:
    none = sa.literal(-1, sa.BigInteger)
    past = sa.select(sa.func.coalesce(sa.func.max(_e.seq), none) + 1).scalar_subquery()
    search = sa.select(none.label("low"), past.label("high")).cte("search", recursive=True)
    early = _e.ts <= sa.bindparam("moment")
    step = (
        sa.select(sa.case((early, _e.seq), else_=search.c.low), sa.case((early, search.c.high), else_=_e.seq))
        .join(ledger_events, _e.seq == (search.c.low + search.c.high) // 2)
        .where(search.c.high - search.c.low > 1)
    )
    search = search.union_all(step)
    return sa.select(sa.func.max(search.c.low))


_HALVING = _halving()


def _versioned(tx: Transaction, ref: Ref) -> bool:
    t = catalog_things.c
    return tx.execute(sa.select(t.name).where(t.kind == ref.kind, t.name == ref.name)).first() is not None


def _mentioned(tx: Transaction, ref: Ref) -> bool:
    return tx.execute(naming(ref.whole).limit(1)).first() is not None
