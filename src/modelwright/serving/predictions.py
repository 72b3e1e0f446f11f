"""Every prediction, kept: off the path of the request, and exactly once.

On the path there is one append to a journal. A thread turns closed journals into Parquet:

    predictions/journal/<id>.journal              what was answered and is not yet converted
    predictions/<endpoint>/<day>/<id>.parquet     what was; <day> is that of the event, <id> that of its journal

The files of a journal are written under names that follow from its id, and the journal is deleted after them, so that a
conversion which is cut short is simply done again. A reader leaves out the files of journals that still exist and reads
those instead: it sees every prediction once, at any moment.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from modelwright.core.clock import Clock
from modelwright.core.errors import Unavailable
from modelwright.core.held import held, is_held
from modelwright.core.ids import new_id
from modelwright.serving import journal
from modelwright.serving.frames import frame, micros
from modelwright.serving.plane import Answer
from modelwright.serving.records import Arm, Call, Variant

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger("modelwright.serving")


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[serving.log]`: how predictions are kept."""

    turn_over_rows: int = 10_000  # a journal is converted once it holds so many requests
    turn_over_every: float = 10.0  # seconds, or sooner than that
    max_bytes: int = 20 * 2**30  # of Parquet: beyond it the oldest days are deleted
    max_journal_bytes: int = 2**30  # not yet converted: beyond it predictions are dropped, and counted


class PredictionLog:
    """The log of one process. An `Observer` of the plane; `start` begins converting, `stop` converts all that is left."""

    def __init__(self, folder: Path, clock: Clock, settings: LogSettings = LogSettings()) -> None:
        self._folder = folder
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        self._journals = folder / "journal"
        self._journals.mkdir(parents=True, exist_ok=True)
        self._backlog = sum(path.stat().st_size for path in _listed(self._journals))
        self._current: journal.Journal | None = None
        self._wanted = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.dropped = 0  # predictions that were answered and could not be logged

    # On the path of the request

    def answered(self, answer: Answer) -> None:
        """Append the answer to the journal. If that is impossible the answer is still given, and the loss counted."""
        now = micros(self._clock.now())
        contents = [msgspec.msgpack.encode(frame(answer, part, now)) for part in answer.parts]
        for content in contents:
            try:
                self._append(content)
            except OSError as error:
                self.dropped += 1
                logger.error("a prediction was not logged: %s", error)

    def failed(self, call: Call, arm: Arm, variant: Variant, seconds: float) -> None:
        """A failure has no prediction."""

    def _append(self, frame: bytes) -> None:
        with self._lock:
            size = self._current.size if self._current else 0
            if self._backlog + size > self._settings.max_journal_bytes:
                raise OSError("the journals hold as much as they may")
            if self._current is None:
                self._current = journal.Journal(self._journals / f"{new_id(self._clock.now())}{journal.SUFFIX}")
            self._current.append(frame)
            if self._current.frames >= self._settings.turn_over_rows:
                self._wanted.set()

    # Off the path

    def start(self) -> None:
        """Convert what an earlier process left, and from now on whatever comes, in a thread."""
        self._thread = threading.Thread(target=self._run, name="modelwright-predictions", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Convert all that is left and end."""
        self._stopping = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self.flush()

    def flush(self) -> int:
        """Close the journal that is being written and convert every closed one; how many there were."""
        with self._lock:
            if self._current is not None:
                self._current.close()
                self._backlog += self._current.size
                self._current = None
            waiting = _listed(self._journals)
        for path in waiting:
            size = path.stat().st_size
            self._convert(path)
            with self._lock:
                self._backlog -= size
        self._make_room()
        return len(waiting)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.flush()
            except (OSError, Unavailable, msgspec.MsgspecError):
                logger.exception("a journal could not be converted; it is kept, and tried again")
            self._wanted.wait(self._settings.turn_over_every)
            self._wanted.clear()

    def _convert(self, path: Path) -> None:
        from modelwright.serving import archive  # with Arrow

        archive.convert(path, self._folder)

    def _make_room(self) -> None:
        """Delete the oldest days while the files hold more than they may; those under a legal hold stay."""
        kept = held(self._folder)
        files = [(path.parent.name, path, path.stat().st_size) for path in self._folder.glob("*/*/*.parquet")]
        total = sum(size for *_, size in files)
        for _, path, size in sorted(files):
            if total <= self._settings.max_bytes:
                return
            if not is_held(unquote(path.parent.parent.name), kept):
                path.unlink(missing_ok=True)
                total -= size

    # Reading

    def read(self, endpoint: str, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        """The predictions of an endpoint whose event time lies in [since, until), in order of time.

        Columns: request_id, row, time, answered_at, endpoint, model, variant, rescued, unit, and one for each
        `input.<column>`, `key.<column>` and `output.<column>`, null where a version has no such column. Includes what was
        answered a moment ago.
        """
        return read(self._folder, endpoint, since, until)

    def endpoints(self) -> list[str]:
        """Every endpoint that has predictions in files."""
        return sorted(unquote(path.name) for path in self._folder.iterdir() if path.is_dir() and path != self._journals)


def read(folder: Path, endpoint: str, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
    """See `PredictionLog.read`; works on the folder alone, from any process."""
    from modelwright.serving import archive

    return archive.read(folder, endpoint, since, until)


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{journal.SUFFIX}"))
