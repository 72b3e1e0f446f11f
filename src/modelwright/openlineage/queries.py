"""Reading and writing the tables of OpenLineage. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.refs import Kind, Ref
from modelwright.openlineage.incoming import TERMINAL, Named, facets_of, moment, state_of
from modelwright.openlineage.records import Party, PartyKind
from modelwright.openlineage.tables import mentions, parties, received, targets
from modelwright.store import Event, Transaction, scopes
from modelwright.store.queries import event_of
from modelwright.store.tables import ledger_details, ledger_events

MOST_SHOWN = 1000  # events that the facets of a party are gathered from, the newest
MOST_READ = 64 * 1024 * 1024  # bytes of these
_p, _m, _x = parties.c, mentions.c, received.c
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


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
    spoken = {str(each.ref): each for each in named}
    tx.execute(mentions.insert(), [{"ref": ref, "digest": digest} for ref in spoken])
    theirs = [
        {"ref": ref, "kind": each.kind.value, "namespace": each.namespace, "name": each.name, "seen_at": tx.stamp}
        for ref, each in spoken.items()
        if each.kind is not None
    ]
    new = tx.insert(parties)
    tx.execute(new.on_conflict_do_update(index_elements=[_p.ref], set_={"seen_at": new.excluded.seen_at}), theirs)
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
    told, facets = [msgspec.json.decode(body) for body in bodies(tx, ref)], dict[str, Any]()
    told.sort(key=lambda event: moment(str(event.get("eventTime"))) or _NEVER)
    for event in told:
        for given in _about(event, found):
            facets |= facets_of(given)
    states = [state_of(event) for event in told] if found.kind is PartyKind.RUN else []
    ended = [state for state in states if state in TERMINAL]  # what comes behind its end is late and changes nothing
    kept = {key: value for key, value in facets.items() if not (isinstance(value, dict) and value.get("_deleted"))}
    count = tx.execute(sa.select(sa.func.count()).where(_m.ref == str(ref))).scalar_one()
    heard = max((at for event in told if (at := moment(str(event.get("eventTime")))) is not None), default=None)
    state = (ended or states or [""])[-1]
    return msgspec.structs.replace(found, state=state, events=count, heard_at=heard, facets=kept)


def bodies(tx: Transaction, ref: Ref) -> list[bytes]:
    """The newest events that speak of something, as they came, the oldest of them first."""
    sizes = sa.select(_x.digest, sa.func.length(_x.body).label("size")).join(mentions, _m.digest == _x.digest)
    newest = sizes.where(_m.ref == str(ref)).order_by(_x.at.desc(), _x.digest.desc()).limit(MOST_SHOWN)
    chosen, left = list[str](), MOST_READ
    for row in tx.execute(newest):
        left -= row.size
        if left < 0 and chosen:
            break
        chosen.append(row.digest)
    found: dict[str, bytes] = {}
    for start in range(0, len(chosen), 500):
        query = sa.select(_x.digest, _x.body).where(_x.digest.in_(chosen[start : start + 500]))
        found |= {row.digest: bytes(row.body) for row in tx.execute(query)}
    return [found[digest] for digest in reversed(chosen)]


def list_parties(
    tx: Transaction, kind: PartyKind | None, text: str | None, under: str | None, limit: int, after: str | None
) -> Page[Party]:
    """Those that the caller may read, the last heard of first."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT}, not {limit}.")
    may = scopes.readable(tx, Kind.EXTERNAL, sa.func.substr(_p.ref, len(Kind.EXTERNAL.value) + 2))
    query = sa.select(parties).where(may)
    if kind is not None:
        query = query.where(_p.kind == kind.value)
    if text:
        wanted = text.casefold()
        query = query.where(
            sa.or_(*(sa.func.lower(each).contains(wanted, autoescape=True) for each in (_p.namespace, _p.name)))
        )
    if under:
        whole = f"{Kind.EXTERNAL.value}:{under.strip('/')}"
        query = query.where(sa.or_(_p.ref == whole, _p.ref.startswith(f"{whole}/", autoescape=True)))
    if after is not None:
        stamp, _, ref = after.partition(",")
        query = query.where(sa.or_(_p.seen_at < stamp, sa.and_(_p.seen_at == stamp, _p.ref > ref)))
    rows = tx.execute(query.order_by(_p.seen_at.desc(), _p.ref).limit(limit + 1)).all()
    page = rows[:limit]
    more = f"{page[-1].seen_at},{page[-1].ref}" if len(rows) > limit else None
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
