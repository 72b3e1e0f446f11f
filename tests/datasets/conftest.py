"""A room of datasets on a fresh SQLite database, with objects in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.errors import NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.principals import operating_system_user
from modelwright.datasets import Datasets
from modelwright.store import Database, Embedded


class FolderBlobs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def put(self, data: bytes | Path | Iterable[bytes]) -> str:
        content = data.read_bytes() if isinstance(data, Path) else data if isinstance(data, bytes) else b"".join(data)
        digest = digest_bytes(content)
        (self.folder / digest).write_bytes(content)
        return digest

    def read(self, digest: str) -> bytes:
        if not self.exists(digest):
            raise NotFound(f"There is no object {digest}.")
        return (self.folder / digest).read_bytes()

    def stream(self, digest: str) -> Iterator[bytes]:
        yield self.read(digest)

    def fetch(self, digest: str, path: Path) -> Path:
        shutil.copy(self.folder / digest, path)
        return path

    def exists(self, digest: str) -> bool:
        return (self.folder / digest).exists()

    def size(self, digest: str) -> int:
        return (self.folder / digest).stat().st_size


class AllowAll:
    def decide(self, tx, principal, verb, resource):
        return SimpleNamespace(allow=True, visible=True, rules=[])

    def readable(self, tx, principal, kind):
        return None

    def denied(self, principal, verb, resource, rules):
        raise AssertionError("nothing is denied here")


@pytest.fixture
def clock():
    return ManualClock(datetime(2013, 7, 1, tzinfo=UTC))


@pytest.fixture
def caller(tmp_path, clock):
    database = Database(f"sqlite:///{tmp_path}/workspace.db", clock)
    database.create_all()
    yield Embedded(database, FolderBlobs(tmp_path / "objects"), AllowAll(), operating_system_user())
    database.dispose()


@pytest.fixture
def datasets(caller):
    return Datasets(caller)
