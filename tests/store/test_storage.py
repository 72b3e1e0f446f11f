"""What nothing refers to goes, and only that: through every door, while others work, and from every table that holds."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from modelwright.core.errors import Conflict, NotFound, Unavailable
from modelwright.core.hashing import digest_bytes
from modelwright.core.refs import Ref
from modelwright.experiments import Artifact
from modelwright.store import Verdict
from modelwright.store.holders import HOLDS, HOLDS_NOT, columns_of
from modelwright.store.migrations.generate import import_tables
from modelwright.workspace import Workspace
from tests.waiting import LONG

LONG_AGO = time.time() - 10 * 86_400
RUN_OUT = 0.0  # a grace that has always passed


def aged(workspace: Workspace) -> None:
    """Every object was stored ten days ago."""
    assert workspace.home is not None
    folder = Path(workspace.home.objects.location)
    for path in folder.glob("??/*"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def test_every_table_says_whether_it_holds_objects() -> None:
    tables = set(import_tables().tables)
    assert tables == HOLDS.keys() | HOLDS_NOT.keys()
    assert not HOLDS.keys() & HOLDS_NOT.keys()
    assert all(columns_of(import_tables().tables[name]) for name in HOLDS)


def test_what_others_took_away_in_a_commit_that_is_not_settled_stays(embedded: Workspace) -> None:
    run, digest = embedded.experiments.start("delay").ref, embedded.caller.blobs.put(b"kept for now")
    embedded.experiments.log(run, artifacts=[Artifact(name="note.txt", digest=digest, size=12)])
    aged(embedded)
    home = embedded.home
    assert home is not None
    writers, began, may_go = home.database._writers, threading.Event(), threading.Event()
    writers.lasts = LONG  # however slow this machine is at the moment, those who wait come into one commit

    def first() -> None:
        with home.caller().transaction(write=True):
            began.set()
            may_go.wait(LONG)

    def taken_away() -> None:
        with home.caller().transaction(write=True) as tx:
            tx.execute(sa.text("DELETE FROM experiments_artifacts"))

    removed: list[Any] = []
    threads = [threading.Thread(target=work) for work in (first, taken_away)]
    threads.append(threading.Thread(target=lambda: removed.append(embedded.storage.remove([digest], grace=RUN_OUT))))
    for place, each in enumerate(threads):
        each.start()
        assert began.wait(LONG)
        while len(writers._waiting) < place:
            time.sleep(0.001)
    may_go.set()
    for each in threads:
        each.join()
    assert (removed[0].count, removed[0].spared) == (0, 1)
    assert embedded.caller.blobs.read(digest) == b"kept for now"
    assert embedded.storage.remove([digest], grace=RUN_OUT).count == 1


def test_what_nothing_refers_to_goes_and_the_rest_stays(embedded: Workspace) -> None:
    data = embedded.datasets.add("flights", pa.table({"x": [1, 2, 3]}))
    orphan, text = embedded.caller.blobs.put(b"orphan"), embedded.caller.blobs.put(b"a longer orphan")
    assert embedded.storage.unreachable().objects == []  # too young to tell
    assert embedded.storage.unreachable().young == 2
    aged(embedded)
    plan = embedded.storage.unreachable()
    assert [each.digest for each in plan.objects] == [text, orphan]
    assert (plan.count, plan.size, plan.young) == (2, 21, 0) and "no digest in" in plan.why
    done = embedded.storage.collect(reason="tidy")
    assert (done.count, done.size, done.spared) == (2, 21, 0)
    assert embedded.datasets.read(data.ref).num_rows == 3
    with pytest.raises(NotFound):
        embedded.caller.blobs.read(orphan)
    (event,) = embedded.record.history(Ref.parse("object:all")).items
    assert event.action == "storage.objects.collected" and event.after == {"count": 2, "bytes": 21}
    assert event.reason == "tidy" and set(event.before["objects"]) == {orphan, text}
    assert embedded.storage.collect().count == 0
    assert len(embedded.record.history(Ref.parse("object:all")).items) == 1  # nothing happened, nothing is told


@pytest.mark.parametrize("state", ["damaged", "out of reach"])
def test_what_a_document_names_that_cannot_be_read_now_stays(embedded: Workspace, state: str) -> None:
    blobs, home = embedded.caller.blobs, embedded.home
    inner = blobs.put(b"a picture")
    report = blobs.put(f'{{"picture": "{inner}", "of": "flights"}}'.encode())
    data = embedded.datasets.add("flights", pa.table({"x": [1]}))
    embedded.record.attach(data.ref, "report", Verdict.INFO, report=report)
    assert home is not None
    place = next(Path(home.objects.location).glob(f"*/{report[2:]}"), None) or next(
        Path(home.objects.location).glob(f"*/{report}")
    )
    text = place.read_bytes()
    place.chmod(0o600)
    if state == "damaged":
        place.write_bytes(text.replace(b"flights", b"fl?ghts"))
        aged(embedded)
        assert embedded.storage.collect().count == 0
    else:
        place.unlink()
        place.symlink_to(place)  # a disk that does not answer
        with suppress(OSError):
            aged(embedded)
        with pytest.raises(Unavailable):
            embedded.storage.collect()
        with pytest.raises(Unavailable):
            embedded.storage.remove([inner], grace=RUN_OUT)
    assert blobs.read(inner) == b"a picture"


def test_a_deleted_version_gives_its_files_back(embedded: Workspace) -> None:
    one = embedded.datasets.add("flights", pa.table({"x": [1]}))
    two = embedded.datasets.add("flights", pa.table({"x": [2]}))
    embedded.datasets.delete(one.ref, reason="wrong")
    aged(embedded)
    assert embedded.storage.collect().count > 0
    assert embedded.datasets.read(two.ref).num_rows == 1


@pytest.mark.parametrize("table", HOLDS)
def test_a_digest_in_any_table_that_holds_keeps_its_object(embedded: Workspace, table: str) -> None:
    assert embedded.home is not None
    digest = embedded.caller.blobs.put(table.encode())
    aged(embedded)
    described = import_tables().tables[table]
    column = columns_of(described)[-1]
    row = row_with(described, column, digest)
    with closing(sqlite3.connect(str(embedded.home.database.url.database))) as connection:  # asks for no foreign keys
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*row.values()])
        connection.commit()
    assert embedded.storage.unreachable().objects == []
    assert embedded.storage.remove([digest], grace=RUN_OUT).spared == 1
    assert embedded.caller.blobs.exists(digest)


def row_with(table: sa.Table, column: sa.Column[Any], digest: str) -> dict[str, Any]:
    """A row whose needed values are whatever fits, and whose `column` holds a digest."""
    row: dict[str, Any] = {}
    for each in table.columns:
        if each.nullable and each.name != column.name:
            continue
        row[each.name] = b"" if isinstance(each.type, sa.LargeBinary) else "x" if isinstance(each.type, sa.String) else 1
    room = column.type.length  # type: ignore[attr-defined]
    return {**row, column.name: digest if room == 64 else f'{{"in": ["{digest}"]}}'}


def test_what_a_kept_document_names_is_kept(embedded: Workspace) -> None:
    blobs = embedded.caller.blobs
    inner = blobs.put(b"a picture")
    middle = blobs.put(f'{{"picture": "{inner}"}}'.encode())
    report = blobs.put(f'["{middle}"]'.encode())
    data = embedded.datasets.add("flights", pa.table({"x": [1]}))
    embedded.record.attach(data.ref, "report", "info", report=report)  # type: ignore[arg-type]
    aged(embedded)
    assert embedded.storage.collect().count == 0
    assert blobs.read(inner) == b"a picture"


def test_a_document_that_is_stored_later_keeps_what_it_names(embedded: Workspace) -> None:
    blobs = embedded.caller.blobs
    inner = blobs.put(b"a picture")
    document = f'{{"picture": "{inner}"}}'.encode()
    data = embedded.datasets.add("flights", pa.table({"x": [1]}))
    embedded.record.attach(data.ref, "report", "info", report=digest_bytes(document))  # type: ignore[arg-type]
    assert embedded.storage.unreachable().young == 1  # nothing names the picture yet
    blobs.put(document)
    aged(embedded)
    assert embedded.storage.collect().count == 0
    assert blobs.exists(inner)


def test_storing_again_what_lies_here_makes_it_young(embedded: Workspace) -> None:
    digest = embedded.caller.blobs.put(b"again")
    aged(embedded)
    assert embedded.caller.blobs.put(b"again") == digest
    assert embedded.storage.collect().count == 0
    assert embedded.storage.unreachable().young == 1


def test_a_table_that_nobody_knows_lets_nothing_go(embedded: Workspace) -> None:
    assert embedded.home is not None
    with embedded.home.database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE plugins_things (digest TEXT)")
    with pytest.raises(Conflict, match="plugins_things"):
        embedded.storage.unreachable()
    with pytest.raises(Conflict, match="plugins_things"):
        embedded.storage.remove([digest_bytes(b"x")])


def test_it_works_through_every_door(workspace: Workspace) -> None:
    digest = workspace.caller.blobs.put(b"orphan")
    found = workspace.storage.unreachable(grace=RUN_OUT)
    assert digest in [each.digest for each in found.objects]
    assert workspace.storage.collect(grace=RUN_OUT).count == 1
    assert not workspace.caller.blobs.exists(digest)
    workspace.experiments.create("afterwards")  # reading piece by piece leaves nothing behind for the next statement
    assert workspace.experiments.create("and once more").title == "and once more"


def test_nothing_that_is_registered_meanwhile_is_lost(embedded: Workspace) -> None:
    """With no grace at all: what is referred to when the lock is held stays, whoever writes beside it."""
    made: list[Ref] = []
    refused: list[Exception] = []

    def write() -> None:
        while len(made) < 8:
            try:
                made.append(embedded.datasets.add("flights", pa.table({"x": [len(made)]})).ref)
            except Exception as error:  # it was let go of before anything referred to it: said, and to be tried again
                refused.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        embedded.storage.collect(grace=RUN_OUT)
    writer.join()
    embedded.storage.collect(grace=RUN_OUT)
    for ref in made:
        assert embedded.datasets.read(ref).num_rows == 1
    assert all(isinstance(error, NotFound | Conflict) or "stored" in str(error) for error in refused), refused


def test_in_a_bucket_the_grace_outlasts_renewal() -> None:
    from modelwright.store.objects import RENEW_AFTER
    from modelwright.store.storage import SHORTEST_GRACE

    assert SHORTEST_GRACE > RENEW_AFTER
