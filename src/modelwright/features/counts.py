"""How many rows are read online of each view version: counted all of them, where the log keeps a share.

A line holds what one process counted for a minute or so; it says which view and how many, and nothing of whom.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from modelwright.core.refs import Ref
from modelwright.core.wire import decoder, encode

EVERY = 60.0  # seconds after which what was counted is written; so much may be lost with the process
KNOWN = 7  # days that a mean is taken over


class _Count(msgspec.Struct, frozen=True, kw_only=True):
    view: Ref
    rows: int


class Tally:
    """What one reader reads: some views at once."""

    def __init__(self, views: Sequence[Ref]) -> None:
        self.views = views


class ReadCounts:
    """One file of JSON lines a day in UTC, kept for `days`; several processes may write into it."""

    def __init__(self, folder: Path, days: int, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._days = max(days, KNOWN)
        self._now = now
        self._lock = threading.Lock()
        self._held: dict[Tally, int] = {}
        self._due = time.monotonic() + EVERY

    def add(self, tally: Tally, rows: int) -> None:
        """Count rows of each of its views; on the hot path."""
        with self._lock:
            self._held[tally] = self._held.get(tally, 0) + rows
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what was counted."""
        with self._lock:
            held, self._held, self._due = self._held, {}, time.monotonic() + EVERY
        if not held:
            return
        total = Counter[Ref]()
        for tally, rows in held.items():
            total.update(dict.fromkeys(tally.views, rows))
        today = self._now().date()
        path = self._folder / f"{today.isoformat()}.jsonl"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            oldest = (today - timedelta(days=self._days)).isoformat()
            for each in self._folder.glob("*.jsonl"):
                if each.stem < oldest:
                    each.unlink(missing_ok=True)
        with path.open("ab") as file:  # one write: lines of several processes do not mix
            file.write(b"".join(encode(_Count(view=view, rows=rows)) + b"\n" for view, rows in total.items()))

    def per_day(self) -> dict[Ref, float]:
        """The mean over the last seven days, or since a view was first read, today counted as a whole day."""
        self.flush()
        today, total, first = self._now().date(), Counter[Ref](), dict[Ref, date]()
        for day in (today - timedelta(days=back) for back in reversed(range(KNOWN))):
            for view, rows in self._of(day).items():
                total[view] += rows
                first.setdefault(view, day)
        return {view: rows / ((today - first[view]).days + 1) for view, rows in total.items()}

    def _of(self, day: date) -> Counter[Ref]:
        found: Counter[Ref] = Counter()
        path = self._folder / f"{day.isoformat()}.jsonl"
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                read = _decode(line)
            except msgspec.MsgspecError:  # the last line of a process that was killed
                continue
            found[read.view] += read.rows
        return found


_decode = decoder(_Count).decode
