"""The journal of pushes in the workspace's database. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.refs import Kind, Ref
from modelwright.features.records import Joining, Lost, Push
from modelwright.features.tables import folds, joins, pushes
from modelwright.store import State, Transaction, catalog, scopes
from modelwright.store.driver import Prepared
from modelwright.store.queries import event_of
from modelwright.store.tables import ledger_events, ledger_refs

MATERIALISED, DELETED = "features.view.materialised", "retention.deletion.begun"  # what puts online, and takes away
_of = pushes.c.dataset == sa.bindparam("dataset")
_KNOWN = Prepared(sa.select(pushes.c.number).where(_of, pushes.c.id == sa.bindparam("id")), "dataset", "id")
_LAST = Prepared(sa.select(sa.func.max(pushes.c.number)).where(_of), "dataset")
_ADD = Prepared(pushes.insert(), "dataset", "number", "id", "rows", "data", "pushed_at")
REMEMBERED = 100_000  # ids of folded pushes that are known again, for each dataset


def add(tx: Transaction, dataset: Ref, id: str, rows: int, data: bytes) -> tuple[int, bool]:
    """Number a push; one whose id is known keeps its number, and nothing is written. The second tells which."""
    known = _KNOWN.first(tx.connection, dataset=dataset.name, id=id)
    if known is not None:
        return int(known.number), True
    number = last(tx, dataset) + 1
    values = {"dataset": dataset.name, "number": number, "id": id, "rows": rows, "data": data, "pushed_at": tx.stamp}
    _ADD.run(tx.connection, **values)
    return number, False


def one(tx: Transaction, dataset: Ref, number: int) -> tuple[Push, bytes | None]:
    """A push with its Arrow stream, or without where a version holds its rows by now."""
    row = tx.execute(sa.select(pushes).where(pushes.c.dataset == dataset.name, pushes.c.number == number)).one()
    return _push(row), None if row.data is None else bytes(row.data)


def last(tx: Transaction, dataset: Ref) -> int:
    """The number of the newest push, 0 where there was none."""
    return int(_LAST.run(tx.connection, dataset=dataset.name).fetchone()[0] or 0)


def after(tx: Transaction, dataset: Ref, number: int, until: int | None = None) -> Sequence[tuple[Push, bytes]]:
    """The pushes after a number that are not folded, in order, with their Arrow streams."""
    query = sa.select(pushes).where(pushes.c.dataset == dataset.name, pushes.c.number > number, pushes.c.data.is_not(None))
    if until is not None:
        query = query.where(pushes.c.number <= until)
    found = tx.execute(query.order_by(pushes.c.number))
    return [(_push(row), bytes(row.data)) for row in found]


def unbroken(tx: Transaction, dataset: Ref, number: int) -> bool:
    """Whether the journal still holds every push after a number."""
    found = tx.execute(
        sa.select(sa.func.min(pushes.c.number)).where(pushes.c.dataset == dataset.name, pushes.c.data.is_not(None))
    ).scalar()
    return last(tx, dataset) <= number or (found is not None and found <= number + 1)


def count(tx: Transaction, dataset: Ref) -> tuple[int, str | None]:
    """How many rows wait to be folded, and since when."""
    query = sa.select(sa.func.sum(pushes.c.rows).label("rows"), sa.func.min(pushes.c.pushed_at).label("since"))
    found: Any = tx.execute(query.where(pushes.c.dataset == dataset.name, pushes.c.data.is_not(None))).one()
    return int(found.rows or 0), found.since


def waiting(tx: Transaction) -> Sequence[str]:
    """The names of the datasets with pushes that are not folded."""
    return list(tx.execute(sa.select(pushes.c.dataset).where(pushes.c.data.is_not(None)).distinct()).scalars())


def folded(tx: Transaction, version: Ref) -> int:
    """The last push that is in a dataset version or in one before it."""
    query = sa.select(sa.func.max(folds.c.number)).where(
        folds.c.dataset == version.name, folds.c.version <= version.version
    )
    return int(tx.execute(query).scalar() or 0)


def fold(tx: Transaction, version: Ref, onto: Ref, number: int) -> None:
    """Say that a version holds all pushes up to a number: they leave the journal."""
    values = {"dataset": version.name, "version": version.version, "onto": onto.version, "number": number}
    tx.execute(sa.insert(folds).values(values))
    here = pushes.c.dataset == version.name
    tx.execute(sa.update(pushes).where(here, pushes.c.number <= number).values(data=None))
    tx.execute(sa.delete(pushes).where(here, pushes.c.number <= number - REMEMBERED))


def descent(tx: Transaction, start: Ref) -> Sequence[tuple[Ref, int]]:
    """The versions that folding has made of a version, one of the other, each with the last push that is in it."""
    query = sa.select(folds).where(folds.c.dataset == start.name, folds.c.version > start.version).order_by(folds.c.version)
    chain, at = [], start
    for row in tx.execute(query):
        if row.onto == at.version:
            at = start.whole.at(row.version)
            chain.append((at, int(row.number)))
    return chain


def overdue_pushes(tx: Transaction, path: str, before: str) -> Sequence[tuple[Ref, int, str, int, bytes]]:
    """What was pushed before a moment and is in no version yet: dataset, number, when, rows, and the Arrow stream."""
    query = sa.select(pushes).where(pushes.c.data.is_not(None), pushes.c.pushed_at < before)
    found = tx.execute(query.where(scopes.under(pushes.c.dataset, path)).order_by(pushes.c.dataset, pushes.c.number))
    return [(Ref(Kind.DATASET, r.dataset), r.number, r.pushed_at, r.rows, bytes(r.data)) for r in found]


def forget_pushes(tx: Transaction, dataset: Ref, numbers: Sequence[int]) -> None:
    """Let go of the rows of pushes; their ids are still known, so that sending them again does not bring them back."""
    here = sa.and_(pushes.c.dataset == dataset.name, pushes.c.number.in_(numbers))
    tx.execute(sa.update(pushes).where(here).values(data=None))


def note_join(tx: Transaction, join: Joining) -> None:
    """Remember the last training set of a view version, in place of the one before."""
    values = {"view": str(join.view), "rows": join.rows, "seconds": join.seconds, "at": tx.stamp}
    adding = tx.insert(joins).values(values)
    tx.execute(adding.on_conflict_do_update(index_elements=[joins.c.view], set_=values))


def joined(tx: Transaction, view: Ref) -> Joining | None:
    """The last training set of a view version."""
    row = tx.execute(sa.select(joins).where(joins.c.view == str(view))).first()
    return None if row is None else Joining(view=view, rows=row.rows, seconds=row.seconds, at=parse_time(row.at))


def _push(row: Any) -> Push:
    return Push(number=row.number, id=row.id, rows=row.rows, pushed_at=parse_time(row.pushed_at))


def put_online(tx: Transaction) -> Sequence[Lost]:
    """What was put online of view versions in use, and was not deleted there since: by the last event that did so."""
    e, r = ledger_events.c, ledger_refs.c
    newest: dict[str, dict[str, int]] = {}
    for action in (MATERIALISED, DELETED):
        query = sa.select(r.ref, sa.func.max(r.seq).label("seq")).join(ledger_events, e.seq == r.seq)
        of_views = r.ref.startswith(f"{Kind.FEATURES.value}:")
        query = query.where(e.action == action, r.role == "subject", of_views).group_by(r.ref)
        newest[action] = {row.ref: row.seq for row in tx.execute(query)}
    found = []
    for text, seq in sorted(newest[MATERIALISED].items()):
        version = catalog.find(tx, Ref.parse(text))
        if version is None or version.state is State.RETIRED or newest[DELETED].get(text, -1) > seq:
            continue
        event = event_of(tx.execute(sa.select(e.body).where(e.seq == seq)).scalar_one())
        since, until = (parse_time(event.after[name]) for name in ("since", "until"))
        source, rows = Ref.parse(event.after["source"]), event.after["rows"]
        found.append(Lost(view=version.ref, source=source, since=since, until=until, rows=rows, at=event.ts))
    return found
