"""Is the record well? A list of checks; each says what it looked at, what it found, and what mends it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.errors import ModelwrightError, NotFound
from modelwright.core.sizes import size
from modelwright.store import leases
from modelwright.store.audit import checkpoints
from modelwright.store.audit.checkpoints import LedgerSettings
from modelwright.store.backup import ledger_of
from modelwright.store.database import Database
from modelwright.store.ledger.keys import Keyring
from modelwright.store.objects import Objects
from modelwright.store.records import Verdict
from modelwright.store.tables import ledger_checkpoints, ledger_head
from modelwright.store.upgrade import Standing, standing

SAMPLE = 20  # objects read through
LOW_SPACE = 2**30  # bytes free below which there is a warning
OVERDUE = 10  # times the interval after which a checkpoint is missed

_c = ledger_checkpoints.c


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    name: str
    verdict: Verdict
    what: str
    mend: str = ""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is examined, and at what time."""

    database: Database
    objects: Blobs
    folder: Path  # the workspace's own
    ledger: LedgerSettings
    now: datetime


def examine(subject: Subject) -> list[Check]:
    """Run every check; one that cannot be made is a failure with its reason, and the others still run."""
    checks: list[Callable[[Subject], Check]] = [
        database_answers,
        database_settings,
        database_whole,
        migrations,
        ledger_whole,
        ledger_sealed,
        signing_key,
        objects_readable,
        disk_space,
        lease_state,
    ]
    return [_run(check, subject) for check in checks]


def database_answers(subject: Subject) -> Check:
    """The database can be reached."""
    with subject.database.engine.connect() as connection:
        connection.execute(sa.select(1))
    return _good("database", f"{subject.database.url.render_as_string()} answers.")


def database_settings(subject: Subject) -> Check:
    """A commit that was acknowledged survives a power cut."""
    with subject.database.engine.connect() as connection:
        if subject.database.is_sqlite:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            if (mode, level) != ("wal", 2):
                return _bad("durability", f"SQLite runs with journal_mode={mode}, synchronous={level}, not wal and 2.")
            return _good("durability", "SQLite writes ahead (WAL) and flushes every commit.")
        off = [
            name
            for name in ("fsync", "synchronous_commit", "full_page_writes")
            if connection.exec_driver_sql(f"SHOW {name}").scalar_one() == "off"
        ]
    if off:
        mend = f"Set {', '.join(off)} to on in postgresql.conf."
        return _bad("durability", f"PostgreSQL may lose acknowledged commits: {', '.join(off)} is off.", mend)
    return _good("durability", "PostgreSQL flushes every commit.")


def database_whole(subject: Subject) -> Check:
    """SQLite finds its own file whole (PostgreSQL has its checksums for that)."""
    if not subject.database.is_sqlite:
        return Check(name="integrity", verdict=Verdict.INFO, what="PostgreSQL checks its own pages.")
    with subject.database.engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
    if found != ["ok"]:
        return _bad("integrity", f"The database file is damaged: {'; '.join(map(str, found))}.", "Restore: mw restore.")
    return _good("integrity", "The database file is whole.")


def migrations(subject: Subject) -> Check:
    """The tables are those of this version."""
    with subject.database.engine.connect() as connection:
        found, revision = standing(connection)
    if found is not Standing.CURRENT:
        return _bad(
            "migrations", f"The tables are {found} (revision {revision or 'none'}).", "Open the workspace, or mw restore."
        )
    return _good("migrations", f"The tables are of this version (revision {revision}).")


def ledger_whole(subject: Subject) -> Check:
    """The events give the root that the head of the ledger holds."""
    with subject.database.engine.connect() as connection:
        _, size, root = ledger_of(connection)
    return _good("ledger", f"{size} events give the root {root[:16]}….")


def ledger_sealed(subject: Subject) -> Check:
    """Checkpoints are signed in time and copied to the outside place."""
    with subject.database.engine.connect() as connection:
        sealed = connection.execute(sa.select(_c.size, _c.at).order_by(_c.size.desc()).limit(1)).first()
        head = connection.execute(sa.select(ledger_head.c.size, ledger_head.c.log_id)).first()
    settings = subject.ledger
    if head is None:
        return _good("checkpoints", "Nothing has happened yet, so there is nothing to sign.")
    if sealed is None:
        return _warn("checkpoints", f"None of {head.size} events is sealed.", "Run the operator: mw up.")
    late = timedelta(seconds=OVERDUE * settings.seconds)
    if head.size > sealed.size and subject.now - datetime.fromisoformat(sealed.at) > late:
        what = f"{head.size - sealed.size} events since {sealed.at} are not sealed."
        return _warn("checkpoints", what, "Run the operator: mw up.")
    if not settings.outside:
        mend = "Name a folder on another volume as the ledger's outside place."
        return _warn("checkpoints", "Checkpoints are kept nowhere else: a rewritten history would go unnoticed.", mend)
    if checkpoints.copied_size(Path(settings.outside), head.log_id) < sealed.size:
        return _warn("checkpoints", f"The newest checkpoint is not in {settings.outside}.", "Make that folder writable.")
    return _good("checkpoints", f"{sealed.size} of {head.size} events are sealed, here and in {settings.outside}.")


def signing_key(subject: Subject) -> Check:
    """The key that signs is here, and for its owner only."""
    with subject.database.engine.connect() as connection:
        announced = checkpoints.keys_announced(connection)
        log_id = connection.execute(sa.select(ledger_head.c.log_id)).scalar()
    if not announced or not subject.ledger.keys:
        return Check(name="signing key", verdict=Verdict.INFO, what="This process has not signed anything.")
    keyring = Keyring(Path(subject.ledger.keys))
    keyring.load(checkpoints.origin_of(str(log_id)), announced[-1]["key_id"])
    open_to_others = [path for path in keyring.folder.iterdir() if path.stat().st_mode & 0o077]
    if open_to_others:
        path = open_to_others[0]
        return _bad("signing key", f"{path} can be read by others.", f"chmod 600 {path}, then mw audit rotate-key.")
    return _good("signing key", f"Key {announced[-1]['key_id']} is here, for its owner only.")


def objects_readable(subject: Subject) -> Check:
    """A sample of the objects has the content that its digests promise."""
    if not isinstance(subject.objects, Objects):
        return Check(name="objects", verdict=Verdict.INFO, what="The objects lie behind a server.")
    read = 0
    for digest in itertools.islice(_spread(subject.objects), SAMPLE):
        with suppress(NotFound):  # collected since it was listed
            subject.objects.verify(digest)
            read += 1
    return _good("objects", f"{read} objects in {subject.objects.location} were read and match their digests.")


def disk_space(subject: Subject) -> Check:
    """There is room to write."""
    free = shutil.disk_usage(subject.folder).free
    what = f"{size(free)} are free under {subject.folder}."
    return (
        _good("disk", what) if free >= LOW_SPACE else _warn("disk", what, "Free some space: a full disk stops all writing.")
    )


def lease_state(subject: Subject) -> Check:
    """Who holds which lease."""
    with subject.database.engine.connect() as connection:
        held = leases.read_all(connection)
    if not held:
        return Check(name="leases", verdict=Verdict.INFO, what="No process has acted as operator yet.")
    return _good("leases", "; ".join(f"{lease.name}: {lease.holder}, fence {lease.fence}" for lease in held) + ".")


def _spread(objects: Objects) -> Iterator[str]:
    """Some of the first objects and then ever rarer ones, without reading a long list to its end."""
    step = 1
    for index, digest in enumerate(itertools.islice(objects.list(), 10_000)):
        if index % step == 0:
            yield digest
        step = max(step, index // 10)


def _run(check: Callable[[Subject], Check], subject: Subject) -> Check:
    try:
        return check(subject)
    except ModelwrightError as error:
        return Check(name=check.__name__.replace("_", " "), verdict=Verdict.FAIL, what=error.message, mend=error.mend)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        return Check(name=check.__name__.replace("_", " "), verdict=Verdict.FAIL, what=f"It cannot be examined: {error}")


def _good(name: str, what: str) -> Check:
    return Check(name=name, verdict=Verdict.PASS, what=what)


def _warn(name: str, what: str, mend: str) -> Check:
    return Check(name=name, verdict=Verdict.WARN, what=what, mend=mend)


def _bad(name: str, what: str, mend: str = "") -> Check:
    return Check(name=name, verdict=Verdict.FAIL, what=what, mend=mend)
