"""Long reads: lists, and what was live at a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.deployments.records import Deployment, Live
from modelwright.deployments.tables import deployments_deployments, deployments_of
from modelwright.store import Transaction, Verdict, evidence, scopes
from modelwright.store.queries import naming
from modelwright.store.tables import ledger_events

LIVE, GONE = "deployments.release.live", "deployments.release.gone"


def list_deployments(tx: Transaction, where: Filter) -> Page[Deployment]:
    """Deployments that the caller may see, the most recently changed first."""
    d = deployments_deployments.c
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    query = sa.select(deployments_deployments)
    query = query.where(scopes.readable(tx, Kind.DEPLOYMENT, d.name))
    if where.under:
        query = query.where(scopes.under(d.name, where.under))
    if where.text:
        text = where.text.lower()
        in_either = (sa.func.lower(column).contains(text, autoescape=True) for column in (d.name, d.description))
        query = query.where(sa.or_(*in_either))
    if where.state:
        query = query.where(d.retired_at.is_not(None) if where.state == "retired" else d.retired_at.is_(None))
    if where.since:
        query = query.where(d.changed_at >= isoformat(where.since))
    if where.until:
        query = query.where(d.changed_at < isoformat(where.until))
    if where.after:
        at, _, name = where.after.partition(" ")
        query = query.where(sa.or_(d.changed_at < at, sa.and_(d.changed_at == at, d.name > name)))
    rows = tx.execute(query.order_by(d.changed_at.desc(), d.name).limit(where.limit + 1)).all()
    last = rows[where.limit - 1] if len(rows) > where.limit else None
    return Page(items=deployments_of(tx, rows[: where.limit]), next=f"{last.changed_at} {last.name}" if last else None)


def live_at(tx: Transaction, moment: datetime, name: str | None) -> list[Live]:
    """What the ledger says was live at a moment, in every environment of one deployment or of all that may be read."""
    e = ledger_events.c
    query = sa.select(e.seq, e.ts, e.body).where(e.action.in_([LIVE, GONE]), e.ts <= isoformat(moment)).order_by(e.seq)
    if name is not None:
        query = query.where(e.seq.in_(naming(Ref(Kind.DEPLOYMENT, name), role="subject")))
    standing: dict[tuple[str, str], Live] = {}
    for row in tx.execute(query):
        event = msgspec.json.decode(row.body)
        key = (event["resource"]["id"], event["env"])
        if event["action"] == GONE:
            standing.pop(key, None)
        else:
            standing[key] = _live(event, parse_time(row.ts), row.seq)
    may = scopes.may_read(tx, Kind.DEPLOYMENT)
    seen = [each for each in standing.values() if may(each.deployment.name)]
    return [msgspec.structs.replace(each, approved_by=approvers(tx, each.model, each.since)) for each in seen]


def approvers(tx: Transaction, model: Ref, moment: datetime) -> list[str]:
    """Who had approved a version by then."""
    given = evidence.about(tx, model, "approval", as_of=moment)
    return sorted({each.producer for each in given if each.verdict is Verdict.PASS and each.current(moment)})


def _live(event: dict[str, Any], at: datetime, seq: int) -> Live:
    return Live(
        deployment=Ref.parse(event["resource"]["ref"]),
        environment=event["env"],
        model=Ref.parse(event["after"]["model"]),
        since=at,
        by=event["after"]["by"],
        reason=event["reason"],
        event=seq,
    )
