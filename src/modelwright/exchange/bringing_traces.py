"""Bringing the traces of a store over: those that are not here yet, or have changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.names import path_for
from modelwright.core.refs import Kind, Ref
from modelwright.exchange.records import Counts
from modelwright.exchange.remarks import Remarks
from modelwright.experiments.intake import ForeignExperiment
from modelwright.traces import SpanBatch, TraceInfo, Traces
from modelwright.traces.records import BODIES_GONE

if TYPE_CHECKING:
    from modelwright.exchange.sources.traces import ForeignTrace

AT_ONCE = 50  # traces that are asked for in one call


class BringingTraces:
    """The part of an import that brings traces. They are data, and leave no event."""

    def __init__(self, traces: Traces, titles: Mapping[str, ForeignExperiment], remarks: Remarks) -> None:
        self._traces, self._titles, self._remarks = traces, titles, remarks
        self._ids: list[str] = []

    def bring(self, there: Sequence[ForeignTrace], *, dry_run: bool, told: Callable[[int], None]) -> int:
        """Bring some; returns how many of them were not here as they are there. `told` is given how many there were."""
        here = {each.info.id: each.info for each in self._traces.batch([each.given.id for each in there])}
        self._ids += [each.given.id for each in there]
        lacking = [each for each in there if _differs(each, here.get(each.given.id))]
        for each in [] if dry_run else lacking:
            self._one(each)
        told(len(self._ids))
        return len(lacking)

    def count(self) -> Counts:
        """What is here of all that was there."""
        found = Counts()
        for info in self._infos():
            found += Counts(traces=1, spans=info.spans, assessments=len(info.assessments))
        return found

    def _one(self, there: ForeignTrace) -> None:
        whose = f"trace:{there.given.id}"
        if there.broken:
            self._remarks.add("comes without its steps, which cannot be read", f"{whose}: {there.broken}")
        experiment = Ref(Kind.EXPERIMENT, path_for(self._titles[there.experiment].title))
        try:
            if there.spans:
                self._traces.log(experiment, [SpanBatch(spans=there.spans)])
            self._traces.start(experiment, there.given)
        except (Invalid, Conflict) as error:
            self._remarks.add("could not be brought", f"{whose}: {error.message}")
            return
        for run in there.runs:
            try:
                self._traces.link(Ref(Kind.RUN, run), [there.given.id])
            except NotFound:
                self._remarks.add("is linked to a run that is not here", f"{whose}: {run}")

    def _infos(self) -> Iterator[TraceInfo]:
        for at in range(0, len(self._ids), AT_ONCE):
            yield from (each.info for each in self._traces.batch(self._ids[at : at + AT_ONCE]))


def _differs(there: ForeignTrace, here: TraceInfo | None) -> bool:
    """Whether a trace is not here as it is there. What was let go of here, for being too old, is not brought back."""
    if here is None:
        return True
    if BODIES_GONE in here.metadata:
        return False
    given = there.given
    if (given.state, given.started, given.milliseconds) != (here.state, here.started, here.milliseconds):
        return True
    judged = {(each.id, each.updated, each.valid) for each in here.assessments}
    return (
        not given.tags.items() <= here.tags.items()
        or not given.metadata.items() <= here.metadata.items()
        or (len(there.spans) > here.spans)
        or not {(each.id, each.updated, each.valid) for each in given.assessments} <= judged
    )
