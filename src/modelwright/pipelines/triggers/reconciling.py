"""The reconciler that the operator turns: what was set off is begun, and what was broken off is gone on with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from modelwright.pipelines.triggers.service import Triggers

PATIENCE = 60.0  # seconds until a start that led to no execution is tried again


class Starter(Protocol):
    """Has a pipeline executed somewhere, such as in a process of its own in the project's folder."""

    def start(self, pipeline: str, *, params: Mapping[str, Any], reason: str, cause: int | None) -> None:
        """Begin and return. It ends in `pipelines.run(..., cause=cause)`, so to begin twice is harmless."""
        ...


class PipelineReconciler:
    """Fires triggers, and has executions gone on with whose worker has died. Turned by the operator."""

    name = "pipelines"

    def __init__(self, room: Triggers, starter: Starter) -> None:
        self._room = room
        self._starter = starter
        self._begun: dict[str, float] = {}  # by cause or execution: when this process last had it begun

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        done: list[str] = []
        for trigger in self._room.list():
            for due in self._room.look(trigger.pipeline, trigger.name):
                if self._begin(f"cause {due.seq}"):
                    self._starter.start(due.pipeline, params=due.params, reason=due.reason, cause=due.seq)
                    done.append(f"Started {due.pipeline} for {due.trigger}: {due.reason}")
        for execution in self._room.pipelines.list_stalled():
            if self._begin(str(execution.ref)):
                name = execution.pipeline.name
                self._starter.start(name, params=execution.params, reason=execution.reason, cause=execution.cause)
                done.append(f"Went on with {execution.ref} of {name}, whose worker was gone.")
        return done

    def _begin(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._begun.get(what, float("-inf")) < PATIENCE:
            return False
        self._begun[what] = now
        return True
