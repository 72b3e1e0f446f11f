"""A sample of what was read online, kept for some days to be held against what a training set says of the same moments.

Reads of views whose keys or features are about people are sealed (AES-256-GCM) under a key that lies with those of
pseudonyms, apart from the log: who throws it away, or has the log alone, has no keys of people.
"""

from __future__ import annotations

import math
import random
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelwright.core.held import held, is_held
from modelwright.core.refs import Ref
from modelwright.core.sealing import seal, unseal
from modelwright.core.wire import decoder, encode
from modelwright.features.counts import ReadCounts, Tally
from modelwright.features.durations import from_epoch
from modelwright.features.records import LoggedRead, OnlineState

# the state of each view, the time at which it was read, the keys, and by place of a key the features of all views
Noticed = Callable[[Sequence[OnlineState], Sequence[int], Sequence[Any], Callable[[int], Sequence[Any]]], None]
BUFFER = 64 * 1024  # bytes that may be lost with the process
MOST = 64 * 2**20  # bytes of a day; what is read after that is not logged


class _Line(msgspec.Struct, kw_only=True):
    """Of a logged read, whose it is; and all of it, sealed, where it is about people."""

    view: Ref
    sealed: str = ""


class ReadDay(NamedTuple):
    """The logged reads of one view version on one day in UTC."""

    view: Ref
    day: str  # 2026-03-01
    lines: Sequence[bytes]


class ReadLog:
    """One file of JSON lines a day. `share` of the reads are in it; files go after `days`."""

    def __init__(
        self, folder: Path, share: float, days: int, now: Callable[[], datetime], secrets: Callable[[], Sequence[bytes]]
    ) -> None:
        """`secrets` are the keys that reads about people are sealed with, the present one first."""
        self._secrets = secrets
        self._folder = folder
        self._share = share
        self._days = days
        self._now = now
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._held = 0
        self._chance = random.Random()  # noqa: S311 - a sample, no secret
        self._gap = self._drawn()  # rows until the next that is logged: drawn once for many rows
        self._counts = ReadCounts(folder / "counts", days, now)

    def noticing(self, views: Sequence[tuple[Ref, int]], personal: Collection[Ref]) -> Noticed:
        """What logs the rows of a read by chance, on the hot path; of views about people (by their name) sealed.

        Each view is given with how many features it has.
        """
        sealed = {each.name for each in personal}
        tally, many = Tally([view for view, _ in views]), len(views)
        ends = [*accumulate(width for _, width in views)]

        def noticed(
            states: Sequence[OnlineState],
            times: Sequence[int],
            keys: Sequence[Any],
            row_at: Callable[[int], Sequence[Any]],
        ) -> None:
            place, number = self._gap, len(keys) * many
            self._counts.add(tally, len(keys))
            while place < number:
                row, one = divmod(place, many)
                view, width = views[one]
                values = list(row_at(row)[ends[one] - width : ends[one]])
                at, fresh = from_epoch(times[one]), states[one].fresh
                read = LoggedRead(view=view, key=dict(keys[row]), at=at, values=values, fresh=fresh)
                self._add(self._sealed(read) if view.name in sealed else encode(read))
                place += 1 + self._drawn()
            self._gap = place - number  # two threads may draw the same: it is a sample

        return noticed

    def _sealed(self, read: LoggedRead) -> bytes:
        content = b64encode(seal(encode(read), self._secrets()[0], str(read.view))).decode()
        return encode(_Line(view=read.view, sealed=content))

    def _opened(self, line: bytes) -> LoggedRead | None:
        """A read as it was logged; None where the line was cut off or its key is thrown away."""
        found = _line(line)
        if found is None or not found.sealed:
            return None if found is None else _read(line)
        secrets, content = self._secrets(), b64decode(found.sealed)
        opened = next((each for key in secrets if (each := unseal(content, key, str(found.view))) is not None), None)
        return None if opened is None else _read(opened)

    def _drawn(self) -> int:
        """How many rows are passed over before the next is logged, if each is by the same chance: a geometric draw."""
        if self._share >= 1:
            return 0
        if self._share <= 0:
            return sys.maxsize
        return int(math.log(1.0 - self._chance.random()) / math.log1p(-self._share))

    def _add(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            self._held += len(line)
            if self._held >= BUFFER:
                self._write()

    def flush(self) -> None:
        """Write what is held."""
        self._counts.flush()
        with self._lock:
            self._write()

    def per_day(self) -> dict[Ref, float]:
        """How many rows of each view version are read a day, over the days that are known."""
        return self._counts.per_day()

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
        for path in self._files():
            opened = map(self._opened, path.read_bytes().splitlines())
            yield from (each for each in opened if each is not None)

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


_decode_line, _decode_read = decoder(_Line).decode, decoder(LoggedRead).decode


def _line(line: bytes) -> _Line | None:
    """What every line says; None for the last one of a process that was killed."""
    try:
        found: _Line = _decode_line(line)
    except msgspec.MsgspecError:
        return None
    return found


def _read(content: bytes) -> LoggedRead | None:
    try:
        found: LoggedRead = _decode_read(content)
    except msgspec.MsgspecError:
        return None
    return found


def _view_of(line: bytes) -> Ref | None:
    found = _line(line)
    return None if found is None else found.view
