"""Writing the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modelwright.core.clock import isoformat
from modelwright.core.refs import Ref
from modelwright.core.wire import encode_text
from modelwright.pipelines.errors import LeaseLost
from modelwright.pipelines.journal.queries import open_execution, step_row
from modelwright.pipelines.records import (
    PlannedStep,
    StepState,
)
from modelwright.pipelines.tables import attempts, executions, steps
from modelwright.store import Transaction

_x, _s, _a = executions.c, steps.c, attempts.c


def plan(tx: Transaction, ref: Ref, planned: Sequence[PlannedStep]) -> None:
    """Write the steps of a new execution, in an order in which they can run."""
    for position, each in enumerate(planned):
        tx.execute(
            steps.insert().values(
                execution=ref.name,
                key=each.key,
                position=position,
                step=each.step,
                needs=encode_text(each.needs),
                state=StepState.PENDING,
                cache_key="",
                components="[]",
                why="[]",
                fence=0,
                holder="",
                error="",
            )
        )


def touch(tx: Transaction, ref: Ref, now: datetime) -> None:
    """Note a sign of life."""
    tx.execute(executions.update().where(_x.id == ref.name).values(touched_at=isoformat(now)))


def write(tx: Transaction, ref: Ref, key: str, **values: Any) -> None:
    """Change a step."""
    tx.execute(steps.update().where(_s.execution == ref.name, _s.key == key).values(**values))


def grant(tx: Transaction, ref: Ref, row: Any, worker: str, until: datetime, **values: Any) -> int:
    """Hand a step out under the next fencing number."""
    fence = int(row.fence) + 1
    write(
        tx,
        ref,
        row.key,
        state=StepState.RUNNING,
        fence=fence,
        holder=worker,
        until=isoformat(until),
        started_at=tx.stamp,
        ended_at=None,
        outputs=None,
        logged=None,
        cached_from=None,
        error="",
        **values,
    )
    handed = {"holder": worker, "started_at": tx.stamp, "outcome": "", "error": ""}
    tx.execute(attempts.insert().values(execution=ref.name, key=row.key, fence=fence, **handed))
    return fence


def held(tx: Transaction, ref: Ref, key: str, fence: int) -> Any:
    """The row of a step that is held under this fencing number, or `LeaseLost`."""
    open_execution(tx, ref)
    row = step_row(tx, ref, key)
    if row.state != StepState.RUNNING or row.fence != fence:
        raise LeaseLost(f"Step {key} of {ref} was handed on (its fence is {row.fence}, not {fence}); this try is over.")
    return row


def end_attempt(tx: Transaction, ref: Ref, key: str, fence: int, outcome: str, error: str = "") -> None:
    """Close the account of one try."""
    which = (_a.execution == ref.name, _a.key == key, _a.fence == fence)
    tx.execute(attempts.update().where(*which).values(ended_at=tx.stamp, outcome=outcome, error=error))
