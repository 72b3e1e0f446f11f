"""A database in a folder, a clock that obeys, and callers for as many people as a test needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
import pytest
import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.clock import ManualClock
from modelwright.core.hashing import digest_bytes
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.policy import GateReport, Policy, Rights, require
from modelwright.store import Database, Embedded, Evidence, Verdict, Version, catalog, evidence
from modelwright.store.tables import ledger_events


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def database(tmp_path: Path, migrated_sqlite: Path, clock: ManualClock) -> Iterator[Database]:
    file = shutil.copyfile(migrated_sqlite, tmp_path / "workspace.db")
    made = Database(f"sqlite:///{file}", clock)
    yield made
    made.dispose()


class NoBlobs:
    """Policy stores no objects: whoever asks for one here has found a mistake."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"policy asked for an object ({name})")


class Office:
    """The people of a test: `office.policy("ada")` is the room as ada sees it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rights = Rights(database)

    def caller(self, who: str | Principal) -> Embedded:
        """As a name: embedded use, trusted. As a principal: whatever that one is."""
        principal = Principal(id=who, trusted=True) if isinstance(who, str) else who
        return Embedded(self.database, cast("Blobs", NoBlobs()), self.rights, principal)

    def policy(self, who: str | Principal) -> Policy:
        return Policy(self.caller(who))

    def events(self) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            rows = connection.execute(sa.select(ledger_events.c.body).order_by(ledger_events.c.seq))
            return [msgspec.json.decode(row.body) for row in rows]

    def add(
        self, who: str | Principal, ref: str, *, content: str | None = None, needs: Sequence[Ref] = (), **record: Any
    ) -> Version:
        """Register a version as somebody, the way a room does: with the event that names it."""
        kind, name = ref.split(":")
        with self.caller(who).transaction(write=True) as tx:
            made = catalog.add(
                tx, Kind(kind), name, digest=digest_bytes((content or ref).encode()), record=record, needs=needs
            )
            tx.record("test.version.added", made.ref, inputs=list(needs), outputs=[made.ref])
            return made

    def know(
        self,
        who: str | Principal,
        version: Version,
        kind: str,
        verdict: Verdict = Verdict.PASS,
        *,
        digest: str | None = None,
        inputs: Sequence[Ref] = (),
        **figures: Any,
    ) -> Evidence:
        """Attach evidence as somebody."""
        with self.caller(who).transaction(write=True) as tx:
            return evidence.attach(
                tx,
                kind,
                version.ref,
                subject_digest=digest or version.digest,
                verdict=verdict,
                figures=figures,
                inputs=inputs,
            )

    def require(
        self, who: str | Principal, ref: Ref, action: str = "promote", environment: str = "production"
    ) -> GateReport:
        """What a service upstairs does before it acts."""
        with self.caller(who).transaction(write=True) as tx:
            return require(tx, ref, action, environment=environment)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


HARMLESS = {
    "autonomy": "person-can-object",
    "people": "up-to-1000",
    "money": "up-to-100000",
    "undo": "at-once",
    "rights": "no",
    "safety": "no",
    "personal_data": "none",
    "vulnerable": "no",
    "regulated": "no",
    "outside": "no",
}


@pytest.fixture
def ready(office: Office) -> Version:
    """A model version of tier standard by ada, with everything known that production asks for but the approval."""
    data = office.add("ada", "dataset:flights")
    office.know("ada", data, "data-checks")
    model = office.add("ada", "model:delay", needs=[data.ref])
    for kind in ("evaluation", "comparison", "slices", "model-card"):
        office.know("ada", model, kind, n=5000)
    office.policy("ada").classify(model.ref, HARMLESS)
    return model
