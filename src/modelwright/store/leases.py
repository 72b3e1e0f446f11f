"""Named leases: the right of one process to act, held for a while, with a number that grows at every change of holder.

The number is the fence. Whoever acts under a lease gives it along, and a write under an older one is refused: a process
that was asleep while its lease ran out cannot overwrite what its successor did.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import Clock, SystemClock, isoformat, parse_time
from modelwright.core.errors import Conflict
from modelwright.core.principals import OPERATOR
from modelwright.store.database import Database, Transaction
from modelwright.store.tables import leases

_l = leases.c


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it stands."""

    name: str
    holder: str
    fence: int
    until: datetime


def acquire(tx: Transaction, name: str, holder: str, lasting: timedelta, *, now: datetime | None = None) -> Lease | None:
    """Take a lease that is free, has run out, or is one's own already (then it is renewed); None while another holds it.

    `now` is the transaction's time unless another is given. A change of holder raises the fence.
    """
    moment = now or tx.now
    held = find(tx, name)
    if held is None:
        made = Lease(name=name, holder=holder, fence=1, until=moment + lasting)
        tx.execute(leases.insert().values(name=name, holder=holder, fence=1, until=isoformat(made.until)))
        return made
    mine = held.holder == holder
    if not mine and held.until > moment:
        return None
    fence = held.fence if mine and held.until > moment else held.fence + 1
    until = moment + lasting
    tx.execute(leases.update().where(_l.name == name).values(holder=holder, fence=fence, until=isoformat(until)))
    return Lease(name=name, holder=holder, fence=fence, until=until)


def renew(tx: Transaction, lease: Lease, lasting: timedelta, *, now: datetime | None = None) -> Lease:
    """Hold a lease for longer; `Conflict` if it has gone to another since."""
    check(tx, lease.name, lease.fence)
    until = (now or tx.now) + lasting
    tx.execute(leases.update().where(_l.name == lease.name).values(until=isoformat(until)))
    return msgspec.structs.replace(lease, until=until)


def release(tx: Transaction, lease: Lease) -> None:
    """Give a lease back; nothing happens if it has gone to another since. Its fence is kept, so that it only ever grows."""
    mine = (_l.name == lease.name, _l.fence == lease.fence, _l.holder == lease.holder)
    tx.execute(leases.update().where(*mine).values(until=isoformat(datetime.min.replace(tzinfo=lease.until.tzinfo))))


def check(tx: Transaction, name: str, fence: int) -> None:
    """Raise `Conflict` unless that fence is still the newest: to be asked in the transaction that it protects."""
    held = find(tx, name)
    if held is None or held.fence != fence:
        now = f"{held.holder} holds it with fence {held.fence}" if held else "nobody ever held it"
        raise Conflict(f"The lease {name!r} with fence {fence} is over: {now}.", mend="Stop, and acquire it again.")


def find(tx: Transaction, name: str) -> Lease | None:
    """A lease as it stands, run out or not."""
    row = tx.execute(sa.select(leases).where(_l.name == name)).first()
    return None if row is None else _lease(row)


def read_all(connection: sa.Connection) -> list[Lease]:
    """All leases, by name."""
    return [_lease(row) for row in connection.execute(sa.select(leases).order_by(_l.name))]


class Leadership:
    """One lease of one process, held across transactions: what the operator keeps.

    It runs on the machine's clock, not on the workspace's, which may be simulated and stand still: a lease has to run out
    when its holder died.
    """

    def __init__(self, database: Database, name: str, holder: str, clock: Clock | None = None) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._clock = clock or SystemClock()
        self._lease: Lease | None = None

    @property
    def fence(self) -> int | None:
        """The number to act under, or None while another holds the lease."""
        return self._lease.fence if self._lease else None

    def hold(self, now: datetime, lasting: timedelta) -> bool:
        """Take or renew the lease; False while another holds it. `now`, the workspace's time, does not count here.

        While two thirds of it are left nothing is written: nobody else can have it before it has run out.
        """
        moment = self._clock.now()
        if self._lease is not None and self._lease.until - moment > lasting * 2 / 3:
            return True
        with self._database.transaction(OPERATOR, write=True) as tx:
            self._lease = acquire(tx, self._name, self._holder, lasting, now=moment)
        return self._lease is not None

    def give_up(self) -> None:
        """Let another have it at once."""
        if self._lease is not None:
            with self._database.transaction(OPERATOR, write=True) as tx:
                release(tx, self._lease)
            self._lease = None


def _lease(row: Any) -> Lease:
    return Lease(name=row.name, holder=row.holder, fence=row.fence, until=parse_time(row.until))
