"""The operator: one of several acts, one failure stays one, and a dead leader is followed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelwright.core.clock import ManualClock, SystemClock
from modelwright.core.errors import Unavailable
from modelwright.core.principals import OPERATOR, Principal
from modelwright.operator import Operator, Turn
from modelwright.store import Database
from modelwright.store.leases import Leadership
from modelwright.workspace import Workspace
from tests.waiting import LONG, eventually

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Counting:
    """A reconciler that does what it is told, and says so."""

    def __init__(self, name: str, does: Callable[[], Sequence[str]] = lambda: ["done"]) -> None:
        self.name = name
        self.turns = 0
        self._does = does

    def turn(self, now: datetime) -> Sequence[str]:
        self.turns += 1
        return self._does()


class Free:
    """A lease for who is alone."""

    def __init__(self) -> None:
        self.given_up = False

    def hold(self, now: datetime, lasting: timedelta) -> bool:
        return True

    def give_up(self) -> None:
        self.given_up = True


def fails(error: Exception) -> Callable[[], Sequence[str]]:
    def raises() -> Sequence[str]:
        raise error

    return raises


def test_a_reconciler_that_fails_keeps_no_other_from_its_turn() -> None:
    broken, late, fine = Counting("a", fails(ValueError("oh"))), Counting("b", fails(Unavailable("gone"))), Counting("c")
    turn = Operator([broken, late, fine], Free(), ManualClock(NOON)).turn()
    assert turn.led and turn.done == {"c": ["done"]}
    assert turn.failed == {"a": "ValueError: oh", "b": "gone"}


def test_a_lasting_failure_is_logged_once_and_counted_every_time(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator([Counting("a", fails(ValueError("oh")))], Free(), ManualClock(NOON))
    assert [operator.turn().failed for _ in range(3)] == [{"a": "ValueError: oh"}] * 3
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_who_loses_the_lease_during_a_turn_acts_no_further() -> None:
    class Lost(Free):
        left = 1

        def hold(self, now: datetime, lasting: timedelta) -> bool:
            self.left -= 1
            return self.left >= 0

    one, two = Counting("one"), Counting("two")
    turn = Operator([one, two], Lost(), ManualClock(NOON)).turn()
    assert (one.turns, two.turns, turn.led) == (1, 0, False)


def test_what_had_nothing_to_do_is_not_reported() -> None:
    assert Operator([Counting("a", list)], Free(), ManualClock(NOON)).turn().done == {}


def test_it_acts_as_itself_and_not_as_who_started_it(embedded: Workspace) -> None:
    seen: list[Principal] = []
    asks = Counting("a", lambda: [seen.append(embedded.caller.principal) or "asked"])
    Operator([asks], Free(), ManualClock(NOON)).turn()
    assert seen == [OPERATOR] and embedded.caller.principal != OPERATOR


def test_a_wake_makes_it_turn_at_once_and_a_stop_lets_the_turn_finish() -> None:
    began, leave, lease = threading.Event(), threading.Event(), Free()

    def slow() -> Sequence[str]:
        began.set()
        leave.wait(LONG)
        return ["finished"]

    turns: list[Turn] = []
    operator = Operator([Counting("slow", slow)], lease, SystemClock(), every=3600, turned=turns.append)
    operator.start()
    assert began.wait(LONG)
    stopper = threading.Thread(target=operator.stop)
    stopper.start()
    time.sleep(0.1)
    assert not lease.given_up and turns == []
    leave.set()
    stopper.join(LONG)
    assert lease.given_up and [turn.done for turn in turns] == [{"slow": ["finished"]}]

    quick = Counting("quick")
    operator = Operator([quick], Free(), SystemClock(), every=3600)
    operator.start()
    eventually(lambda: quick.turns == 1)
    operator.wake()
    eventually(lambda: quick.turns == 2)
    operator.stop()
    assert quick.turns <= 3


def test_a_wake_during_a_turn_is_not_lost() -> None:
    operator: Operator
    woken: list[int] = []

    def wakes_once() -> Sequence[str]:
        if not woken:
            woken.append(1)
            operator.wake()
        return []

    counting = Counting("a", wakes_once)
    operator = Operator([counting], Free(), SystemClock(), every=3600)
    operator.start()
    eventually(lambda: counting.turns == 2)
    operator.stop()


def test_a_stop_takes_no_lease_again_afterwards() -> None:
    counting = Counting("a")
    operator = Operator([counting], Free(), SystemClock(), every=0.001)
    operator.start()
    eventually(lambda: counting.turns > 3)
    operator.stop()
    turns = counting.turns
    time.sleep(0.05)
    assert counting.turns == turns


def test_the_database_failing_ends_no_thread() -> None:
    class Flaky(Free):
        calls = 0

        def hold(self, now: datetime, lasting: timedelta) -> bool:
            self.calls += 1
            if self.calls < 3:
                raise OSError("the database is away")
            return True

    counting = Counting("a")
    operator = Operator([counting], Flaky(), SystemClock(), every=0.001)
    operator.start()
    eventually(lambda: counting.turns > 0)
    operator.stop()


# Two on one database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    at = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'w.db'}"
    database = Database(at, SystemClock())
    database.create_all()
    database.dispose()
    yield at


def test_of_two_only_one_acts_until_it_stops(url: str) -> None:
    here, there = Database(url, SystemClock()), Database(url, SystemClock())
    one, two = Counting("one"), Counting("two")
    first = Operator([one], Leadership(here, "operator", "first"), SystemClock())
    second = Operator([two], Leadership(there, "operator", "second"), SystemClock())
    assert first.turn().led and not second.turn().led and first.turn().led
    assert (one.turns, two.turns) == (2, 0)
    first.stop()
    assert second.turn().led and not first.turn().led
    here.dispose()
    there.dispose()


def test_a_lease_runs_out_by_the_machines_clock_when_its_holder_died(url: str) -> None:
    clock = ManualClock(NOON)
    database = Database(url, ManualClock(NOON))  # the workspace's own clock stands still
    dead, heir = (Leadership(database, "operator", name, clock) for name in ("dead", "heir"))
    lasting = timedelta(seconds=30)
    assert dead.hold(NOON, lasting) and not heir.hold(NOON, lasting)
    clock.advance(NOON + timedelta(seconds=29))
    assert not heir.hold(NOON, lasting)
    clock.advance(NOON + timedelta(seconds=31))
    assert heir.hold(NOON, lasting)
    assert heir.fence is not None and not dead.hold(NOON, lasting)  # who was only asleep has lost it
    database.dispose()


HOLDER = """
import sys, time
from datetime import timedelta
from modelwright.core.clock import SystemClock
from modelwright.store import Database
from modelwright.store.leases import Leadership
clock = SystemClock()
lease = Leadership(Database(sys.argv[1], clock), "operator", "other")
print(lease.hold(clock.now(), timedelta(hours=1)), flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_process_is_followed_when_its_lease_is_over(url: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "True\n"
    database, machine = Database(url, SystemClock()), ManualClock(SystemClock().now())
    heir = Operator([Counting("a")], Leadership(database, "operator", "heir", machine), SystemClock())
    assert not heir.turn().led
    other.kill()
    other.wait(LONG)
    other.stdout.close()
    machine.advance(timedelta(minutes=30))
    assert not heir.turn().led
    machine.advance(timedelta(minutes=31))
    assert heir.turn().led
    database.dispose()
