"""The write-ahead log of SQLite comes into the database beside the writers; what was committed is there all the time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.core.clock import ManualClock
from modelwright.core.principals import Principal
from modelwright.store import Database, checkpointing
from modelwright.store.tables import catalog_tags
from tests.store.conftest import make_own_tables
from tests.waiting import eventually

ADA = Principal(id="ada", trusted=True)
NAME = "modelwright-checkpoints"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


@pytest.fixture
def database(path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(checkpointing, "FIRST", 3)
    monkeypatch.setattr(checkpointing, "BETWEEN", (1, 3))
    made = Database(f"sqlite:///{path}", clock)
    make_own_tables(made)
    yield made
    made.dispose()


def put(database: Database, *names: str) -> None:
    for name in names:
        with database.transaction(ADA, write=True) as tx:
            tx.execute(catalog_tags.insert().values(ref=name, key="k", value="v" * 5000))


def brought(path: Path) -> bool:
    """Whether rows are in the database's own file by now, and not in the log only."""
    return b"v" * 1000 in path.read_bytes()


def threads() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def test_the_log_comes_into_the_database_while_others_write(database: Database, path: Path) -> None:
    before = threads()
    put(database, "1")
    assert threads() == before, "one that writes now and then has no thread"
    put(database, *map(str, range(2, 12)))
    assert threads() == before + 1
    eventually(lambda: brought(path))
    with database.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(catalog_tags)).scalar_one() == 11
    assert database._connection is not None
    driver = database._connection.connection.driver_connection
    assert driver is not None
    assert driver.execute("PRAGMA wal_autocheckpoint").fetchone() == (checkpointing.MOST,)


def test_a_database_that_is_closed_has_no_thread_and_may_be_used_again(database: Database, path: Path) -> None:
    before = threads()
    put(database, *map(str, range(9)))
    assert threads() == before + 1
    database.dispose()
    assert threads() == before
    put(database, *map(str, range(10, 19)))
    assert threads() == before + 1
    with database.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(catalog_tags)).scalar_one() == 18


def test_a_log_that_cannot_be_moved_is_left_to_the_writers(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that holds a page keeps the log; nothing is lost, and it is tried again."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN")
    assert holder.execute("SELECT count(*) FROM catalog_tags").fetchone() == (0,)
    put(database, *map(str, range(9)))
    assert holder.execute("SELECT count(*) FROM catalog_tags").fetchone() == (0,), "it sees what there was"
    holder.execute("COMMIT")
    holder.close()
    put(database, *map(str, range(10, 19)))
    eventually(lambda: brought(path))


def test_how_soon_the_next_time_is(tmp_path: Path) -> None:
    checkpoints = checkpointing.Checkpoints(str(tmp_path / "w.db"))
    assert checkpoints._next(50, 500) == 100, "ten pages a commit"
    assert checkpoints._next(100, 1500) == 100
    assert checkpoints._next(100, 200) == 500, "the log began anew: two pages a commit"
    assert checkpoints._next(1, 4000) == checkpointing.BETWEEN[0]
    assert checkpoints._next(900, 4100) == checkpointing.BETWEEN[1], "hardly a page"
