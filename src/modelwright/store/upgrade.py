"""Bringing a database to this version of the program: made if new, upgraded after a backup, or refused with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.errors import Conflict, Unavailable
from modelwright.store import dump
from modelwright.store.database import Database
from modelwright.store.migrations import FOLDER, config, revisions
from modelwright.store.tables import ledger_head

_LOCK: Final = 0x6D77_7570  # PostgreSQL's advisory lock of whoever upgrades: the letters "mwup"
_VERSION: Final = sa.table("alembic_version", sa.column("version_num"))


class Standing(StrEnum):
    """How a database's tables stand to this version of the program."""

    NEW = "new"  # no tables yet
    CURRENT = "current"
    OLD = "old"
    NEWER = "newer"  # of a later version
    BROKEN = "broken"  # neither one thing nor the other


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What `prepare` found and did."""

    found: Standing
    before: str  # revision; empty for a new database
    after: str
    backup: Path | None = None  # made before an upgrade


def standing(connection: sa.Connection, scripts: Path = FOLDER) -> tuple[Standing, str]:
    """How the tables stand, and the revision they say they are."""
    names = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in names:
        return (Standing.BROKEN if ledger_head.name in names else Standing.NEW), ""
    held = connection.execute(sa.select(_VERSION.c.version_num)).scalars().all()
    known = revisions(scripts)
    if len(held) != 1 or ledger_head.name not in names:
        return (Standing.NEW if not held and len(names) == 1 else Standing.BROKEN), ", ".join(held)
    if held[0] not in known:
        return Standing.NEWER, held[0]
    return (Standing.CURRENT if held[0] == known[-1] else Standing.OLD), held[0]


def prepare(database: Database, *, backups: Path, pg_dump: str | None = None, scripts: Path = FOLDER) -> Prepared:
    """Make the database fit this version of the program, or raise `Conflict` and leave it as it was.

    An upgrade is one transaction, begun only when a verified backup lies in `backups`; on PostgreSQL that takes `pg_dump`
    (found on the path unless it is named). Of several processes that start at once, one upgrades and the others wait.
    """
    known = revisions(scripts)
    if _is_at(database, known[-1]):
        return Prepared(found=Standing.CURRENT, before=known[-1], after=known[-1])
    try:
        return _prepared(database, known, backups, pg_dump, scripts)
    except sa.exc.OperationalError as error:
        said = str(error.orig).strip().partition("\n")[0]
        raise Unavailable(
            f"The database {database.url.render_as_string()} cannot be used: {said}.",
            mend="See whether its disk is full, then try again." if database.is_sqlite else dump.mend_of(said),
        ) from error


def _prepared(database: Database, known: Sequence[str], backups: Path, pg_dump: str | None, scripts: Path) -> Prepared:
    with database.engine.connect().execution_options(modelwright_write=True) as connection, connection.begin():
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found, before = standing(connection, scripts)
        if found in (Standing.BROKEN, Standing.NEWER):
            raise _refusal(database, found, before, known[-1])
        backup = None
        if found is Standing.OLD:
            stamp = isoformat(database.clock.now())[:19].replace(":", "").replace("-", "")
            backup = dump.save(database, backups / f"before-upgrade-from-{before}-{stamp}", pg_dump=pg_dump)
        if found is not Standing.CURRENT:
            from alembic import command

            command.upgrade(config(connection, scripts), "head")
    return Prepared(found=found, before=before, after=known[-1], backup=backup)


def _is_at(database: Database, revision: str) -> bool:
    """The usual case, answered by one query and without Alembic."""
    try:
        with database.engine.connect() as connection:
            return connection.execute(sa.select(_VERSION.c.version_num)).scalars().all() == [revision]
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):  # no such table: a new database, or none of ours
        return False


def _refusal(database: Database, found: Standing, before: str, head: str) -> Conflict:
    where = database.url.render_as_string()
    if found is Standing.NEWER:
        return Conflict(
            f"The database {where} was upgraded to revision {before} by a later version of Modelwright; "
            f"this one knows revisions up to {head}.",
            mend="Install that version again, or restore the backup made before the upgrade.",
            details={"revision": before},
        )
    says = f"but its revision is {before!r}" if before else "but no revision"
    return Conflict(
        f"The database {where} is half migrated: there are tables, {says}.",
        mend="Restore the backup made before the upgrade: mw restore.",
        details={"revision": before},
    )
