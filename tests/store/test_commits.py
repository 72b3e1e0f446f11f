"""Writers share a commit: nobody returns before it, all hear of its failure, and an error undoes one's own part only."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.store import Database, Transaction
from modelwright.store.backup import ledger_of
from modelwright.store.commits import Group
from modelwright.store.tables import catalog_tags, leases
from tests.waiting import LONG, eventually

ADA = Principal(id="ada", trusted=True)
MODEL = Ref.parse("model:m")


def put(tx: Transaction, name: str) -> str:
    """A row and an event."""
    tx.execute(catalog_tags.insert().values(ref=name, key="k", value="v"))
    tx.record("test.row.put", MODEL, reason=name)
    return name


def names(database: Database) -> set[str]:
    """What is committed."""
    with database.engine.connect() as connection:
        return set(connection.execute(sa.select(catalog_tags.c.ref)).scalars())


def events(database: Database) -> int:
    """How many events there are; the head of the ledger is that of its events, or this raises."""
    with database.engine.connect() as connection:
        return ledger_of(connection)[1]


@pytest.fixture(autouse=True)
def _patient(database: Database) -> None:
    """However slow this machine is at the moment, those who wait come into the group."""
    database._writers.lasts = 60


@pytest.fixture
def commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every commit of a write to this database, as it begins."""
    seen: list[float] = []
    commit = Group.commit

    def noted(group: Group) -> None:
        if group.connection.engine is database.engine:
            seen.append(time.monotonic())
        commit(group)

    monkeypatch.setattr(Group, "commit", noted)
    return seen


class Crowd:
    """Threads that write while a first one holds the lock: when it lets go, they are one group."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: dict[str, BaseException] = {}
        self.done: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[Transaction], Any]) -> None:
        """Queue up."""

        def run() -> None:
            try:
                with self.database.transaction(ADA, write=True) as tx:
                    work(tx)
                self.done[name] = time.monotonic()
            except BaseException as error:  # looked at by the test
                self.errors[name] = error

        waiting = len(self.database._writers._waiting)
        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        while len(self.database._writers._waiting) == waiting:
            time.sleep(0.001)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()


@contextmanager
def crowd(database: Database, first: str = "first") -> Iterator[Crowd]:
    """What is started in the block waits until it ends."""
    made = Crowd(database)
    with database.transaction(ADA, write=True) as tx:
        put(tx, first)
        yield made
    made.join()


def test_those_who_wait_share_one_commit_and_return_after_it(database: Database, commits: list[float]):
    with crowd(database) as others:
        for number in range(8):
            others.start(str(number), lambda tx, number=number: put(tx, str(number)))
    assert not others.errors and len(others.done) == 8
    assert len(commits) == 1
    assert min(others.done.values()) >= commits[0]
    assert names(database) == {"first", *map(str, range(8))} and events(database) == 9


def test_nobody_sees_anything_before_the_commit(database: Database):
    seen: list[set[str]] = []
    with crowd(database) as others:
        for number in range(4):
            others.start(str(number), lambda tx, number=number: (put(tx, str(number)), seen.append(names(database))))
        assert names(database) == set()
    assert seen == [set()] * 4


@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_error_undoes_ones_own_part_only(database: Database, commits: list[float], place: int):
    def broken(tx: Transaction) -> None:
        put(tx, "broken")
        tx.rolled_back.append(lambda: others.done.setdefault("told", 0.0))
        tx.committed.append(lambda: others.done.setdefault("wrong", 0.0))
        raise Conflict("on purpose")

    with crowd(database) as others:
        for number in range(4):
            others.start(str(number), broken if number == place else lambda tx, number=number: put(tx, str(number)))
    assert isinstance(others.errors.pop(str(place)), Conflict) and not others.errors
    assert "told" in others.done and "wrong" not in others.done
    assert names(database) == {"first", *map(str, set(range(4)) - {place})}
    assert events(database) == 4 and len(commits) == 1


def test_a_first_writer_that_fails_leaves_the_others_alone(database: Database):
    with pytest.raises(Conflict), crowd(database) as others:
        others.start("second", lambda tx: put(tx, "second"))
        raise Conflict("on purpose")
    others.join()
    assert names(database) == {"second"} and events(database) == 1


def test_an_error_of_the_database_undoes_ones_own_part_only(database: Database):
    with crowd(database) as others:
        others.start("twice", lambda tx: put(tx, "first"))  # is there already
        others.start("last", lambda tx: put(tx, "last"))
    assert isinstance(others.errors.pop("twice"), sa.exc.IntegrityError) and not others.errors
    assert names(database) == {"first", "last"} and events(database) == 2


def test_where_the_commit_fails_everybody_is_told_and_nothing_is_written(database: Database):
    told: list[str] = []

    def fail(connection: sa.Connection) -> None:
        raise OSError("no space left on device")

    def work(tx: Transaction, name: str) -> None:
        put(tx, name)
        tx.committed.append(lambda: told.append(f"{name} committed"))
        tx.rolled_back.append(lambda: told.append(name))

    sa.event.listen(database.engine, "commit", fail)
    try:
        with pytest.raises(Unavailable, match="no space left"), crowd(database) as others:
            for name in "abc":
                others.start(name, lambda tx, name=name: work(tx, name))
        others.join()
    finally:
        sa.event.remove(database.engine, "commit", fail)
    assert {type(error) for error in others.errors.values()} == {Unavailable} and len(others.errors) == 3
    assert sorted(told) == ["a", "b", "c"] and names(database) == set()
    with database.transaction(ADA, write=True) as tx:
        put(tx, "after")
    assert names(database) == {"after"} and events(database) == 1


def test_where_the_database_gives_the_transaction_up_nobody_believes_to_have_written(database: Database):
    """SQLite does so by itself when the disk is full; whatever came before is gone with it."""

    def lost(tx: Transaction) -> None:
        put(tx, "lost")
        tx.connection.connection.driver_connection.rollback()

    with pytest.raises(Unavailable), crowd(database) as others:
        others.start("lost", lost)
        others.start("later", lambda tx: put(tx, "later"))
    others.join()
    assert isinstance(others.errors.pop("lost"), RuntimeError) and not others.errors
    assert names(database) == {"later"} and events(database) == 1


def test_a_group_ends_though_others_still_come(database: Database, commits: list[float]):
    """A stream of writers does not keep the first from its answer."""
    database._writers.lasts = 0.02
    stop, counts = threading.Event(), [0] * 4

    def stream(place: int) -> None:
        while not stop.is_set():
            with database.transaction(ADA, write=True) as tx:
                put(tx, f"{place}/{counts[place]}")
            counts[place] += 1

    threads = [threading.Thread(target=stream, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: min(counts) > 0 and len(commits) > 1, "A part of each in more than one commit")
    finally:
        stop.set()
    for thread in threads:
        thread.join(LONG)
    assert len(commits) <= sum(counts)
    assert len(names(database)) == events(database) == sum(counts)


def test_what_is_read_behind_others_says_so(database: Database):
    seen: list[bool] = []
    with crowd(database) as others:
        others.start("second", lambda tx: seen.append(tx.tentative))
    with database.transaction(ADA, write=True) as tx:
        seen.append(tx.tentative)
    assert seen == [True, False]


# Submitted work


def test_submitted_work_is_done_in_order_and_answered_when_it_is_on_the_disk(database: Database):
    futures = [database.submit(lambda tx, n=n: put(tx, str(n)), ADA) for n in range(20)]
    assert [future.result(LONG) for future in futures] == [str(n) for n in range(20)]
    assert names(database) == {str(n) for n in range(20)} and events(database) == 20


def test_submitted_work_shares_commits_with_everybody(database: Database, commits: list[float]):
    with crowd(database) as others:
        futures = [database.submit(lambda tx, n=n: put(tx, f"s{n}"), ADA) for n in range(5)]
        others.start("thread", lambda tx: put(tx, "thread"))
        while not database._writers._waiting:
            time.sleep(0.001)
        time.sleep(0.05)
    for future in futures:
        future.result(LONG)
    assert len(commits) <= 2 and events(database) == 7


def test_who_closes_the_database_commits_what_a_writer_left_to_it(database: Database):
    closing, errors = threading.Thread(target=database.dispose), list[BaseException]()

    def write() -> None:
        try:
            with database.transaction(ADA, write=True) as tx:
                put(tx, "last")
                closing.start()
                while not database._writers._waiting:
                    time.sleep(0.001)
        except BaseException as error:  # looked at below
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for each in (writer, closing):
        each.join(LONG)
    assert errors == [] and names(database) == {"last"} and events(database) == 1


def test_an_error_of_submitted_work_is_its_own(database: Database):
    told: list[str] = []

    def broken(tx: Transaction) -> None:
        put(tx, "broken")
        tx.rolled_back.append(lambda: told.append("undone"))
        raise Conflict("on purpose")

    futures = [database.submit(lambda tx: put(tx, "a"), ADA), database.submit(broken, ADA)]
    futures.append(database.submit(lambda tx: put(tx, "b"), ADA))
    assert [futures[0].result(LONG), futures[2].result(LONG)] == ["a", "b"]
    with pytest.raises(Conflict):
        futures[1].result(LONG)
    assert told == ["undone"] and names(database) == {"a", "b"} and events(database) == 2


def test_submitted_work_that_was_cancelled_in_time_is_not_done(database: Database):
    with database.transaction(ADA, write=True) as tx:
        first = database.submit(lambda tx: put(tx, "first"), ADA)
        time.sleep(0.05)  # the writer thread waits for its turn with this one
        second = database.submit(lambda tx: put(tx, "second"), ADA)
        assert second.cancel()
        put(tx, "here")
    assert first.cancelled() or first.result(LONG) == "first"
    database.dispose()
    assert "second" not in names(database)


def test_a_database_that_is_disposed_of_finishes_what_was_submitted(database: Database):
    futures = [database.submit(lambda tx, n=n: put(tx, str(n)), ADA) for n in range(50)]
    database.dispose()
    assert all(future.done() for future in futures) and len(names(database)) == 50
    assert database.submit(lambda tx: put(tx, "again"), ADA).result(LONG) == "again"


def test_a_submitted_write_that_changes_no_ledger_is_fine(database: Database):
    row = leases.insert().values(name="x", holder="y", fence=1, until="2026")
    database.submit(lambda tx: tx.execute(row), ADA).result(LONG)
    assert events(database) == 0


def test_coroutines_that_write_are_told_when_it_is_on_the_disk_or_what_went_wrong(database: Database):
    def broken(tx: Transaction) -> None:
        put(tx, "broken")
        raise Conflict("on purpose")

    async def main() -> list[Any]:
        writes = [database.write(lambda tx, n=n: put(tx, str(n)), ADA) for n in range(20)]
        return await asyncio.gather(*writes, database.write(broken, ADA), return_exceptions=True)

    *done, failed = asyncio.run(main())
    assert done == [str(n) for n in range(20)] and isinstance(failed, Conflict)
    assert names(database) == set(done) and events(database) == 20


def test_the_write_of_a_coroutine_that_was_cancelled_in_time_is_not_done(database: Database):
    async def main() -> None:
        with database.transaction(ADA, write=True):
            first = asyncio.create_task(database.write(lambda tx: put(tx, "first"), ADA))
            await asyncio.sleep(0.05)  # the writer thread waits for its turn with this one
            second = asyncio.create_task(database.write(lambda tx: put(tx, "second"), ADA))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait([second])
        await first

    asyncio.run(main())
    database.dispose()
    assert names(database) == {"first"}


def test_a_loop_that_is_gone_does_not_stop_the_writer(database: Database):
    async def main() -> None:
        with database.transaction(ADA, write=True):
            left = asyncio.ensure_future(database.write(lambda tx: put(tx, "left"), ADA))
            await asyncio.sleep(0.05)
            left.cancel()

    asyncio.run(main())
    assert database.submit(lambda tx: put(tx, "after"), ADA).result(LONG) == "after"


# Other processes, and the end of this one

WRITER = """
import sys, threading
from modelwright.core.clock import SystemClock
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.store import Database
from modelwright.store.tables import catalog_tags

database, name = Database(sys.argv[1], SystemClock()), sys.argv[2]
said = threading.Lock()

def acknowledge(row):
    with said:
        sys.stdout.write(row + "\\n")
        sys.stdout.flush()

def work(tx, row):
    tx.execute(catalog_tags.insert().values(ref=row, key="k", value="v"))
    tx.record("test.row.put", Ref.parse("model:m"), reason=row)
    return row

def stream(place):
    for number in range(int(sys.argv[3])):
        row = f"{name}/{place}/{number}"
        if place % 2:
            database.submit(lambda tx, row=row: work(tx, row), Principal(id="ada", trusted=True)).result()
        else:
            with database.transaction(Principal(id="ada", trusted=True), write=True) as tx:
                work(tx, row)
        acknowledge(row)

threads = [threading.Thread(target=stream, args=(place,)) for place in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def writer(database: Database, name: str, count: int) -> subprocess.Popen[str]:
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITER, url, name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_is_there_after_a_kill(database: Database):
    with writer(database, "a", 10**6) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(60)]
        process.kill()
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    rows = names(database)
    assert set(acknowledged) <= rows
    assert events(database) == len(rows)  # no change without its event, no event without its change


def test_two_processes_write_by_turns(database: Database):
    """Neither starves, and the ledger is one."""
    with writer(database, "a", 15) as one, writer(database, "b", 15) as other:
        assert one.stdout is not None and other.stdout is not None
        told = set(one.stdout.read().split()) | set(other.stdout.read().split())
        assert (one.wait(LONG), other.wait(LONG)) == (0, 0)
    assert len(told) == 120 and names(database) == told and events(database) == 120


INTERRUPTED = """
import sys, threading, time
from modelwright.core.clock import SystemClock
from modelwright.core.principals import Principal
from modelwright.store import Database

database, ada = Database(sys.argv[1], SystemClock()), Principal(id="ada", trusted=True)
held, go = threading.Event(), threading.Event()

def first():
    with database.transaction(ada, write=True):
        held.set()
        go.wait()

def behind():
    with database.transaction(ada, write=True):
        print("behind", flush=True)

threads = [threading.Thread(target=first)]
threads[0].start()
held.wait()
try:
    print("waiting", flush=True)
    with database.transaction(ada, write=True):
        print("never", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
threads.append(threading.Thread(target=behind))
threads[1].start()
time.sleep(0.1)
go.set()
for thread in threads:
    thread.join()
with database.transaction(ada, write=True):
    print("after", flush=True)
"""


def test_one_that_is_interrupted_while_it_waits_holds_nobody_up(database: Database):
    url = database.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LONG)[0].split() == ["interrupted", "behind", "after"]
        assert process.returncode == 0


def test_a_failure_that_is_told_twice_takes_nothing_from_those_who_wait(database: Database):
    with database.transaction(ADA, write=True):
        group = database._writers.group()
        other = Group(group.connection, group._transaction, group.head, lambda connection: None)
    other._settle()
    with other._settling:  # as one who waits has it for a moment
        other._settle()
        assert other._settling.locked()
    other.wait()
