"""A workspace of monitoring alone: one room on one database, with a clock that the test moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Resource
from modelwright.core.principals import Principal, operating_system_user
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets
from modelwright.monitoring import Monitoring
from modelwright.monitoring.ports import AT, ID, MODEL
from modelwright.monitoring.turn import MonitorTurn
from modelwright.policy.decisions import decide
from modelwright.store import Database, Decision, Embedded, Transaction, catalog
from modelwright.store.objects import Objects

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


class Everybody:
    """Whoever is trusted may do everything: embedded use."""

    def decide(self, tx: Transaction, principal: Principal, verb: str, resource: Resource) -> Decision:
        return decide({}, (), principal, verb, resource)

    def readable(self, tx: Transaction, principal: Principal, kind: str) -> None:
        return None

    def denied(self, principal: Principal, verb: str, resource: Resource, rules: object) -> None:
        raise AssertionError(f"{principal.id} was refused {verb} on {resource}")


class Home:
    """The database, the clock and the room; with one model version and one reference dataset in the catalog."""

    def __init__(self, folder: Path, tables: Path) -> None:
        """`tables` is a SQLite file with every table and no row."""
        self.clock = ManualClock(START)
        file = shutil.copyfile(tables, folder / "workspace.db")
        self.database = Database(f"sqlite:///{file}", self.clock)
        self.caller = Embedded(self.database, Objects.open(folder / "objects"), Everybody(), operating_system_user())
        self.monitoring = Monitoring(self.caller)
        with self.caller.transaction(write=True) as tx:
            for kind, name in ((Kind.MODEL, "delay"), (Kind.DATASET, "reference")):
                for version in (1, 2):
                    catalog.add(tx, kind, name, digest=digest_value([name, version]), record={})

    def events(self, prefix: str = "") -> list[str]:
        """The actions in the ledger, in order."""
        import sqlalchemy as sa

        from modelwright.store.tables import ledger_events

        with self.caller.transaction(write=False) as tx:
            actions = tx.execute(sa.select(ledger_events.c.action).order_by(ledger_events.c.seq)).scalars()
            return [action for action in actions if action.startswith(prefix)]

    def evidence(self, ref: Ref, kind: str) -> list[str]:
        """The verdicts of one kind about a version, oldest first."""
        from modelwright.store import evidence

        with self.caller.transaction(write=False) as tx:
            return [each.verdict.value for each in reversed(evidence.about(tx, ref, kind))]


@pytest.fixture
def home(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Home]:
    here = Home(tmp_path, migrated_sqlite)
    yield here
    here.database.dispose()


class Logged:
    """Predictions held in a table: the port's second implementation, for tests."""

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.reads = 0

    def log(self, deployment: str, table: pa.Table) -> None:
        """Add rows, whatever their order."""
        held = self.tables.get(deployment)
        self.tables[deployment] = table if held is None else pa.concat_tables([held, table])

    def read(self, deployment: str, since: datetime, until: datetime) -> pa.Table:
        """See `Predictions`."""
        self.reads += 1
        empty = pa.table({ID: pa.array([], pa.string()), AT: pa.array([], TIME), MODEL: pa.array([], pa.string())})
        table = self.tables.get(deployment, empty)
        bounds = [pa.scalar(moment, TIME) for moment in (since, until)]
        times = table.column(AT)
        return table.filter(pc.and_(pc.greater_equal(times, bounds[0]), pc.less(times, bounds[1]))).sort_by(AT)


class Tables(Datasets):
    """Dataset versions held in memory."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.tables: dict[str, pa.Table] = {}

    def read(self, ref: Ref | str, *columns: Any, **how: Any) -> pa.Table:
        return self.tables[str(ref)]


@pytest.fixture
def logged() -> Logged:
    return Logged()


@pytest.fixture
def tables(home: Home) -> Tables:
    return Tables(home.caller)


@pytest.fixture
def turn(home: Home, logged: Logged, tables: Tables) -> Callable[[datetime], Sequence[str]]:
    """One turn of the monitor at a moment, as the operator would call it."""
    judge = MonitorTurn(home.monitoring, tables, logged)

    def at(moment: datetime) -> Sequence[str]:
        home.clock.advance(max(moment, home.clock.now()))
        return judge.turn(moment)

    return at
