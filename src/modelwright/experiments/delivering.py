"""Applying the entries of a writer to its run, each exactly once, inside an open transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import Invalid, ModelwrightError, NotFound
from modelwright.core.ids import is_id
from modelwright.core.names import path_for
from modelwright.core.refs import Ref
from modelwright.experiments import queries, writing
from modelwright.experiments.entries import (
    Delivered,
    Ended,
    Entry,
    Figures,
    Kept,
    Linked,
    Params,
    Refusal,
    Resumed,
    Started,
    Tags,
)
from modelwright.experiments.metrics.writing import last_steps
from modelwright.experiments.records import PARENT_TAG, Point, RunStatus
from modelwright.experiments.tables import from_micros
from modelwright.store import Transaction

if TYPE_CHECKING:
    from modelwright.experiments.service import Experiments


# What the end of a process makes of a run that stands so: who was killed is spoken for by who went on with the run.
OVERRULED = {
    RunStatus.FINISHED: {RunStatus.RUNNING, RunStatus.KILLED},
    RunStatus.FAILED: {RunStatus.RUNNING, RunStatus.KILLED, RunStatus.FINISHED},
    RunStatus.KILLED: {RunStatus.RUNNING},
}


class Delivery:
    """One batch of one writer.

    The number of the writer's last entry is kept beside the run and moves in the same transaction, so what arrives twice is
    applied once. An entry that breaks a rule is undone by itself and told; it does not hold up what comes after it. But a
    run that cannot begin (its experiment is deleted, say) is an error: what was said of it waits where it was written down.
    """

    def __init__(self, room: Experiments, tx: Transaction, experiment: str, ref: Ref, writer: str, age: timedelta) -> None:
        """`age` is how long ago the writer began: no clock but the workspace's is believed."""
        if not is_id(writer):
            raise Invalid(f"{writer!r} is not the id of a writer.", mend="Use a ULID of its own for each process.")
        self.room, self.tx, self.experiment, self.ref, self.writer = room, tx, experiment, ref, writer
        self.sequence, began = writing.last_delivered(tx, ref, writer) or (0, None)
        self.began = began or tx.now - max(timedelta(), age)
        self.refused: list[Refusal] = []
        self._steps: dict[str, int] = {}  # the last of each metric, as far as this delivery tells
        self._held: dict[str, int] | None = None  # the same as it was before, once it is asked for
        self._closed: RunStatus | None = None  # how the run had ended, where it was opened again for this

    def apply(self, entries: Sequence[Entry]) -> Delivered:
        """Apply those that are new."""
        fresh = [entry for entry in entries if entry.seq > self.sequence]
        if any(after.seq <= before.seq for before, after in pairwise(entries)):
            raise Invalid("The entries of a delivery are not in the order of their numbers.")
        row = self._own_run(begins=bool(fresh) and isinstance(fresh[0], Started))
        closed = self._open_again(row, fresh)
        for kind, group in groupby(fresh, type):
            if kind is Figures:
                self._all_figures([entry for entry in group if isinstance(entry, Figures)])
            else:
                for entry in group:
                    if isinstance(entry, Started) and row is None:  # else all the rest would be refused, and lost
                        self._apply(entry)
                    else:
                        self._attempt(entry, lambda entry=entry: self._apply(entry))  # type: ignore[misc]
        if closed is not None and self._status() is RunStatus.RUNNING:
            self.room.finish(
                self.ref, status=RunStatus(closed.status), error=closed.error, ended_at=from_micros(closed.ended)
            )
        if fresh:
            self.sequence = fresh[-1].seq
            row = self._row()
            if row is not None:
                writing.set_delivered(self.tx, row.key, self.writer, sequence=self.sequence, began=self.began)
        return Delivered(sequence=self.sequence, refused=self.refused)

    def _row(self) -> Any | None:
        return queries.run_identified(self.tx, self.ref.name)

    def _own_run(self, *, begins: bool) -> Any | None:
        """The right was asked on the experiment that the caller named; a run that is there must be one of it."""
        row = self._row()
        if begins and row is None:
            return None
        if row is None or row.experiment_name != path_for(self.experiment):
            raise NotFound(f"There is no run {self.ref.name!r} in {self.experiment!r}.")
        return row

    def _open_again(self, row: Any | None, fresh: Sequence[Entry]) -> Any | None:
        """Open a run that another process of it has ended, for this one has not said its last word.

        Returns how it had ended: it ends so again, once this is written down.
        """
        says = any(not isinstance(entry, Started | Resumed | Ended) for entry in fresh)
        if row is None or row.ended is None or row.deleted is not None or not says or isinstance(fresh[0], Resumed):
            return None
        self.room.resume(self.ref, reason="another process of it had more to say")
        self._closed = RunStatus(row.status)
        return row

    def _status(self) -> RunStatus:
        return RunStatus(queries.run_row(self.tx, self.ref).status)

    def _attempt(self, entry: Entry, body: Callable[[], None]) -> None:
        refusal = self._refusal(entry, body)
        if refusal is not None:
            self.refused.append(refusal)

    def _refusal(self, entry: Entry, body: Callable[[], None]) -> Refusal | None:
        """Do it, or undo it and say why; what this database cannot hold breaks a rule, too."""
        from modelwright.store.embedded import UNFIT, unfit

        try:
            with self.tx.attempt():
                body()
        except ModelwrightError as error:
            return Refusal(seq=entry.seq, code=error.code, message=str(error))
        except UNFIT:
            return Refusal(seq=entry.seq, code=Invalid.code, message=str(unfit()))
        return None

    def _all_figures(self, figures: Sequence[Figures]) -> None:
        """All at once; where one of them breaks a rule, each by itself."""
        steps = dict(self._steps)
        if len(figures) > 1 and self._refusal(figures[-1], lambda: self._figures(figures)) is None:
            return
        for each in figures:
            self._steps = dict(steps)
            refusal = self._refusal(each, lambda each=each: self._figures([each]))  # type: ignore[misc]
            if refusal is None:
                steps = self._steps
            else:
                self.refused.append(refusal)
        self._steps = steps

    def _apply(self, entry: Entry) -> None:
        room, ref = self.room, self.ref
        match entry:
            case Started():
                room.start(
                    self.experiment,
                    id=ref.name,
                    name=_held(entry.name),
                    tags={PARENT_TAG: entry.parent} if entry.parent else {},
                    capture=entry.capture,
                    started_at=self.began,
                    reason=_held(entry.reason),
                )
            case Resumed():
                room.resume(ref, reason=_held(entry.reason))
            case Params():
                room.log(ref, params=entry.values)
            case Tags():
                room.log(ref, tags=entry.values)
            case Kept():
                room.log(ref, artifacts=entry.artifacts)
            case Linked():
                if entry.inputs:
                    room.link(ref, inputs=entry.inputs)
                if entry.outputs:
                    room.link(ref, outputs=entry.outputs)
            case Ended():
                self._end(entry)

    def _figures(self, entries: Sequence[Figures]) -> None:
        self.room.log(self.ref, points=list(self._points(entries)))

    def _points(self, entries: Sequence[Figures]) -> Iterator[Point]:
        for entry in entries:
            at = self._time(entry)
            for name, value in entry.values.items():
                yield Point(metric=name, value=value, step=self._step(name, entry.step), time=at)

    def _step(self, name: str, step: int | None) -> int:
        if step is None and name not in self._steps:
            if self._held is None:
                self._held = last_steps(self.tx, queries.run_row(self.tx, self.ref).key)
            step = self._held.get(name, -1) + 1
        elif step is None:
            step = self._steps[name] + 1
        self._steps[name] = step
        return step

    def _end(self, entry: Ended) -> None:
        if entry.status is RunStatus.RUNNING:
            raise Invalid("A run does not end as running.")
        now = self._status()
        before = self._closed or now
        if before not in OVERRULED[entry.status]:
            return  # how another process of it ended says more
        if now is not RunStatus.RUNNING:
            self.room.resume(self.ref, reason="another process of it has ended")
        self.room.finish(self.ref, status=entry.status, error=entry.error, ended_at=self._time(entry))

    def _time(self, entry: Entry) -> datetime:
        """When it was, by the workspace's clock; never later than now."""
        return min(self.tx.now, self.began + timedelta(seconds=max(0.0, entry.elapsed)))


def _held(text: str) -> str:
    """A text without the character that no text in PostgreSQL can hold."""
    return text.replace("\0", "\ufffd")
