"""What lies below experiments: the bodies of traces, and the files of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modelwright.core.refs import Kind, Ref
from modelwright.experiments import drop_files, files_of, overdue_files
from modelwright.governance.retention.features import dead_rows
from modelwright.governance.retention.objects import Shelf
from modelwright.governance.retention.records import Covers, Due, Finished, Marked, RetentionClass
from modelwright.store import Transaction
from modelwright.traces import body_digests, drop_bodies, overdue_bodies, with_bodies

MOST = 2000  # traces of which the bodies go in one step
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TraceKeeper:
    """See `ports.Keeper`. Names, times, states, tokens and judgements of a trace stay: they are its tombstone."""

    covers = Covers.TRACES

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`."""
        before = retention.before(now)
        found = overdue_bodies(tx, path, _milliseconds(before), MOST)
        return [
            Due(
                retention=retention.name,
                covers=self.covers,
                ref=Ref(Kind.EXPERIMENT, name),
                since=_moment(traces[0][1]),
                due=_moment(traces[0][1]) + (now - before),
                count=len(traces),
                unit="traces",
                size=sum(size for *_, size in traces),
            )
            for name, traces in found.items()
        ]

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`."""
        before = _milliseconds(due.since + (tx.now - due.due))
        traces = overdue_bodies(tx, due.ref.name, before, MOST).get(due.ref.name, [])
        ids = [identity for identity, *_ in traces]
        pieces = body_digests(tx, ids)
        drop_bodies(tx, ids, deletion)
        size = sum(size for *_, size in traces)
        unreached = ["judgements of them, which stay; what was exported; backups", *dead_rows(tx)]
        return Marked(pieces=pieces, count=len(pieces), size=size, unreached=unreached)

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`. They went with the transaction that marked them."""
        return Finished(gone=sorted(set(marked.pieces.values())), size=marked.size)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        return [f"trace:{identity} has a body again" for identity in with_bodies(tx, list(marked.pieces))]


class ArtifactKeeper:
    """See `ports.Keeper`. A run keeps its figures, without files; a model that was registered from it keeps its own."""

    covers = Covers.ARTIFACTS

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`. How old files are is how long ago their run ended; of one under way none is due."""
        before = retention.before(now)
        return [
            Due(
                retention=retention.name,
                covers=self.covers,
                ref=run,
                part=experiment,
                since=_moment(ended // 1000),
                due=_moment(ended // 1000) + (now - before),
                count=count,
                unit="files",
                size=size,
            )
            for run, experiment, ended, count, size in overdue_files(tx, path, _milliseconds(before) * 1000)
        ]

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`."""
        found = files_of(tx, due.ref)
        drop_files(tx, due.ref)
        return Marked(
            objects=sorted({each.digest for each in found}),
            pieces={each.name: each.digest for each in found},
            count=len(found),
            size=sum(each.size for each in found),
            unreached=["files that were downloaded or exported; backups"],
        )

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`."""
        return self._shelf.drop(tx, marked)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        there = [f"{each.name} of {due[0]} is there again" for each in files_of(tx, Ref.parse(due[0]))]
        return [*there, *self._shelf.there(marked, done)]


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
