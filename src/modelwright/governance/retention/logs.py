"""The two logs that lie in files by day: predictions, and online reads. A day goes when all of it is older than allowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelwright.core.errors import BadRef
from modelwright.core.hashing import digest_bytes
from modelwright.core.refs import Kind, Ref
from modelwright.features import ReadLog
from modelwright.governance.retention.records import Covers, Due, Finished, Marked, RetentionClass
from modelwright.serving import drop_logged, logged_day, logged_days
from modelwright.store import Transaction
from modelwright.store.scopes import lies_under

READ_BY = "what monitors, evaluations and datasets have taken from it; backups"


class PredictionKeeper:
    """See `ports.Keeper`. A day is that of the events predicted, in UTC."""

    covers = Covers.PREDICTIONS

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`."""
        before = retention.before(now)
        return [
            Due(
                retention=retention.name,
                covers=self.covers,
                ref=_deployment(each.endpoint),
                part=each.day,
                since=_start(each.day),
                due=_start(each.day) + timedelta(days=1) + (now - before),
                count=each.rows,
                unit="predictions",
                size=each.size,
            )
            for each in logged_days(self._folder, before.date().isoformat())
            if each.files and lies_under(each.endpoint.partition("@")[0], path)
        ]

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`. The files are read as long as they lie there: nothing points at them."""
        found = logged_day(self._folder, _endpoint(due.ref), due.part)
        return Marked(pieces=found.digests, count=found.rows, size=found.size, unreached=[READ_BY])

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`."""
        size = drop_logged(self._folder, list(marked.pieces))
        return Finished(gone=sorted(set(marked.pieces.values())), size=size)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`. What came later of the same day is another file, and due again by itself."""
        return [f"{name} is there again" for name in marked.pieces if (self._folder / name).exists()]


class ReadKeeper:
    """See `ports.Keeper`. The log of online reads, of which each view's share of a day goes by itself."""

    covers = Covers.READS

    def __init__(self, log: ReadLog) -> None:
        self._log = log

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`."""
        before = retention.before(now)
        return [
            Due(
                retention=retention.name,
                covers=self.covers,
                ref=each.view,
                part=each.day,
                since=_start(each.day),
                due=_start(each.day) + timedelta(days=1) + (now - before),
                count=len(each.lines),
                unit="reads",
                size=sum(map(len, each.lines)),
            )
            for each in self._log.days(before.date().isoformat())
            if lies_under(each.view.name, path)
        ]

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`."""
        lines = self._of(due.ref, due.part)
        digest = digest_bytes(b"\n".join(lines))
        size = sum(map(len, lines))
        return Marked(pieces={f"{due.part}.jsonl": digest}, count=len(lines), size=size, unreached=["backups"])

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`."""
        size = self._log.forget(Ref.parse(due[0]), due[1])
        return Finished(gone=sorted(set(marked.pieces.values())), size=size)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        lines = self._of(Ref.parse(due[0]), due[1])
        return [f"{len(lines)} reads of {due[0]} on {due[1]} are there again"] if lines else []

    def _of(self, view: Ref, day: str) -> Sequence[bytes]:
        after = (_start(day) + timedelta(days=1)).date().isoformat()
        return next((each.lines for each in self._log.days(after) if (each.view, each.day) == (view, day)), [])


def _start(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def _deployment(endpoint: str) -> Ref:
    try:
        return Ref.parse(f"deployment:{endpoint}")
    except BadRef:  # an endpoint that was not named by a deployment
        return Ref(Kind.DEPLOYMENT, "unnamed")


def _endpoint(ref: Ref) -> str:
    return str(ref).partition(":")[2]
