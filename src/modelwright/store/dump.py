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

_NEWER = "Install the client programs of the server's version, and put them first on the path."
_MENDS = {  # by what pg_dump and pg_restore say
    "version mismatch": _NEWER,
    "unsupported version": f"The copy was made by a later pg_dump than this pg_restore. {_NEWER}",
    "permission denied": "Have the database belong to its user: ALTER DATABASE ... OWNER TO ...",
    "No space left": "Free some space on that disk.",
}


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


def check_loadable(source: Path, database: Database, *, pg_restore: str | None = None) -> None:
    """Raise unless a copy can be brought into a database: before anything else is.

    `Conflict` where something is in it, or it is of another sort; `Unavailable` where it or a program does not answer.
    """
    if source.name.endswith(".db") != database.is_sqlite:
        other = "PostgreSQL" if database.is_sqlite else "SQLite"
        raise Conflict(
            f"The backup is of a database in {other} ({source.name}), and {database.url.render_as_string()} is none.",
            mend="Name one of the same sort in the project's modelwright.toml, as database under [workspace]."
            if database.is_sqlite
            else "Leave out database under [workspace] in the project's modelwright.toml.",
        )
    if database.is_sqlite:
        target = Path(str(database.url.database))
        if target.exists() and target.stat().st_size:
            raise Conflict(f"There is a database at {target} already.", mend="Restore into an empty folder.")
        return
    shown = database.url.render_as_string()
    try:
        with database.engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
    except sa.exc.OperationalError as error:
        said = str(error.orig).strip().partition("\n")[0]
        raise Unavailable(f"The database {shown} cannot be used: {said}.", mend=mend_of(said)) from None
    if tables:
        raise Conflict(
            f"The database {shown} is not empty: it has {len(tables)} tables.",
            mend="Make an empty one (createdb), and name it in a modelwright.toml in the project's folder (database under "
            "[workspace]): that comes before the settings in the backup.",
        )
    _run([_program("pg_restore", pg_restore), "--list", str(source)], database.url)  # whether it can read the copy


def mend_of(said: str) -> str:
    """What to do about what PostgreSQL says when nobody can connect."""
    if "password authentication failed" in said or "no password supplied" in said:
        return "See to the user and the password in database under [workspace], in modelwright.toml."
    if "does not exist" in said:
        return "Make it (createdb, createuser), or name another as database under [workspace] in modelwright.toml."
    return "See whether its server runs and lets this machine in, then try again."


def load(source: Path, database: Database, *, pg_restore: str | None = None) -> None:
    """Fill an empty database from a copy: with all of it or, where that does not come to an end, with nothing."""
    check_loadable(source, database, pg_restore=pg_restore)
    if database.is_sqlite:
        target = Path(str(database.url.database))
        database.dispose()
        partial = target.with_name(target.name + ".part")
        partial.unlink(missing_ok=True)
        _copy_sqlite(source, partial)
        partial.replace(target)
        return
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
        raise Unavailable(
            f"The database {source} could not be copied to {target}: {error}.",
            mend="See whether that disk has room and may be written to, then remove what is there and begin again.",
        ) from error
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
            mend="Install PostgreSQL's client programs, of the server's version or later, and put them on the path.",
        )
    return program


def _dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)


def _run(command: list[str], url: sa.URL) -> str:
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}  # not as an argument, which everybody can see
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | secret)  # noqa: S603 - of libpq, too
    if done.returncode:
        said = done.stderr.strip()[:500]
        mend = next((mend for words, mend in _MENDS.items() if words in said), "")
        raise Unavailable(f"{Path(command[0]).name} failed: {said}", mend=mend or mend_of(said))
    return done.stdout
