"""Sending what one writer has written down, from where the last delivery ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Corrupt, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.entries import Ended, Entry, Kept, Refusal, Started
from modelwright.experiments.records import Artifact, RunStatus
from modelwright.tracking import spool
from modelwright.tracking.journal import ENDING, Opening, Spooled, append_to_dead, read, read_opening

if TYPE_CHECKING:
    from modelwright.core.blobs import Blobs
    from modelwright.experiments import Experiments

MOST = 5_000  # entries in one delivery
BYTES = 1 << 20  # of the log, in one delivery


class Outbox:
    """The entries of one writer that the workspace has not been told of. One at a time sends for a writer."""

    def __init__(self, path: Path, *, opening: Opening | None = None, age: Callable[[], float] | None = None) -> None:
        """`age` says how long ago the writer began; without it, this machine's clock does.

        A writer of this process gives its `opening`: it may not have been written yet, for want of room.
        """
        self.path = path
        self.opening = opening or read_opening(path)
        self.ref = Ref(Kind.RUN, self.opening.run)
        self.refused: list[Refusal] = []
        self.delivered = 0  # entries, by this object
        self._age = age or self._age_by_clock
        self._mark = path.with_suffix(".sent")
        self._offset = self._read_mark()

    @property
    def waiting(self) -> int:
        """How many bytes have not been delivered, with those of processes that were forked off."""
        try:
            own = max(0, self.path.stat().st_size - self._offset)
        except FileNotFoundError:
            own = 0
        return own + sum(child.waiting for child in self._children())

    def send(self, experiments: Experiments, told: Callable[[int], None] = lambda done: None) -> None:
        """Deliver all that there is, in portions; `told` is given the bytes of each. Raises what keeps it from arriving.

        What processes have written that were forked off from the writer goes along, before the end of the run does.
        """
        children = list(self._children())
        if children:
            self._send(experiments, told, end=False)
        for child in children:
            child.send(experiments, told)
            self.refused += child.refused
            self.delivered += child.delivered
        self._send(experiments, told, end=True)

    def _send(self, experiments: Experiments, told: Callable[[int], None], *, end: bool) -> None:
        try:
            size = self.path.stat().st_size  # what is added meanwhile is for the next time
        except FileNotFoundError:
            return  # there was no room to begin it
        while (before := self._offset) < size and self._send_some(experiments, end=end):
            told(self._offset - before)

    def _send_some(self, experiments: Experiments, *, end: bool) -> bool:
        entries: list[Entry] = []
        files: list[Path] = []
        lost: list[Refusal] = []
        until, last = self._offset, 0
        for found in read(self.path, self._offset, most=BYTES):
            if len(entries) >= MOST or (isinstance(found.line, Ended) and not end):
                break
            until, line = found.end, found.line
            if isinstance(line, Spooled):
                path = spool.file(self.path.parent, line.file)
                if path.is_file():
                    entries.append(_kept(line, path, experiments.blobs))
                    files.append(path)
                else:
                    lost.append(Refusal(seq=line.seq, code="lost", message=f"The file {line.name} is gone from {path}."))
            elif line is None:
                lost.append(Refusal(seq=last + 1, code="corrupt", message=f"A line of {self.path} is damaged."))
            elif line.seq:
                if isinstance(line, Started):
                    self._put_captured(line, experiments.blobs)
                entries.append(line)
            last = entries[-1].seq if entries else last
        if until == self._offset:
            return False
        if entries:
            told = experiments.deliver(
                self.opening.experiment or experiments.show(self.ref).experiment,
                self.ref,
                writer=self.opening.writer,
                entries=entries,
                age=timedelta(seconds=max(0.0, self._age())),
            )
            lost += told.refused
        self.delivered += len(entries)
        self.refused += lost
        self._offset = until
        self._mark.write_text(f"{until}\n")
        for path in files:
            path.unlink(missing_ok=True)
        return True

    def end_as_killed(self) -> None:
        """The writer is gone without a word: say so in its place, unless it had ended. The caller holds its lock."""
        last, elapsed, offset = 0, 0.0, 0
        while True:
            at = offset
            for found in read(self.path, offset):
                offset = found.end
                if isinstance(found.line, Ended):
                    return
                if found.line is not None and found.line.seq:
                    last, elapsed = found.line.seq, found.line.elapsed
            if offset == at:
                break
        if self.opening.owner and last:
            why = f"The process {self.opening.pid} on {self.opening.host} ended without a word."
            append_to_dead(self.path, Ended(seq=last + 1, elapsed=elapsed, status=RunStatus.KILLED, error=why))

    def discard(self) -> None:
        """Remove the log, with those of its children; and the run's folder, if nothing else is in it."""
        for path in self._family():
            path.unlink(missing_ok=True)
            path.with_suffix(".sent").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)
        spool.remove(self.path.parent)

    def _children(self) -> Iterator[Outbox]:
        """Those of processes that were forked off; one that was stopped before its first line was whole said nothing."""
        for path in self._family():
            try:
                yield Outbox(path, age=self._age)
            except (Corrupt, FileNotFoundError):
                continue

    def _family(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.opening.writer}.*{ENDING}")) if self.opening.owner else []

    def _put_captured(self, entry: Started, blobs: Blobs) -> None:
        kept = spool.Waiting(self.path.parent)
        for digest in (entry.capture.diff, entry.capture.packages):
            if digest is None:
                continue
            try:
                blobs.put(kept.path(digest))
            except NotFound as error:
                self.refused.append(Refusal(seq=entry.seq, code="lost", message=error.message))

    def _read_mark(self) -> int:
        try:
            return int(self._mark.read_text())
        except (FileNotFoundError, ValueError):
            return 0  # everything is sent again, which does no harm

    def _age_by_clock(self) -> float:
        return (SystemClock().now() - self.opening.began).total_seconds()


def _kept(line: Spooled, path: Path, blobs: Blobs) -> Kept:
    digest = blobs.put(path)
    artifact = Artifact(name=line.name, digest=digest, size=path.stat().st_size, media_type=line.media_type)
    return Kept(seq=line.seq, elapsed=line.elapsed, artifacts=[artifact])
