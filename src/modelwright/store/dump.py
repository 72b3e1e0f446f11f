"""Copies of the whole database while it is in use, each verified before it counts as one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Corrupt, Unavailable
from modelwright.store.database import Database


def save(database: Database, path: Path, *, pg_dump: str | None = None, snapshot: str | None = None) -> Path:
    """Copy the database as it stands to `path` with a suffix (`.db` or `.pgdump`); nothing is overwritten.

    On PostgreSQL `snapshot` may name an exported snapshot to copy instead.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = path.with_name(path.name + (".db" if database.is_sqlite else ".pgdump"))
    if target.exists():
        raise Conflict(f"There is a backup at {target} already.", mend="Choose another name.")
    partial = target.with_name(target.name + ".part")
    partial.touch(mode=0o600)
    try:
        if database.is_sqlite:
            _copy_sqlite(Path(str(database.url.database)), partial)
        else:
            _dump_postgresql(database.url, partial, pg_dump, snapshot)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def load(source: Path, database: Database, *, pg_restore: str | None = None) -> None:
    """Fill an empty database from a copy."""
    if database.is_sqlite:
        target = Path(str(database.url.database))
        if target.exists() and target.stat().st_size:
            raise Conflict(f"There is a database at {target} already.", mend="Restore into an empty folder.")
        database.dispose()
        _copy_sqlite(source, target)
        return
    with database.engine.connect() as connection:
        if sa.inspect(connection).get_table_names():
            raise Conflict(f"The database {database.url.render_as_string()} is not empty.", mend="Restore into a new one.")
    program = _program("pg_restore", pg_restore)
    _run(
        [program, "--no-owner", "--exit-on-error", "--single-transaction", "--dbname", _dsn(database.url), str(source)],
        database.url,
    )


def check_sqlite(path: Path) -> None:
    """Raise `Corrupt` unless SQLite finds the file whole."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise Corrupt(f"The database {path} is damaged: {'; '.join(found[:3])}.", mend="Restore a backup: mw restore.")


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's online backup: one consistent state, whoever writes meanwhile."""
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
            read.backup(written)
            written.execute("PRAGMA journal_mode=DELETE")  # one file, without a write-ahead log beside it
    except sqlite3.Error as error:
        raise Unavailable(f"The database {source} could not be copied to {target}: {error}.") from error
    check_sqlite(target)


def _dump_postgresql(url: sa.URL, path: Path, pg_dump: str | None, snapshot: str | None) -> None:
    program = _program("pg_dump", pg_dump)
    of = [f"--snapshot={snapshot}"] if snapshot else []
    _run([program, "--format=custom", "--no-owner", *of, "--file", str(path), "--dbname", _dsn(url)], url)
    listing = _run([str(Path(program).with_name("pg_restore")), "--list", str(path)], url)
    if "ledger_events" not in listing:
        raise Corrupt(
            f"The dump {path} does not hold the ledger.", mend="Make a backup by hand and look at what pg_dump says."
        )


def _program(name: str, given: str | None) -> str:
    program = given or shutil.which(name)
    if program is None:
        raise Unavailable(
            f"A copy of a PostgreSQL database needs the program {name}, which is not on the path.",
            mend=f"Install PostgreSQL's client programs, or back up by hand and name {name} in the call.",
        )
    return program


def _dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)


def _run(command: list[str], url: sa.URL) -> str:
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}  # not as an argument, which everybody can see
    done = subprocess.run(command, capture_output=True, text=True, env=secret)  # noqa: S603
    if done.returncode:
        said = done.stderr.strip()[:500]
        older = "version mismatch" in said
        mend = "Install the client programs of the server's version, and put them first on the path." if older else ""
        raise Unavailable(f"{Path(command[0]).name} failed: {said}", mend=mend)
    return done.stdout
