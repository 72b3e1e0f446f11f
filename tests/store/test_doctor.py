from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.refs import Ref
from modelwright.store import Database, LedgerSettings, Record, Verdict, doctor
from modelwright.store.tables import ledger_events
from modelwright.store.upgrade import prepare


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    """A migrated database."""
    url = f"sqlite:///{tmp_path}/record.db"
    if request.param == "postgresql":
        request.getfixturevalue("flushed")
        url = request.getfixturevalue("postgres_url")
    made = Database(url, clock)
    prepare(made, backups=tmp_path / "backups")
    yield made
    made.dispose()


@pytest.fixture
def patient(database: Database, record: Record, write, clock: ManualClock, tmp_path: Path) -> doctor.Subject:
    """A workspace in good health."""
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    record.checkpoint()
    record.blobs.put(b"content")
    ledger = LedgerSettings(keys=str(tmp_path / "keys"), outside=str(tmp_path / "outside"))
    return doctor.Subject(database=database, objects=record.blobs, folder=tmp_path, ledger=ledger, now=clock.now())


def ill(subject: doctor.Subject) -> dict[str, Verdict]:
    return {c.name: c.verdict for c in doctor.examine(subject) if c.verdict not in (Verdict.PASS, Verdict.INFO)}


def test_a_healthy_workspace_has_nothing_to_mend(patient: doctor.Subject):
    assert ill(patient) == {}
    assert all(check.what for check in doctor.examine(patient))


def test_a_damaged_object_is_found(patient: doctor.Subject):
    (digest,) = patient.objects.list()
    obstore.put(patient.objects._store, f"{digest[:2]}/{digest}", b"another")
    assert ill(patient) == {"objects readable": Verdict.FAIL}


def test_a_changed_event_is_found(patient: doctor.Subject, write):
    with write() as tx:
        tx.execute(ledger_events.update().where(ledger_events.c.seq == 0).values(body=b"{}"))
    assert ill(patient) == {"ledger whole": Verdict.FAIL}


def test_events_that_nobody_seals_are_warned_of(patient: doctor.Subject, write):
    import msgspec

    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    later = msgspec.structs.replace(patient, now=patient.now + timedelta(days=1))
    assert ill(later) == {"checkpoints": Verdict.WARN}


def test_a_lost_or_open_key_is_found(patient: doctor.Subject):
    (key,) = Path(patient.ledger.keys).iterdir()
    key.chmod(0o644)
    assert ill(patient) == {"signing key": Verdict.FAIL}
    key.unlink()
    assert ill(patient) == {"signing key": Verdict.FAIL}


def test_a_database_that_is_gone_fails_each_check_that_needs_it_and_no_other(patient: doctor.Subject, database: Database):
    if not database.is_sqlite:
        pytest.skip("the server is shared with other tests")
    database.dispose()
    for file in Path(str(database.url.database)).parent.glob("record.db*"):
        file.unlink()
    found = ill(patient)
    assert {"migrations", "ledger whole", "ledger sealed"} <= found.keys()
    assert "objects" not in found
