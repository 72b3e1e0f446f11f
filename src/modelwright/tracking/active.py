"""Which run is active here: a stack for each thread and task, so that runs in several do not mix."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from modelwright.core.errors import Conflict

if TYPE_CHECKING:
    from modelwright.tracking.run import TrackedRun

_stack: ContextVar[tuple[TrackedRun, ...]] = ContextVar("modelwright_runs", default=())


def active_run() -> TrackedRun | None:
    """The run that is active in this thread or task: the innermost that was started and not ended; or None."""
    return next(reversed(_stack.get()), None)


def enter(run: TrackedRun) -> None:
    """Make a run the innermost."""
    _stack.set((*_stack.get(), run))


def leave(run: TrackedRun) -> None:
    """Take a run off the stack, wherever in it."""
    _stack.set(tuple(each for each in _stack.get() if each is not run))


def needed() -> TrackedRun:
    """The active run; `Conflict` where there is none."""
    run = active_run()
    if run is None:
        raise Conflict(
            "No run is active in this thread.",
            mend="Call mw.start_run() first. A run of another thread is logged to by its methods (run.log_metric), one of "
            "another process by mw.start_run(run=...).",
        )
    return run
