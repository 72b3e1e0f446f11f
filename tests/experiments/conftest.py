"""Through every door, `experiments`; by itself, embedded on SQLite and beside its database, `alone`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.principals import operating_system_user
from modelwright.experiments import Experiments
from modelwright.store import Database, Embedded
from modelwright.store.objects import Objects
from modelwright.workspace import Workspace


class Yes(NamedTuple):
    allow: bool = True
    visible: bool = True
    rules: Sequence[str] = ("test",)


class Scopes:
    """Allows everything; shows only what lies under the given paths (None: everything)."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None

    def decide(self, *_: Any) -> Yes:
        return Yes()

    def readable(self, *_: Any) -> list[str] | None:
        return self.paths

    def denied(self, *_: Any) -> None:
        raise AssertionError("nothing is denied here")


@pytest.fixture
def scopes() -> Scopes:
    return Scopes()


@pytest.fixture
def caller(tmp_path: Path, migrated_sqlite: Path, scopes: Scopes) -> Iterator[Embedded]:
    clock = ManualClock(datetime(2013, 7, 1, tzinfo=UTC))
    file = shutil.copyfile(migrated_sqlite, tmp_path / "workspace.db")
    database = Database(f"sqlite:///{file}", clock)
    yield Embedded(database, Objects.open(tmp_path / "objects"), scopes, operating_system_user())
    database.dispose()


@pytest.fixture
def alone(caller: Embedded) -> Experiments:
    return Experiments(caller)


@pytest.fixture
def experiments(workspace: Workspace) -> Experiments:
    return workspace.experiments
