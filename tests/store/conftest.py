"""What the tests of the record stand on: real databases, a real S3 server, an authorizer that allows everything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.core.clock import ManualClock, SystemClock
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.store import Database, Embedded, LedgerSettings, Record, Transaction
from modelwright.store.objects import Objects
from modelwright.store.tables import metadata
from tests.databases import new_database

OWN_TABLES = set(metadata.tables)  # as long as no other room was imported


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Empty objects, in a folder and in S3."""
    if request.param == "folder":
        return Objects.open(f"file://{tmp_path}/objects")
    return Objects.open(f"s3://objects/{tmp_path.name}", request.getfixturevalue("s3_server"))


class AllowAll:
    """An authorizer for tests of what lies below rights."""

    allow, visible, rules = True, True, ("test",)

    def decide(self, tx: Transaction, principal: Principal, verb: str, resource: Resource) -> AllowAll:
        return self

    def readable(self, tx: Transaction, principal: Principal, kind: str) -> None:
        return None

    def denied(self, principal: Principal, verb: str, resource: Resource, rules: Sequence[str]) -> None:
        raise AssertionError("nothing is denied here")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def make_own_tables(made: Database) -> None:
    metadata.create_all(made.engine, tables=[table for table in metadata.sorted_tables if table.name in OWN_TABLES])


@pytest.fixture(scope="session")
def record_postgres(postgres_server: str) -> Iterator[str]:
    """The name of a PostgreSQL database with the record's tables, to be copied."""
    with new_database(postgres_server) as url:
        made = Database(url, SystemClock())
        make_own_tables(made)
        made.dispose()
        yield str(sa.make_url(url).database)


@pytest.fixture(scope="session")
def record_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the record's tables, to be copied."""
    path = tmp_path_factory.mktemp("record") / "record.db"
    made = Database(f"sqlite:///{path}", SystemClock())
    make_own_tables(made)
    made.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    """An empty record on either database."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            databases, like = (request.getfixturevalue(name) for name in ("databases", "record_postgres"))
            made = Database(stack.enter_context(databases.like(like)), clock)
        else:
            path = shutil.copyfile(request.getfixturevalue("record_sqlite"), tmp_path / "record.db")
            made = Database(f"sqlite:///{path}", clock)
        yield made
        made.dispose()


@pytest.fixture
def record(database: Database, tmp_path: Path) -> Record:
    """The service on it, with keys and an outside place."""
    caller = Embedded(database, Objects.open(tmp_path / "objects"), AllowAll(), Principal(id="ada", trusted=True))
    return Record(caller, ledger=LedgerSettings(keys=str(tmp_path / "keys"), outside=str(tmp_path / "outside")))


@pytest.fixture
def write(database: Database) -> Callable[[], AbstractContextManager[Transaction]]:
    """Opens writing transactions."""
    return lambda: database.transaction(Principal(id="ada", trusted=True), write=True)
