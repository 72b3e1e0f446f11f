"""Reading the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.clock import parse_time
from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.pipelines.artifacts import objects_in, refs_in
from modelwright.pipelines.records import (
    FINAL,
    GIVEN,
    Attempt,
    Component,
    Execution,
    ExecutionState,
    StepRecord,
    StepState,
    changes,
    key_of,
)
from modelwright.pipelines.tables import attempts, executions, steps
from modelwright.store import State, Transaction, catalog

_x, _s, _a = executions.c, steps.c, attempts.c


def execution_row(tx: Transaction, ref: Ref) -> Any:
    """The row of one execution, or `NotFound`."""
    if ref.kind is not Kind.EXECUTION:
        raise Invalid(f"{ref} is not an execution.", mend="An execution is named execution:<id>; see mw list execution.")
    row = tx.execute(sa.select(executions).where(_x.id == ref.name)).first()
    if row is None:
        raise NotFound(f"There is no execution {ref.name!r}.", mend="See what there is: mw list execution")
    return row


def open_execution(tx: Transaction, ref: Ref) -> Any:
    """The row of an execution that has not ended, or `Conflict`."""
    row = execution_row(tx, ref)
    if row.state in FINAL:
        raise Conflict(f"{ref} is {row.state}.", mend="Start the pipeline again: what was done is taken from the cache.")
    return row


def step_row(tx: Transaction, ref: Ref, key: str) -> Any:
    """The row of one step, or `NotFound`."""
    execution_row(tx, ref)
    row = tx.execute(sa.select(steps).where(_s.execution == ref.name, _s.key == key)).first()
    if row is None:
        raise NotFound(f"{ref} has no step {key!r}.")
    return row


def ready(tx: Transaction, ref: Ref, row: Any) -> None:
    """`Conflict` unless every step that this one needs has its result."""
    needs = msgspec.json.decode(row.needs)
    given = sa.select(_s.key).where(_s.execution == ref.name, _s.key.in_(needs), _s.state.in_(GIVEN))
    missing = set(needs) - set(tx.execute(given).scalars())
    if missing:
        raise Conflict(f"Step {row.key} of {ref} still waits for {', '.join(sorted(missing))}.")


def losses(tx: Transaction, ref: Ref, key: str) -> int:
    """How many workers have died over a step."""
    which = (_a.execution == ref.name, _a.key == key, _a.outcome == "lost")
    return int(tx.execute(sa.select(sa.func.count()).select_from(attempts).where(*which)).scalar_one())


def reusable(tx: Transaction, blobs: Blobs, pipeline: str, cache_key: str) -> Any | None:
    """The newest result under this key, if its objects are still there and the versions it names are in use.

    Only results of the same pipeline count: who may run one pipeline does not thereby read what another made.
    """
    query = (
        sa.select(steps)
        .join(executions, _x.id == _s.execution)
        .where(_x.pipeline == pipeline, _s.cache_key == cache_key, _s.state.in_(GIVEN))
        .order_by(_s.ended_at.desc(), _s.execution.desc())
    )
    for row in tx.execute(query.limit(3)):
        tree = msgspec.json.decode(row.outputs)
        needed = objects_in(tree) + ([row.logged] if row.logged else [])
        if all(blobs.exists(digest) for digest in needed) and all(_stands(tx, ref) for ref in refs_in(tree)):
            return row
    return None


def _stands(tx: Transaction, ref: Ref) -> bool:
    """Whether the version that a result names is still there and in use; a retired one is not handed out again."""
    version = catalog.find(tx, ref) if ref.version is not None else None
    return ref.version is None or (version is not None and version.state is State.ACTIVE)


def why_it_runs(tx: Transaction, pipeline: str, key: str, components: Sequence[Component]) -> list[str]:
    """In words, what has changed since this step last gave a result."""
    query = (
        sa.select(_s.components, _s.cache_key)
        .join(executions, _x.id == _s.execution)
        .where(_x.pipeline == pipeline, _s.key == key, _s.state.in_(GIVEN))
        .order_by(_s.ended_at.desc(), _s.execution.desc())
        .limit(1)
    )
    last = tx.execute(query).first()
    if last is None:
        return ["it has not run before"]
    if last.cache_key == key_of(components):
        return ["its stored result is gone, or what it made is no longer in use"]
    return changes(decode(last.components, list[Component]), components)


def unfinished(tx: Transaction, pipeline: str) -> list[Any]:
    """The executions of a pipeline that have not ended, newest first."""
    query = sa.select(executions).where(_x.pipeline == pipeline, _x.state == ExecutionState.RUNNING)
    return list(tx.execute(query.order_by(_x.created_at.desc(), _x.id.desc())))


def started_by(tx: Transaction, pipeline: str, cause: int | None) -> Any | None:
    """The execution that a ledger event has started, if any."""
    if cause is None:
        return None
    return tx.execute(sa.select(executions).where(_x.pipeline == pipeline, _x.cause == cause)).first()


def alive(row: Any, now: datetime, lease: float) -> bool:
    """Whether a worker has shown itself on this execution within a lease's time."""
    return parse_time(row.touched_at) + timedelta(seconds=lease) > now


def execution_of(tx: Transaction, row: Any, *, resumed: bool = False, with_steps: bool = True) -> Execution:
    """A row as a record, with its journal."""
    return Execution(
        id=row.id,
        pipeline=Ref(Kind.PIPELINE, row.pipeline, row.version),
        state=ExecutionState(row.state),
        params=msgspec.json.decode(row.params),
        run=Ref(Kind.RUN, row.run),
        reason=row.reason,
        cause=row.cause,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        ended_at=_time(row.ended_at),
        inputs=decode(row.inputs, list[Ref]),
        outputs=decode(row.outputs, list[Ref]),
        result=None if row.result is None else msgspec.json.decode(row.result),
        error=row.error,
        source=row.source,
        steps=steps_of(tx, Ref(Kind.EXECUTION, row.id)) if with_steps else [],
        resumed=resumed,
    )


def steps_of(tx: Transaction, ref: Ref, key: str | None = None) -> list[StepRecord]:
    """The steps of an execution (or one of them) with their attempts, in order."""
    tries: dict[str, list[Any]] = {}
    for each in tx.execute(sa.select(attempts).where(_a.execution == ref.name).order_by(_a.fence)):
        tries.setdefault(each.key, []).append(each)
    query = sa.select(steps).where(_s.execution == ref.name)
    if key is not None:
        query = query.where(_s.key == key)
    return [_step_of(row, tries.get(row.key, [])) for row in tx.execute(query.order_by(_s.position))]


def _step_of(row: Any, tries: Sequence[Any]) -> StepRecord:
    return StepRecord(
        key=row.key,
        step=row.step,
        needs=msgspec.json.decode(row.needs),
        state=StepState(row.state),
        cache_key=row.cache_key,
        components=decode(row.components, list[Component]),
        why=msgspec.json.decode(row.why),
        outputs=None if row.outputs is None else msgspec.json.decode(row.outputs),
        logged=row.logged,
        cached_from=Ref(Kind.EXECUTION, row.cached_from) if row.cached_from else None,
        holder=row.holder,
        until=_time(row.until),
        started_at=_time(row.started_at),
        ended_at=_time(row.ended_at),
        error=row.error,
        attempts=[
            Attempt(
                number=number,
                fence=each.fence,
                holder=each.holder,
                started_at=parse_time(each.started_at),
                ended_at=_time(each.ended_at),
                outcome=each.outcome,
                error=each.error,
            )
            for number, each in enumerate(tries, 1)
        ],
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
