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
import os
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelwright.core.clock import Clock, utc
from modelwright.core.errors import Unavailable
from modelwright.core.ids import new_id
from modelwright.serving import journal
from modelwright.serving.checks import Array
from modelwright.serving.plane import Answer, Part
from modelwright.serving.records import Arm, Call, Variant

logger = logging.getLogger("modelwright.serving")

_MICROSECONDS = pa.timestamp("us", tz="UTC")
_OWN = {
    "request_id": pa.string(),
    "row": pa.int32(),
    "time": _MICROSECONDS,  # of the event predicted
    "answered_at": _MICROSECONDS,
    "endpoint": pa.string(),
    "model": pa.string(),
    "variant": pa.string(),
    "rescued": pa.bool_(),
    "unit": pa.string(),
}
INPUT, OUTPUT, KEY = "input.", "output.", "key."


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[serving.log]`: how predictions are kept."""

    turn_over_rows: int = 10_000  # a journal is converted once it holds so many requests
    turn_over_every: float = 10.0  # seconds, or sooner than that
    max_bytes: int = 20 * 2**30  # of Parquet: beyond it the oldest days are deleted
    max_journal_bytes: int = 2**30  # not yet converted: beyond it predictions are dropped, and counted


class _Logged(msgspec.Struct, frozen=True, array_like=True):
    """A frame: one part of one answer. Columns are (Arrow type by name, values)."""

    request_id: str
    endpoint: str
    model: str
    variant: str
    rescued: bool
    answered_at: int  # microseconds since 1970
    times: list[int]  # one for all rows, or one for each
    rows: list[int]
    units: list[str] | None
    columns: dict[str, tuple[str, list[Any]]]


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
        now = _micros(self._clock.now())
        frames = [msgspec.msgpack.encode(_frame(answer, part, now)) for part in answer.parts]
        for frame in frames:
            try:
                self._append(frame)
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
            except (OSError, pa.ArrowException, msgspec.MsgspecError):
                logger.exception("a journal could not be converted; it is kept, and tried again")
            self._wanted.wait(self._settings.turn_over_every)
            self._wanted.clear()

    def _convert(self, path: Path) -> None:
        groups: dict[tuple[str, str], list[pa.Table]] = {}
        for table in _tables(path):
            if table.num_rows == 0:
                continue
            day = pc.strftime(table["time"], format="%Y-%m-%d")
            endpoint = table["endpoint"][0].as_py()
            for each in pc.unique(day).to_pylist():
                groups.setdefault((endpoint, each), []).append(table.filter(pc.equal(day, each)))
        for (endpoint, day), tables in groups.items():
            target = self._folder / quote(endpoint, safe="") / day / f"{path.stem}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            pq.write_table(_joined(tables), part, compression="zstd")
            _flush_to_disk(part)
            part.replace(target)
        path.unlink()

    def _make_room(self) -> None:
        """Delete the oldest days while the files hold more than they may."""
        files = [(path.parent.name, path, path.stat().st_size) for path in self._folder.glob("*/*/*.parquet")]
        total = sum(size for *_, size in files)
        for _, path, size in sorted(files):
            if total <= self._settings.max_bytes:
                return
            path.unlink()
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
        return sorted(unquote(path.name) for path in self._folder.iterdir() if path != self._journals)


def read(folder: Path, endpoint: str, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
    """See `PredictionLog.read`; works on the folder alone, from any process."""
    for _ in range(20):
        try:
            tables = _read_once(folder, endpoint, since, until)
        except FileNotFoundError:
            continue  # a journal was converted, or an old day deleted, while it was being read: look again
        table = _between(_joined(tables), since, until)
        return table.sort_by([("time", "ascending"), ("request_id", "ascending"), ("row", "ascending")])
    raise Unavailable(f"The predictions of {endpoint} kept changing while they were read.", mend="Try again.")


def _read_once(folder: Path, endpoint: str, since: datetime | None, until: datetime | None) -> list[pa.Table]:
    journals = _listed(folder / "journal")
    fresh = [table for path in journals for table in _tables(path) if _is_of(table, endpoint)]
    unconverted = {path.stem for path in journals}
    first = utc(since).date().isoformat() if since else ""
    last = utc(until).date().isoformat() if until else "9"
    files = [
        path
        for path in sorted((folder / quote(endpoint, safe="")).glob("*/*.parquet"))
        if path.stem not in unconverted and first <= path.parent.name <= last
    ]
    return [*(pq.read_table(path, partitioning=None) for path in files), *fresh]


def _is_of(table: pa.Table, endpoint: str) -> bool:
    return bool(table.num_rows > 0 and table["endpoint"][0].as_py() == endpoint)


def _between(table: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    if since is not None:
        table = table.filter(pc.greater_equal(table["time"], pa.scalar(utc(since), _MICROSECONDS)))
    if until is not None:
        table = table.filter(pc.less(table["time"], pa.scalar(utc(until), _MICROSECONDS)))
    return table


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    empty = pa.schema(_OWN).empty_table()
    return pa.concat_tables([empty, *tables], promote_options="permissive")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{journal.SUFFIX}"))


# From an answer to a frame, and from frames to tables


def _frame(answer: Answer, part: Part, now: int) -> _Logged:
    columns = {INPUT + name: _packed(values) for name, values in part.inputs.items()}
    columns |= {KEY + name: _packed(values[part.rows]) for name, values in answer.keys.items()}
    columns |= {OUTPUT + name: _packed(values) for name, values in part.outputs.items()}
    return _Logged(
        request_id=answer.call.request_id,
        endpoint=answer.call.endpoint,
        model=str(part.arm.model),
        variant=part.variant,
        rescued=part.rescued,
        answered_at=now,
        times=_times(answer, part, now),
        rows=part.rows.tolist(),
        units=part.units,
        columns=columns,
    )


def _times(answer: Answer, part: Part, now: int) -> list[int]:
    if answer.call.event_time is not None:
        return [_micros(answer.call.event_time)]
    column = answer.times
    return [now] if column is None else [now if np.isnat(t) else int(t.astype(np.int64)) for t in column[part.rows]]


_ARROW = {"b": "bool", "i": "int64", "f": "double", "M": "timestamp[us]"}


def _packed(values: Array) -> tuple[str, list[Any]]:
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize == 4:
        return "float", values.tolist()
    if kind == "M":
        return "timestamp[us]", [None if np.isnat(v) else int(v.astype(np.int64)) for v in values.astype("datetime64[us]")]
    if kind == "O":
        plain = values.tolist()
        types = {type(value) for value in plain} - {type(None)}
        if types <= {int} and types:
            return "int64", plain
        if types <= {int, float} and types:
            return "double", plain
        return "string", [value if value is None else str(value) for value in plain]
    return _ARROW[kind], values.tolist()


def _tables(path: Path) -> list[pa.Table]:
    """The predictions of a journal: one table for each endpoint and set of columns."""
    groups: dict[tuple[Any, ...], _Rows] = {}
    for content in journal.read(path):
        logged = msgspec.msgpack.decode(content, type=_Logged)
        shape = (logged.endpoint, *((name, kind) for name, (kind, _) in logged.columns.items()))
        groups.setdefault(shape, _Rows(logged)).add(logged)
    return [rows.table() for rows in groups.values()]


class _Rows:
    """Rows of one endpoint with the same columns, gathered."""

    def __init__(self, like: _Logged) -> None:
        self._types = _OWN | {name: _arrow(kind) for name, (kind, _) in like.columns.items()}
        self._values: dict[str, list[Any]] = {name: [] for name in self._types}

    def add(self, logged: _Logged) -> None:
        count = len(logged.rows)
        same = {
            "request_id": logged.request_id,
            "answered_at": logged.answered_at,
            "endpoint": logged.endpoint,
            "model": logged.model,
            "variant": logged.variant,
            "rescued": logged.rescued,
        }
        for name, value in same.items():
            self._values[name] += [value] * count
        self._values["row"] += logged.rows
        self._values["time"] += _each(logged.times, count)
        self._values["unit"] += _each(logged.units or [None], count)
        for name, (_, values) in logged.columns.items():
            self._values[name] += values

    def table(self) -> pa.Table:
        """The rows as a table; NaN is null."""
        return pa.table(
            {name: pa.array(values, type=self._types[name], from_pandas=True) for name, values in self._values.items()}
        )


def _arrow(kind: str) -> pa.DataType:
    return _MICROSECONDS if kind == "timestamp[us]" else pa.type_for_alias(kind)


def _each(values: Sequence[Any], count: int) -> list[Any]:
    """One value for every row, where there may be one for all."""
    return [*values] * count if len(values) == 1 else [*values]


def _micros(moment: datetime) -> int:
    return (utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _flush_to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
