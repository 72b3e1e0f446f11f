"""Reading and writing the tables of OpenLineage. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.refs import Kind, Ref
from modelwright.openlineage.incoming import Named
from modelwright.openlineage.records import Party, PartyKind
from modelwright.openlineage.tables import mentions, parties, received, targets
from modelwright.store import Event, Transaction, scopes
from modelwright.store.queries import event_of
from modelwright.store.tables import ledger_details, ledger_events

MOST_SHOWN = 1000  # events that the facets of a party are gathered from
_p, _m, _x = parties.c, mentions.c, received.c


class Target(NamedTuple):
    """How far a receiver has been told."""

    seen: int = 0
    failures: int = 0
    due_at: str = ""
    error: str = ""


def keep(tx: Transaction, text: bytes, event_time: str, named: Iterable[Named]) -> bool:
    """Keep an event as it came, and whom it speaks of; False where it is here already."""
    digest = digest_bytes(text)
    if tx.execute(sa.select(_x.digest).where(_x.digest == digest)).first() is not None:
        return False
    tx.execute(received.insert().values(digest=digest, at=tx.stamp, event_time=event_time[:60], body=text))
    for each in {each.ref: each for each in named}.values():
        tx.execute(mentions.insert().values(ref=str(each.ref), digest=digest))
        if each.kind is None:
            continue
        row = {"ref": str(each.ref), "kind": each.kind.value, "namespace": each.namespace, "name": each.name}
        new = tx.insert(parties).values(**row, seen_at=tx.stamp)
        tx.execute(new.on_conflict_do_update(index_elements=[_p.ref], set_={"seen_at": tx.stamp}))
    return True


def party(tx: Transaction, ref: Ref) -> Party | None:
    """Whom a ref stands for, by name alone."""
    row = tx.execute(sa.select(parties).where(_p.ref == str(ref))).first()
    return None if row is None else _party(row)


def shown(tx: Transaction, ref: Ref) -> Party:
    """The same with its state and its facets, of all its events together in order of event time; or `NotFound`."""
    found = party(tx, ref)
    if found is None:
        raise NotFound(f"No event told of {ref}.", mend="See what there is: mw list external")
    own = bodies(tx, ref)
    told, state, facets = [msgspec.json.decode(body) for body in own], "", dict[str, Any]()
    for event in sorted(told, key=lambda event: str(event.get("eventTime"))):
        for given in _about(event, found):
            facets |= given.get("facets") or {}
        if found.kind is PartyKind.RUN:
            state = str(event.get("eventType") or state or "OTHER").upper()
    kept = {key: value for key, value in facets.items() if not (isinstance(value, dict) and value.get("_deleted"))}
    return msgspec.structs.replace(found, state=state, events=len(own), facets=kept)


def bodies(tx: Transaction, ref: Ref) -> list[bytes]:
    """The events that speak of something, as they came, the oldest first."""
    query = sa.select(_x.body).join(mentions, _m.digest == _x.digest).where(_m.ref == str(ref))
    return [bytes(row.body) for row in tx.execute(query.order_by(_x.at, _x.digest).limit(MOST_SHOWN))]


def list_parties(tx: Transaction, kind: PartyKind | None, limit: int, after: str | None) -> Page[Party]:
    """Those that the caller may read, the last heard of first."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT}, not {limit}.")
    may = scopes.readable(tx, Kind.EXTERNAL, sa.func.substr(_p.ref, len(Kind.EXTERNAL.value) + 2))
    query = sa.select(parties).where(may)
    if kind is not None:
        query = query.where(_p.kind == kind.value)
    if after is not None:
        stamp, _, ref = after.partition(" ")
        query = query.where(sa.or_(_p.seen_at < stamp, sa.and_(_p.seen_at == stamp, _p.ref > ref)))
    rows = tx.execute(query.order_by(_p.seen_at.desc(), _p.ref).limit(limit + 1)).all()
    page = rows[:limit]
    more = f"{page[-1].seen_at} {page[-1].ref}" if len(rows) > limit else None
    return Page(items=[_party(row) for row in page], next=more)


def stretch(tx: Transaction, start: int, limit: int) -> list[Event]:
    """The events of the ledger from a number on, with what was put aside from them."""
    e = ledger_events.c
    rows = tx.execute(sa.select(e.body).where(e.seq >= start).order_by(e.seq).limit(limit))
    return [_whole(tx, event_of(row.body)) for row in rows]


def target(tx: Transaction, url: str) -> Target:
    """How far a receiver has been told; from the beginning, if it is a new one."""
    row = tx.execute(sa.select(targets).where(targets.c.url == url)).first()
    return Target() if row is None else Target(row.seen, row.failures, row.due_at, row.error)


def move(tx: Transaction, url: str, to: Target) -> None:
    """Write that down."""
    new = tx.insert(targets).values(url=url, **to._asdict())
    tx.execute(new.on_conflict_do_update(index_elements=[targets.c.url], set_=to._asdict()))


def _whole(tx: Transaction, event: Event) -> Event:
    for side in ("before", "after"):
        said = getattr(event, side)
        if set(said) == {"sha256", "size"}:
            found = tx.execute(sa.select(ledger_details.c.body).where(ledger_details.c.sha256 == said["sha256"])).scalar()
            if found is not None:
                event = msgspec.structs.replace(event, **{side: msgspec.json.decode(bytes(found))})
    return event


def _about(event: dict[str, Any], found: Party) -> list[dict[str, Any]]:
    """The parts of an event that describe a party."""
    if found.kind is not PartyKind.DATASET:
        return [event[found.kind.value]] if isinstance(event.get(found.kind.value), dict) else []
    given = [event.get("dataset"), *(event.get("inputs") or []), *(event.get("outputs") or [])]
    wanted = (found.namespace, found.name)
    return [each for each in given if isinstance(each, dict) and (each.get("namespace"), each.get("name")) == wanted]


def _party(row: Any) -> Party:
    return Party(ref=Ref.parse(row.ref), kind=PartyKind(row.kind), namespace=row.namespace, name=row.name)
