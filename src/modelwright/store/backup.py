"""Backup and restore of a whole workspace: database, objects and keys in one folder, with the digest of every file.

A backup is a folder of `database.db` (or `database.pgdump`), `objects/`, `keys/` and `manifest.json`, which is written
last: a folder without it is no backup. Objects never change, so they are copied after the database, and hold at least
what it refers to; what an earlier backup has of them is linked to, and need not be fetched again. Those of a bucket may
be left there: then `objects.list` says which they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_file
from modelwright.core.sizes import size as in_words
from modelwright.store import dump
from modelwright.store.database import Database
from modelwright.store.ledger import merkle
from modelwright.store.ledger.verify import leaf_hash, roots_at
from modelwright.store.objects import Objects, Stored
from modelwright.store.tables import ledger_events, ledger_head

_MANIFEST = "manifest.json"
_LEFT = "objects.list"  # a line for each object that was left where it lies: digest and size
_AT_ONCE = 8  # objects fetched from a bucket at a time
PASSES = 5  # over a folder at most, and twice at least, until no file is new in it
_DATABASES = ("database.db", "database.pgdump")
_STARTS = (*_DATABASES, *(f"{name}.part" for name in _DATABASES))  # what a backup begins with


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that a backup leaves where they are."""

    location: str
    count: int
    size: int  # bytes


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What of the objects a backup copies, told before the first of them is."""

    count: int  # objects to be copied
    size: int  # bytes of those
    linked: int  # further ones that an earlier backup has


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `files` are its files by path, with their BLAKE3 digests."""

    format: int = 1
    made_at: datetime
    database: str  # the name of the database's copy
    log_id: str
    size: int  # events
    root: str  # of the ledger, hexadecimal
    files: dict[str, str]
    left: Left | None = None  # where its objects are, if they are not in it

    @property
    def objects(self) -> int:
        """How many objects."""
        return self.left.count if self.left else sum(name.startswith("objects/") for name in self.files)


def save(
    database: Database,
    objects: Objects,
    keys: Path,
    folder: Path,
    *,
    made_at: datetime,
    further: Mapping[str, Path] | None = None,
    pg_dump: str | None = None,
    since: Path | None = None,
    leave: bool = False,
    telling: Callable[[Taken], None] = lambda taken: None,
) -> Manifest:
    """Back a workspace up into a new or empty folder, while it is in use, and verify what was written.

    `further` names folders to take along as they are (the logged predictions, for one). Objects that an earlier backup has,
    `since`, be it one that did not come to its end, are linked to. `leave` leaves those of a bucket where they are, and
    only lists them. `Unavailable`, before the first object is copied, where they are more than fits on the disk.
    """
    if leave and objects.in_folder:
        raise Invalid(
            f"The objects lie in a folder, {objects.location}, and belong into the backup.",
            mend="Leave out --leave-objects.",
        )
    if since is not None and not any((since / name).exists() for name in (_MANIFEST, *_STARTS)):
        raise NotFound(f"{since} is no backup, nor a part of one.", mend="Name the folder of an earlier mw backup.")
    _empty(folder)
    copy, (log_id, size, root) = _save_database(database, folder / "database", pg_dump)
    left = _leave_objects(objects, folder) if leave else None
    if left is None:
        _copy_objects(objects, folder, since, telling)
    _copy_folder(keys, folder / "keys")
    for name, source in (further or {}).items():
        _copy_folder(source, folder / "further" / name)
    os.sync()
    digests = {str(path.relative_to(folder)): _digest(path, folder) for path in _files(folder)}
    manifest = Manifest(made_at=made_at, database=copy.name, log_id=log_id, size=size, root=root, files=digests, left=left)
    partial = folder / f"{_MANIFEST}.part"
    with partial.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _MANIFEST)
    return verify(folder)


def _digest(path: Path, folder: Path) -> str:
    """The digest of a file that was copied; an object has it as its name, and is read when the backup is verified."""
    return path.name if path.is_relative_to(folder / "objects") else digest_file(path)


def _copy_objects(objects: Objects, folder: Path, since: Path | None, telling: Callable[[Taken], None]) -> None:
    fresh, linked = [], 0
    for each in objects.entries():
        target = _place(folder, each)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if since is not None and _link(_place(since, each), target, each):
            linked += 1
        else:
            fresh.append(each)
    needed = sum(each.size for each in fresh)
    telling(Taken(count=len(fresh), size=needed, linked=linked))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Unavailable(
            f"The objects to be copied take {in_words(needed)}, and under {folder} are {in_words(free)} free.",
            mend="Back up to a larger disk, or with --since an earlier backup on this one; or leave those of a bucket"
            " there: --leave-objects.",
        )

    def fetch(each: Stored) -> None:
        with suppress(NotFound):  # collected this very moment, as nothing refers to it
            objects.fetch(each.digest, _place(folder, each))

    with ThreadPoolExecutor(1 if objects.in_folder else _AT_ONCE, "backup") as pool:
        list(pool.map(fetch, fresh))


def _place(folder: Path, each: Stored) -> Path:
    return folder / "objects" / each.digest[:2] / each.digest


def _link(source: Path, target: Path, each: Stored) -> bool:
    """Take over an object of an earlier backup, by a link or, on another disk, a copy; not one that is damaged there."""
    try:
        if source.is_symlink() or source.stat().st_size != each.size or digest_file(source) != each.digest:
            return False
    except OSError:
        return False
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return True


def _leave_objects(objects: Objects, folder: Path) -> Left:
    found = sorted((each.digest, each.size) for each in objects.entries())
    with (folder / _LEFT).open("x", encoding="ascii") as file:
        file.writelines(f"{digest} {size}\n" for digest, size in found)
    return Left(location=objects.location, count=len(found), size=sum(size for _, size in found))


def _check_left(folder: Path, left: Left, objects: Objects) -> None:
    """Raise unless every object that a backup left where it was is where the settings say."""
    there = {each.digest: each.size for each in objects.entries()}
    listed = (line.split() for line in (folder / _LEFT).read_text(encoding="ascii").splitlines())
    gone = [digest for digest, size in listed if there.get(digest) != int(size)]
    if gone:
        raise NotFound(
            f"{len(gone):,} of the {left.count:,} objects that the backup left in {left.location} are not in"
            f" {objects.location}, the first is {gone[0][:2]}/{gone[0]}.",
            mend="Bring them back there (a bucket that keeps versions has them), or name the place where they are as"
            " objects under [workspace] in the project's modelwright.toml.",
        )


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
    if manifest.left is not None and _LEFT not in manifest.files:
        raise Corrupt(f"The backup {folder} does not say which objects it left in {manifest.left.location[:200]}.")
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
    objects: Objects,
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
    if manifest.left is not None:
        _check_left(folder, manifest.left, objects)
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
        if begun:
            mend = "It looks like a backup that did not come to its end: remove it, or take over what it has:"
            raise Conflict(f"{folder} is not empty.", mend=f"{mend} --since {folder}, and a new folder.")
        raise Conflict(f"{folder} is not empty.", mend="Back up into a new folder.")


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
