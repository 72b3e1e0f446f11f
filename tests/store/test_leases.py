from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.errors import Conflict
from modelwright.store import Database, Leadership, leases

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_lease_is_held_by_one_until_it_runs_out(write):
    with write() as tx:
        first = leases.acquire(tx, "operator", "a", MINUTE, now=START)
        assert first is not None
        assert leases.acquire(tx, "operator", "b", MINUTE, now=START + MINUTE / 2) is None
        again = leases.acquire(tx, "operator", "a", MINUTE, now=START + MINUTE / 2)
        assert again is not None
        assert (again.fence, again.until) == (first.fence, START + 1.5 * MINUTE)
        taken = leases.acquire(tx, "operator", "b", MINUTE, now=START + 1.5 * MINUTE)
        assert taken is not None
        assert taken.fence == first.fence + 1


def test_whoever_lost_a_lease_can_neither_write_under_it_nor_renew_nor_release_it(write):
    with write() as tx:
        old = leases.acquire(tx, "operator", "a", MINUTE, now=START)
        new = leases.acquire(tx, "operator", "b", MINUTE, now=START + 2 * MINUTE)
        assert old is not None
        assert new is not None
        with pytest.raises(Conflict, match="b holds it"):
            leases.check(tx, "operator", old.fence)
        with pytest.raises(Conflict):
            leases.renew(tx, old, MINUTE)
        leases.release(tx, old)
        leases.check(tx, "operator", new.fence)
        assert leases.find(tx, "operator") == new


def test_the_same_holder_that_let_its_lease_run_out_gets_a_new_fence(write):
    with write() as tx:
        old = leases.acquire(tx, "operator", "a", MINUTE, now=START)
        new = leases.acquire(tx, "operator", "a", MINUTE, now=START + 2 * MINUTE)
        assert old is not None
        assert new is not None
        assert new.fence == old.fence + 1


def test_a_released_lease_is_free_at_once_and_its_fence_keeps_growing(write):
    with write() as tx:
        first = leases.acquire(tx, "operator", "a", MINUTE, now=START)
        assert first is not None
        leases.release(tx, leases.renew(tx, first, MINUTE, now=START))
        second = leases.acquire(tx, "operator", "b", MINUTE, now=START)
        assert second is not None
        assert second.fence == first.fence + 1
        assert [lease.holder for lease in leases.read_all(tx.connection)] == ["b"]


def test_leadership_passes_on_when_its_holder_died_although_the_workspaces_clock_stands_still(database: Database):
    machine = ManualClock(START)
    one, other = (Leadership(database, "operator", holder, machine) for holder in "ab")
    assert one.hold(database.clock.now(), MINUTE)
    assert not other.hold(database.clock.now(), MINUTE)
    assert other.fence is None
    machine.advance(2 * MINUTE)
    assert other.hold(database.clock.now(), MINUTE)
    assert not one.hold(database.clock.now(), MINUTE)
    assert other.fence == 2
    other.give_up()
    assert one.hold(database.clock.now(), MINUTE)
