"""Backup and restore of a whole workspace: database, objects and keys in one folder, with the digest of every file.

A backup is a folder of `database.db` (or `database.pgdump`), `objects/`, `keys/` and `manifest.json`, which is written
last: a folder without it is no backup. Objects never change, so they are copied after the database, and hold at least
what it refers to.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Conflict, Corrupt, NotFound
from modelwright.core.hashing import digest_file
from modelwright.store import dump
from modelwright.store.database import Database
from modelwright.store.ledger import merkle
from modelwright.store.ledger.verify import leaf_hash, roots_at
from modelwright.store.objects import Objects
from modelwright.store.tables import ledger_events, ledger_head

_MANIFEST = "manifest.json"
PASSES = 5  # over a folder at most, and twice at least, until no file is new in it
_DATABASES = ("database.db", "database.pgdump")
_STARTS = (*_DATABASES, *(f"{name}.part" for name in _DATABASES))  # what a backup begins with


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `files` are its files by path, with their BLAKE3 digests."""

    format: int = 1
    made_at: datetime
    database: str  # the name of the database's copy
    log_id: str
    size: int  # events
    root: str  # of the ledger, hexadecimal
    files: dict[str, str]

    @property
    def objects(self) -> int:
        """How many objects."""
        return sum(name.startswith("objects/") for name in self.files)


def save(
    database: Database,
    objects: Objects,
    keys: Path,
    folder: Path,
    *,
    made_at: datetime,
    further: Mapping[str, Path] | None = None,
    pg_dump: str | None = None,
) -> Manifest:
    """Back a workspace up into a new or empty folder, while it is in use, and verify what was written.

    `further` names folders to take along as they are (the logged predictions, for one).
    """
    _empty(folder)
    copy, (log_id, size, root) = _save_database(database, folder / "database", pg_dump)
    for digest in objects.list():
        target = folder / "objects" / digest[:2] / digest
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(NotFound):  # collected this very moment, as nothing refers to it
            objects.fetch(digest, target)
    _copy_folder(keys, folder / "keys")
    for name, source in (further or {}).items():
        _copy_folder(source, folder / "further" / name)
    os.sync()
    digests = {str(path.relative_to(folder)): digest_file(path) for path in _files(folder)}
    manifest = Manifest(made_at=made_at, database=copy.name, log_id=log_id, size=size, root=root, files=digests)
    partial = folder / f"{_MANIFEST}.part"
    with partial.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _MANIFEST)
    return verify(folder)


def check_place(folder: Path, database: Database) -> None:
    """Raise, before anything is written, unless the database of a backup can be brought into another."""
    dump.check_loadable(folder / read(folder).database, database)


def verify(folder: Path) -> Manifest:
    """Check a backup against its manifest: `Corrupt` names the file that is missing, changed or too many.

    Nothing outside the folder is read: a link is refused, and so is a database that is not one of the folder's own files.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            name = str(path.relative_to(folder))
            raise Corrupt(f"The backup {folder} is not whole: {name} is a link or no file.", details={"file": name})
    manifest = read(folder)
    if manifest.database not in _DATABASES or manifest.database not in manifest.files:
        raise Corrupt(f"The backup {folder} names {manifest.database[:80]!r} as its database, which is none of its files.")
    found = {str(path.relative_to(folder)) for path in _files(folder)} - {_MANIFEST}
    for name in sorted(found ^ manifest.files.keys()):
        what = "does not belong to it" if name in found else "is missing"
        raise Corrupt(f"The backup {folder} is not whole: {name} {what}.", details={"file": name})
    for name, digest in manifest.files.items():
        if digest_file(folder / name) != digest:
            raise Corrupt(f"The backup {folder} is damaged: {name} has changed.", details={"file": name})
        if name.startswith("objects/") and Path(name).name != digest:
            raise Corrupt(f"The backup {folder} holds another content as the object {Path(name).name}.")
    if manifest.database.endswith(".db"):
        dump.check_sqlite(folder / manifest.database)
    return manifest


def restore(
    folder: Path,
    database: Database,
    objects: Blobs,
    keys: Path,
    *,
    further: Mapping[str, Path] | None = None,
    pg_restore: str | None = None,
    unfinished: bool = False,
) -> Manifest:
    """Bring a backup back into an empty place, after verifying it; then the ledger must give the root it gave.

    `Conflict` where a database, keys or files are already: a restore never overwrites. One that did not come to its end
    goes on where `unfinished` says that what is there was left by it.
    """
    manifest = verify(folder)
    if unfinished and _is_restored(database, manifest):
        return manifest
    for place in (keys, *(further or {}).values()):
        if not unfinished and place.is_dir() and any(place.iterdir()):
            raise Conflict(f"{place} is not empty.", mend="Restore into a new folder.")
    dump.check_loadable(folder / manifest.database, database, pg_restore=pg_restore)
    for name, digest in manifest.files.items():
        if name.startswith("objects/") and objects.put(folder / name) != digest:
            raise Corrupt(f"The object {digest} changed while it was restored.")
    _copy_folder(folder / "keys", keys)
    for name, target in (further or {}).items():
        _copy_folder(folder / "further" / name, target)
    dump.load(folder / manifest.database, database, pg_restore=pg_restore)
    with database.engine.connect() as connection:
        restored = ledger_of(connection)
    if restored != (manifest.log_id, manifest.size, manifest.root):
        raise Corrupt(f"The restored ledger is not the one that was backed up: {restored[1]} events, root {restored[2]}.")
    return manifest


def _is_restored(database: Database, manifest: Manifest) -> bool:
    """Whether a database holds what a backup does: the restore that was broken off had filled it already."""
    if database.is_sqlite and not Path(str(database.url.database)).is_file():
        return False
    try:
        with database.engine.connect() as connection:
            there = sa.inspect(connection).has_table(ledger_head.name)
            return there and ledger_of(connection) == (manifest.log_id, manifest.size, manifest.root)
    except (sa.exc.OperationalError, Corrupt):
        return False
    finally:
        database.dispose()


def read(folder: Path) -> Manifest:
    """The manifest of a backup."""
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NotFound(f"{folder} holds no whole backup: there is no {_MANIFEST} in it.") from None
    except msgspec.MsgspecError as error:
        raise Corrupt(f"The manifest of the backup {folder} cannot be read: {error}.") from None


def ledger_of(connection: sa.Connection) -> tuple[str, int, str]:
    """The id, size and root of a ledger, computed from its events; `Corrupt` if its own head says otherwise."""
    head = connection.execute(sa.select(ledger_head)).first()
    if head is None:
        return "", 0, merkle.root([]).hex()
    query = sa.select(ledger_events.c.body).where(ledger_events.c.seq < head.size).order_by(ledger_events.c.seq)
    bodies = connection.execute(query.execution_options(yield_per=1000)).scalars()
    _, size, root = roots_at((leaf_hash(bytes(body)) for body in bodies), ())
    if (size, root) != (head.size, merkle.root(merkle.pieces(head.frontier))):
        raise Corrupt("The ledger's events do not give the root that its head holds.", mend="See where: mw audit verify")
    return str(head.log_id), size, root.hex()


def _save_database(database: Database, path: Path, pg_dump: str | None) -> tuple[Path, tuple[str, int, str]]:
    """Copy the database, and tell how the ledger stands in the copy."""
    if not database.is_sqlite:
        with _snapshot(database) as (connection, snapshot):
            return dump.save(database, path, pg_dump=pg_dump, snapshot=snapshot), ledger_of(connection)
    copy = dump.save(database, path)
    engine = sa.create_engine(f"sqlite:///{copy}")
    try:
        with engine.connect() as connection:
            return copy, ledger_of(connection)
    finally:
        engine.dispose()


@contextmanager
def _snapshot(database: Database) -> Iterator[tuple[sa.Connection, str]]:
    """One state of a PostgreSQL database, for this connection and for pg_dump."""
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection, str(connection.execute(sa.select(sa.func.pg_export_snapshot())).scalar_one())


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        begun = not (folder / _MANIFEST).exists() and any((folder / name).exists() for name in _STARTS)
        mend = "It looks like a backup that did not come to its end: remove it, or b" if begun else "B"
        raise Conflict(f"{folder} is not empty.", mend=f"{mend}ack up into a new folder.")


def _copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a folder in which others may be writing: what goes meanwhile is passed over, what comes comes too.

    A part of a log that is being written goes under one name and comes under another.
    """
    seen: set[Path] = set()
    for number in range(PASSES):
        fresh = [path for path in _files(source) if path not in seen]
        for path in fresh:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                shutil.copy2(path, copy)
            except FileNotFoundError:
                if path.exists():
                    raise
                copy.unlink(missing_ok=True)
        if number and not fresh:
            return
        seen.update(fresh)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
