"""The Parquet of the predictions, and reading it: the part of their log that needs Arrow, imported when it is used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelwright.core.clock import utc
from modelwright.core.errors import Unavailable
from modelwright.serving import journal
from modelwright.serving.frames import Logged

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


def convert(path: Path, folder: Path) -> None:
    """Turn one closed journal into files, and delete it after them; `Unavailable` if Arrow cannot."""
    try:
        _convert(path, folder)
    except pa.ArrowException as error:
        raise Unavailable(
            f"The journal {path} could not be converted: {error}.", mend="It is kept, and tried again."
        ) from error


def _convert(path: Path, folder: Path) -> None:
    groups: dict[tuple[str, str], list[pa.Table]] = {}
    for table in _tables(path):
        if table.num_rows == 0:
            continue
        day = pc.strftime(table["time"], format="%Y-%m-%d")
        endpoint = table["endpoint"][0].as_py()
        for each in pc.unique(day).to_pylist():
            groups.setdefault((endpoint, each), []).append(table.filter(pc.equal(day, each)))
    for (endpoint, day), tables in groups.items():
        target = folder / quote(endpoint, safe="") / day / f"{path.stem}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        pq.write_table(_joined(tables), part, compression="zstd")
        _flush_to_disk(part)
        part.replace(target)
    path.unlink()


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
    journals = listed(folder / "journal")
    fresh = [table for path in journals for table in _tables(path) if _is_of(table, endpoint)]
    unconverted = {path.stem for path in journals}
    first = utc(since).date().isoformat() if since else ""
    last = utc(until).date().isoformat() if until else "9"
    files = [
        path
        for path in sorted((folder / quote(endpoint, safe="")).glob("*/*.parquet"))
        if path.stem not in unconverted and first <= path.parent.name <= last
    ]
    return [*(_stored(path) for path in files), *fresh]


def _stored(path: Path) -> pa.Table:
    """One file; there may be hundreds of small ones, and opening each as a dataset costs more than reading it."""
    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False)


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


def listed(folder: Path) -> list[Path]:
    """The journals in a folder, oldest first."""
    return sorted(folder.glob(f"*{journal.SUFFIX}"))


def _tables(path: Path) -> list[pa.Table]:
    """The predictions of a journal: one table for each endpoint and set of columns."""
    groups: dict[tuple[Any, ...], _Rows] = {}
    for content in journal.read(path):
        logged = msgspec.msgpack.decode(content, type=Logged)
        shape = (logged.endpoint, *((name, kind) for name, (kind, _) in logged.columns.items()))
        groups.setdefault(shape, _Rows(logged)).add(logged)
    return [rows.table() for rows in groups.values()]


class _Rows:
    """Rows of one endpoint with the same columns, gathered."""

    def __init__(self, like: Logged) -> None:
        self._types = _OWN | {name: _arrow(kind) for name, (kind, _) in like.columns.items()}
        self._values: dict[str, list[Any]] = {name: [] for name in self._types}

    def add(self, logged: Logged) -> None:
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


def _flush_to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
