"""A sample of what was read online, kept for some days to be held against what a training set says of the same moments."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelwright.core.held import held, is_held
from modelwright.core.refs import Ref
from modelwright.core.wire import decoder, encode
from modelwright.features.durations import from_epoch
from modelwright.features.records import LoggedRead, OnlineState

BUFFER = 64 * 1024  # bytes that may be lost with the process
MOST = 64 * 2**20  # bytes of a day; what is read after that is not logged


class _Line(msgspec.Struct):
    """Of a logged read, whose it is."""

    view: Ref


class ReadDay(NamedTuple):
    """The logged reads of one view version on one day in UTC."""

    view: Ref
    day: str  # 2026-03-01
    lines: Sequence[bytes]


class ReadLog:
    """One file of JSON lines a day. `share` of the reads are in it; files go after `days`."""

    def __init__(self, folder: Path, share: float, days: int, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._share = share
        self._days = days
        self._now = now
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._held = 0
        self._chance = random.Random()  # noqa: S311 - a sample, no secret

    def noticed(
        self,
        view: Ref,
        state: OnlineState,
        keys: Sequence[Any],
        ticks: Sequence[int],
        rows: Sequence[Sequence[Any]],
    ) -> None:
        """Log each row of a read by chance; called on the hot path."""
        chance, share = self._chance.random, self._share
        for key, at, row in zip(keys, ticks, rows, strict=True):
            if chance() < share:
                read = LoggedRead(view=view, key=dict(key), at=from_epoch(at), values=list(row), fresh=state.fresh)
                self._add(encode(read))

    def _add(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            self._held += len(line)
            if self._held >= BUFFER:
                self._write()

    def flush(self) -> None:
        """Write what is held."""
        with self._lock:
            self._write()

    def read(self, view: Ref, after: datetime | None, limit: int) -> list[LoggedRead]:
        """The oldest logged reads of a view after a moment, in order of time."""
        self.flush()
        found = [each for each in self._all() if each.view == view and (after is None or each.at > after)]
        return sorted(found, key=lambda each: each.at)[:limit]

    def days(self, before: str) -> list[ReadDay]:
        """What is logged of days before a day, by view version and day, the oldest first."""
        found: dict[tuple[str, Ref], list[bytes]] = {}
        for path in self._files():
            for line in path.read_bytes().splitlines() if path.stem < before else ():
                if (view := _view_of(line)) is not None:
                    found.setdefault((path.stem, view), []).append(line)
        return [ReadDay(view, day, lines) for (day, view), lines in sorted(found.items())]

    def forget(self, view: Ref, day: str) -> int:
        """Take the reads of a view out of a day that is over; returns the bytes. What nobody can read goes with them."""
        path = self._folder / f"{day}.jsonl"
        with self._lock:
            if not path.exists():
                return 0
            lines = path.read_bytes().splitlines()
            kept = [line for line in lines if _view_of(line) not in (view, None)]
            _rewrite(path, kept)
        return sum(len(line) + 1 for line in lines) - sum(len(line) + 1 for line in kept)

    def _all(self) -> Iterator[LoggedRead]:
        decode = decoder(LoggedRead).decode
        for path in self._files():
            for line in path.read_bytes().splitlines():
                try:
                    yield decode(line)
                except msgspec.MsgspecError:  # the last line of a process that was killed
                    continue

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _write(self) -> None:
        if not self._lines:
            return
        today = self._now().date()
        path = self._folder / f"{today.isoformat()}.jsonl"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._clear(today)
        if not path.exists() or path.stat().st_size < MOST:
            with path.open("ab") as file:
                file.write(b"\n".join(self._lines) + b"\n")
        self._lines, self._held = [], 0

    def _clear(self, today: date) -> None:
        oldest = (today - timedelta(days=self._days)).isoformat()
        kept = held(self._folder)  # under a legal hold
        for path in self._files():
            if path.stem >= oldest:
                continue
            lines = path.read_bytes().splitlines() if kept else []
            _rewrite(path, [line for line in lines if (view := _view_of(line)) is not None and is_held(view.name, kept)])


def _rewrite(path: Path, lines: Sequence[bytes]) -> None:
    """The file with these lines alone; without any, no file."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    partial = path.with_suffix(".part")
    partial.write_bytes(b"\n".join(lines) + b"\n")
    partial.replace(path)


_read_line = decoder(_Line).decode


def _view_of(line: bytes) -> Ref | None:
    """Whose read a line is; None for one that was cut off by the end of its process."""
    try:
        found: _Line = _read_line(line)
    except msgspec.MsgspecError:
        return None
    return found.view
