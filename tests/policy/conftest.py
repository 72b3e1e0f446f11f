"""A database in a folder, a clock that obeys, and callers for as many people as a test needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelwright.core.clock import ManualClock
from modelwright.store import Database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'workspace.db'}", clock)
    made.create_all()
    yield made
    made.dispose()
