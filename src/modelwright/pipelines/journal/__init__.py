"""The journal: which step stands where, who holds it, and whether a result can be reused.

A worker holds a step by a lease that it renews, under a fencing number that goes up each time the step is handed out. What
a worker hands in counts only under the number that the step bears now: however late a worker wakes up that was believed
dead, it changes nothing. Leases run by the machine's clock, also where the workspace's own is simulated, for they measure
how long a worker has been silent.
"""

from modelwright.pipelines.journal.queries import (
    alive,
    execution_of,
    execution_row,
    losses,
    open_execution,
    ready,
    reusable,
    started_by,
    step_row,
    steps_of,
    unfinished,
    why_it_runs,
)
from modelwright.pipelines.journal.writing import end_attempt, grant, held, plan, touch, write

__all__ = [
    "alive",
    "end_attempt",
    "execution_of",
    "execution_row",
    "grant",
    "held",
    "losses",
    "open_execution",
    "plan",
    "ready",
    "reusable",
    "started_by",
    "step_row",
    "steps_of",
    "touch",
    "unfinished",
    "why_it_runs",
    "write",
]
