"""What retention reads: its classes and deletions, what is live, and what came of a thing. On an open transaction.

What decides whether data go is read whole, whatever the caller may see; what is told of it is theirs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.governance.retention.records import Deletion, Due, Finished, Marked, RetentionClass, Scope
from modelwright.governance.retention.tables import (
    classes,
    deletions,
    to_class,
    to_deletion,
    to_finished,
    to_marked,
)
from modelwright.store import Event, Hold, State, Transaction, catalog, scopes
from modelwright.store.holds import hold_of
from modelwright.store.ledger.merkle import leaf_hash
from modelwright.store.queries import event_of
from modelwright.store.tables import catalog_versions, ledger_details, ledger_events, ledger_refs, retention_holds

LIVE, GONE = "deployments.release.live", "deployments.release.gone"
MOST_NODES = 5000
PAGE = 500
_ENDS = (Kind.EVIDENCE, Kind.DEPLOYMENT, Kind.ROLLOUT, Kind.MONITOR, Kind.ALERT, Kind.INCIDENT, Kind.RETENTION, Kind.HOLD)
_d, _c, _v = deletions.c, classes.c, catalog_versions.c


# Classes


def all_classes(tx: Transaction) -> list[RetentionClass]:
    """The classes in force, by name."""
    return [to_class(row) for row in tx.execute(sa.select(classes).order_by(_c.name))]


def find_class(tx: Transaction, name: str) -> RetentionClass | None:
    """One class by name."""
    row = tx.execute(sa.select(classes).where(_c.name == name)).first()
    return None if row is None else to_class(row)


def put_class(tx: Transaction, made: RetentionClass) -> None:
    """Write a class, in the place of the one of its name."""
    drop_class(tx, made.name)
    tx.execute(
        classes.insert().values(
            name=made.name,
            keep=made.keep,
            covers=encode_text(made.covers),
            about=encode_text(made.about),
            newest=made.newest,
            author=tx.principal.effective_id,
            at=tx.stamp,
            reason=made.reason,
        )
    )


def drop_class(tx: Transaction, name: str) -> None:
    """Take a class away."""
    tx.execute(classes.delete().where(_c.name == name))


# Holds


def all_holds(tx: Transaction) -> list[Hold]:
    """Every hold, lifted or not, the newest first."""
    h = retention_holds.c
    rows = tx.execute(sa.select(retention_holds).order_by(h.placed_at.desc(), h.name))
    return [hold_of(row) for row in rows]


def put_hold(tx: Transaction, name: str, scope: Scope, reason: str) -> None:
    """Write a hold."""
    row = {"name": name, "on_sort": scope.sort, "path": scope.path, "version": scope.version, "reason": reason}
    tx.execute(retention_holds.insert().values(**row, placed_by=tx.principal.id, placed_at=tx.stamp))


def lift_hold(tx: Transaction, name: str, reason: str) -> None:
    """Write that one is lifted."""
    values = {"lifted_by": tx.principal.id, "lifted_at": tx.stamp, "lifted_because": reason}
    tx.execute(retention_holds.update().where(retention_holds.c.name == name).values(**values))


# Deletions


def begin(tx: Transaction, identity: str, due: Due, marked: Marked) -> None:
    """Write down what is to go, beside the event that the running operation will leave."""
    row = {"id": identity, "class_name": due.retention, "covers": due.covers.value, "ref": str(due.ref), "part": due.part}
    tx.execute(
        deletions.insert().values(
            **row, unit=due.unit, marked=encode_text(marked), begun_at=tx.stamp, begun_seq=tx.next_seq
        )
    )


def finish(tx: Transaction, identity: str, done: Finished) -> None:
    """Write down what came of it, beside the event that the running operation will leave."""
    values = {"finished": encode_text(done), "finished_at": tx.stamp, "proof_seq": tx.next_seq}
    tx.execute(deletions.update().where(_d.id == identity).values(**values))


def goes_on(tx: Transaction, identity: str, done: Finished) -> None:
    """Write down what went so far of what is not over yet."""
    tx.execute(deletions.update().where(_d.id == identity).values(finished=encode_text(done)))


def open_deletions(tx: Transaction, limit: int = PAGE) -> list[str]:
    """The ids of those that are begun and not finished, the oldest first."""
    query = sa.select(_d.id).where(_d.finished_at.is_(None)).order_by(_d.id).limit(limit)
    return list(tx.execute(query).scalars())


def find(tx: Transaction, identity: str) -> tuple[Deletion, Marked, Finished] | None:
    """One deletion with what was to go and what came of it."""
    row = tx.execute(sa.select(deletions).where(_d.id == identity)).first()
    return None if row is None else (to_deletion(row), to_marked(row), to_finished(row))


def list_deletions(tx: Transaction, ref: Ref | None, after: str | None, limit: int) -> list[Deletion]:
    """Deletions, the newest first; of one thing (or, without a selector, of any version of it)."""
    query = sa.select(deletions)
    if after is not None:
        query = query.where(_d.id < after)
    if ref is not None:
        below = _d.ref.startswith(f"{ref}@", autoescape=True)
        query = query.where(_d.ref == str(ref) if ref.selector is not None else sa.or_(_d.ref == str(ref), below))
    return [to_deletion(row) for row in tx.execute(query.order_by(_d.id.desc()).limit(limit))]


def event_at(tx: Transaction, seq: int) -> tuple[Event, bool] | None:
    """An event with what was put aside of it, and whether its bytes, and these, are those that the ledger has hashed."""
    e, d = ledger_events.c, ledger_details.c
    row = tx.execute(sa.select(e.body, e.leaf).where(e.seq == seq)).first()
    if row is None:
        return None
    event, whole = event_of(row.body), leaf_hash(bytes(row.body)) == bytes(row.leaf)
    if event.after.keys() == {"sha256", "size"}:
        body = tx.execute(sa.select(d.body).where(d.sha256 == event.after["sha256"])).scalar()
        whole = whole and body is not None and sha256(bytes(body)).hexdigest() == event.after["sha256"]
        event = msgspec.structs.replace(event, after=msgspec.json.decode(bytes(body or b"{}")))
    return event, whole


# What is there


def versions_before(tx: Transaction, kind: Kind, path: str, before: datetime) -> Iterator[Ref]:
    """The versions of a kind, below a path of names, that were added before a moment; the oldest first."""
    query = sa.select(_v.name, _v.version).where(_v.kind == kind.value, _v.created_at < isoformat(before))
    for row in tx.execute(query.where(scopes.under(_v.name, path)).order_by(_v.created_at, _v.name, _v.version)).all():
        yield Ref(kind, row.name, row.version)


def newest_of(tx: Transaction, ref: Ref) -> Ref | None:
    """The newest version of a thing that is no tombstone and not retired."""
    query = sa.select(sa.func.max(_v.version)).where(_v.kind == ref.kind.value, _v.name == ref.name)
    found = tx.execute(query.where(_v.state == State.ACTIVE.value)).scalar()
    return None if found is None else ref.at(int(found))


def live_models(tx: Transaction) -> dict[Ref, list[str]]:
    """Every model version that carries traffic now, with where it does."""
    e = ledger_events.c
    standing: dict[tuple[str, str], Ref] = {}
    for body in tx.execute(sa.select(e.body).where(e.action.in_([LIVE, GONE])).order_by(e.seq)).scalars():
        event = event_of(body)
        key = (event.resource, event.environment)
        if event.action == GONE:
            standing.pop(key, None)
        else:
            standing[key] = Ref.parse(event.after["model"])
    found: dict[Ref, list[str]] = {}
    for (deployment, environment), model in standing.items():
        found.setdefault(model, []).append(f"{deployment} in {environment}")
    return found


def downstream(tx: Transaction, start: Ref) -> tuple[list[Ref], bool]:
    """What was made from a version or depends on it, however far down; and whether it could be followed to its end."""
    seen, ahead = {start}, [start]
    while ahead and len(seen) <= MOST_NODES:
        near = {each for ref in ahead for each in [*catalog.dependants(tx, ref), *_outputs(tx, ref)]}
        fresh = [each for each in near - seen if each.kind not in _ENDS]
        seen |= set(fresh)
        ahead = fresh
    return sorted(seen - {start}), not ahead


class _Outputs(msgspec.Struct):
    outputs: list[str]
    action: str


_read = msgspec.json.Decoder(_Outputs).decode


def _outputs(tx: Transaction, ref: Ref) -> list[Ref]:
    r, e = ledger_refs.c, ledger_events.c
    query = sa.select(e.body).join(ledger_refs, e.seq == r.seq).where(r.ref == str(ref), r.role == "in")
    events = [_read(body) for body in tx.execute(query).scalars()]
    return [Ref.parse(text) for event in events for text in event.outputs if not event.action.startswith("retention.")]


def may_name(tx: Transaction, refs: Sequence[Ref]) -> list[str]:
    """Refs as they are told to the caller: of those that they may not read, only how many there are."""
    may = {kind: scopes.may_read(tx, kind) for kind in {ref.kind for ref in refs}}
    shown = [str(ref) for ref in refs if may[ref.kind](ref.name)]
    hidden = len(refs) - len(shown)
    return shown + ([f"{hidden} that you may not read"] if hidden else [])
