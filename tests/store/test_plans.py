"""No question to the record reads the whole of a table that grows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from modelwright.core.clock import ManualClock
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.store import Database, EventFilter, Record, Verdict, catalog, evidence

NOW = datetime(2026, 1, 1, tzinfo=UTC)
R = Ref.parse
GROWING = ("ledger_events", "ledger_refs", "catalog_versions", "catalog_alias_moves", "catalog_dependencies", "evidence")


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    """SQLite tells how it goes about a query."""
    shutil.copyfile(migrated_sqlite, tmp_path / "record.db")
    made = Database(f"sqlite:///{tmp_path}/record.db", clock)
    yield made
    made.dispose()


@pytest.fixture
def filled(record: Record, write) -> Record:
    with write() as tx:
        for number in range(30):
            data = catalog.add(tx, Kind.DATASET, f"data/d{number}", digest=f"{number:064d}", record={})
            model = catalog.add(tx, Kind.MODEL, f"m{number}", digest=f"{number:064d}", record={}, needs=[data.ref])
            tx.record("models.version.made", model.ref, inputs=[data.ref], outputs=[model.ref])
            catalog.set_alias(tx, model.ref, "champion")
            evidence.attach(tx, "drift", model.ref, subject_digest="0" * 64, verdict=Verdict.PASS)
    record.checkpoint()
    return record


QUESTIONS: dict[str, Callable[[Record], Any]] = {
    "show": lambda r: r.show(R("model:m3@champion")),
    "history of a thing": lambda r: r.history(R("model:m3")),
    "history of a version": lambda r: r.history(R("model:m3@1"), EventFilter(since=NOW)),
    "lineage": lambda r: r.lineage(R("model:m3@1"), as_of=datetime(2027, 1, 1, tzinfo=UTC)),
    "evidence": lambda r: r.evidence(R("model:m3"), "drift"),
    "evidence of a version": lambda r: r.evidence(R("model:m3@1")),
    "dependants": lambda r: r.dependants(R("dataset:data/d3")),
    "live": lambda r: r.live(R("model:m3")),
    "alias history": lambda r: r.alias_history(R("model:m3")),
    "all that is live": lambda r: r.live(as_of=datetime(2027, 1, 1, tzinfo=UTC)),
    "what somebody did": lambda r: r.events(EventFilter(actor="bob")),
    "what was done": lambda r: r.events(EventFilter(action="models.version")),
    "when": lambda r: r.events(EventFilter(since=NOW, until=NOW)),
    "head": lambda r: r.head(),
    "proof": lambda r: r.proof(7),
    "export": lambda r: r.export_events(10, 5),
    "checkpoint": lambda r: r.checkpoint(),
}


def test_a_question_goes_along_an_index(filled: Record, database: Database):
    noted: list[tuple[str, Any]] = []
    asked: list[tuple[str, str, Any]] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def _note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            noted.append((statement, parameters))

    for question, ask in QUESTIONS.items():
        noted.clear()
        ask(filled)
        asked += [(question, *each) for each in noted]
    sa.event.remove(database.engine, "before_cursor_execute", _note)
    assert {question for question, _, _ in asked} == QUESTIONS.keys()
    with database.engine.connect() as connection:
        for question, statement, parameters in asked:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            scans = [step for step in plan if step.startswith("SCAN") and any(table in step.split() for table in GROWING)]
            assert all("LIMIT" in statement and "USING" in step for step in scans), (question, statement, plan)


def test_a_list_of_things_reads_no_more_than_its_page(filled: Record, database: Database, write):
    with write() as tx:
        page = catalog.list_things(tx, Kind.MODEL, Filter(limit=5))
    assert len(page.items) == 5
