"""A workspace of monitoring alone: one room on one database, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal, operating_system_user
from modelwright.core.refs import Kind, Ref
from modelwright.monitoring import Monitoring
from modelwright.policy.decisions import decide
from modelwright.store import Database, Decision, Embedded, Transaction, catalog
from modelwright.store.objects import Objects

START = datetime(2013, 1, 1, tzinfo=UTC)


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

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.database = Database(f"sqlite:///{folder / 'workspace.db'}", self.clock)
        self.database.create_all()
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
def home(tmp_path: Path) -> Iterator[Home]:
    here = Home(tmp_path)
    yield here
    here.database.dispose()
