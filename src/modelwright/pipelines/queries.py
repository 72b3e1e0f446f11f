"""Reading executions, and what refs stand for."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.pipelines import journal
from modelwright.pipelines.records import Execution, ExecutionState, Pin
from modelwright.pipelines.tables import executions
from modelwright.store import Transaction, catalog, scopes

_x = executions.c
VERSIONED = frozenset({Kind.DATASET, Kind.FEATURES, Kind.MODEL, Kind.PIPELINE, Kind.POLICY})


def list_executions(tx: Transaction, where: Filter, pipeline: str | None) -> Page[Execution]:
    """The executions that the caller may see, newest first, without their steps."""
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    query = sa.select(executions).where(scopes.readable(tx, Kind.PIPELINE, _x.pipeline))
    if pipeline is not None:
        query = query.where(_x.pipeline == pipeline)
    if where.under is not None:
        query = query.where(scopes.under(_x.pipeline, where.under))
    if where.text:
        word = where.text.lower()
        shown = sa.func.lower(_x.pipeline + " " + _x.reason)
        query = query.where(shown.contains(word, autoescape=True))
    if where.state:
        query = query.where(_x.state == where.state)
    if where.since:
        query = query.where(_x.created_at >= isoformat(where.since))
    if where.until:
        query = query.where(_x.created_at < isoformat(where.until))
    if where.after:
        at, _, identity = where.after.partition(" ")
        query = query.where(sa.or_(_x.created_at < at, sa.and_(_x.created_at == at, _x.id < identity)))
    rows = tx.execute(query.order_by(_x.created_at.desc(), _x.id.desc()).limit(where.limit + 1)).all()
    shown_rows = rows[: where.limit]
    last = shown_rows[-1] if len(rows) > where.limit else None
    items = [journal.execution_of(tx, row, with_steps=False) for row in shown_rows]
    return Page(items=items, next=f"{last.created_at} {last.id}" if last else None)


def list_stalled(tx: Transaction, silent_since: datetime) -> list[Execution]:
    """Unfinished executions without a sign of a worker since a moment."""
    query = sa.select(executions).where(scopes.readable(tx, Kind.PIPELINE, _x.pipeline), _x.state == ExecutionState.RUNNING)
    rows = tx.execute(query.where(_x.touched_at < isoformat(silent_since)).order_by(_x.created_at)).all()
    return [journal.execution_of(tx, row, with_steps=False) for row in rows]


def pin(tx: Transaction, ref: Ref) -> Pin:
    """What a ref stands for; as good as not there where the caller may not read it."""
    if not scopes.may_read(tx, ref.kind)(ref.name):
        raise NotFound(f"There is no {ref.kind.value} named {ref.name!r}.")
    if ref.kind not in VERSIONED:
        return Pin(ref=ref, digest=digest_value(str(ref)))
    version = catalog.get(tx, ref)
    return Pin(ref=version.ref, digest=version.digest)
