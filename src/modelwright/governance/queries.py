"""What documents and figures are made from, gathered on an open transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.refs import Kind, Ref
from modelwright.governance.records import Statement
from modelwright.governance.tables import statements, to_statement
from modelwright.monitoring import Monitor
from modelwright.store import Event, Evidence, Transaction, evidence, scopes
from modelwright.store.queries import event_of, naming
from modelwright.store.tables import ledger_events


def statements_about(tx: Transaction, ref: Ref) -> dict[str, Statement]:
    """The statements that hold for a version, by field: its own before those about the whole model, the latest of each."""
    c = statements.c
    rows = tx.execute(sa.select(statements).where(c.about.in_([str(ref), str(ref.whole)])).order_by(c.seq))
    found: dict[str, Statement] = {}
    for statement in map(to_statement, rows):
        held = found.get(statement.field)
        if held is None or statement.about == ref or held.about == ref.whole:
            found[statement.field] = statement
    return found


def add_statement(tx: Transaction, ref: Ref, field: str, text: str) -> Statement:
    """Write a statement beside the event that the running operation will leave."""
    said = Statement(about=ref, field=field, text=text, author=tx.principal.id, at=tx.now, seq=tx.next_seq)
    tx.execute(
        statements.insert().values(
            seq=said.seq, about=str(ref), field=field, text=text, author=said.author, at=isoformat(said.at)
        )
    )
    return said


def events_of(tx: Transaction, actions: Sequence[str], until: datetime) -> list[Event]:
    """The events of some actions before a moment, in order, whose thing the caller may read."""
    e = ledger_events.c
    query = sa.select(e.body).where(e.action.in_(actions), e.ts < isoformat(until)).order_by(e.seq)
    may: dict[Kind, Callable[[str], bool]] = {}
    found = []
    for body in tx.execute(query).scalars():
        event = event_of(body)
        ref = Ref.parse(event.resource)
        if ref.kind not in may:
            may[ref.kind] = scopes.may_read(tx, ref.kind)
        if may[ref.kind](ref.name):
            found.append(event)
    return found


def latest_by_kind(tx: Transaction, ref: Ref, as_of: datetime | None = None) -> list[Evidence]:
    """The newest evidence of each kind about a version, as it was known at a moment."""
    found: dict[str, Evidence] = {}
    for each in evidence.about(tx, ref, as_of=as_of):
        found.setdefault(each.kind, each)
    return list(found.values())


def deployments_of(tx: Transaction, ref: Ref) -> list[Ref]:
    """The deployments that any version of a model was ever put on."""
    e = ledger_events.c
    query = sa.select(e.body).where(e.seq.in_(naming(ref.whole)), e.action == "deployments.release.live")
    return sorted({Ref.parse(event_of(body).resource).whole for body in tx.execute(query).scalars()})


def watching(monitors: Sequence[Monitor], deployments: Sequence[Ref]) -> list[Monitor]:
    """The monitors on some deployments."""
    return [monitor for monitor in monitors if monitor.deployment in deployments and not monitor.stopped]
