"""The files of the prediction log by endpoint and day: for whoever decides how long they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from modelwright.core.hashing import digest_file


class LoggedDay(NamedTuple):
    """What was predicted by an endpoint of the events of one day in UTC."""

    endpoint: str
    day: str  # 2026-03-01
    files: Sequence[Path]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def rows(self) -> int:
        """How many predictions."""
        import pyarrow.parquet as pq

        return sum(pq.read_metadata(path).num_rows for path in self.files)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each file, by its path below the folder of the log."""
        return {"/".join(path.parts[-3:]): digest_file(path) for path in self.files}


def logged_days(folder: Path, before: str) -> Iterator[LoggedDay]:
    """Every endpoint and day before a day, the oldest first."""
    for place in sorted(folder.glob("*/*"), key=lambda path: (path.name, path.parent.name)):
        if place.is_dir() and place.name < before:
            yield LoggedDay(unquote(place.parent.name), place.name, sorted(place.glob("*.parquet")))


def logged_day(folder: Path, endpoint: str, day: str) -> LoggedDay:
    """One of them; without files where there is nothing (any more)."""
    return LoggedDay(endpoint, day, sorted((folder / quote(endpoint, safe="") / day).glob("*.parquet")))


def drop_logged(folder: Path, names: Sequence[str]) -> int:
    """Delete files by their paths below the folder; those that are gone already are passed over. Returns the bytes."""
    size = 0
    for name in names:
        path = folder / name
        if path.exists():
            size += path.stat().st_size
            path.unlink(missing_ok=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return size
