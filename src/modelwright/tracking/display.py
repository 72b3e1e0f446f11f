"""A run of this process in a notebook: with the curves of what it has logged so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright.experiments.display import live

if TYPE_CHECKING:
    from modelwright.tracking.run import TrackedRun


def tracked_run(of: TrackedRun) -> str:
    """The run as it stands here; what was delivered of it is not asked."""
    curves = {name: (trace.last, trace.values) for name, trace in dict(of.traces).items()}
    return live(f"{of.ref}  {of.name}", f"a run of {of.experiment}", of.status.value, dict(of.params), curves)
