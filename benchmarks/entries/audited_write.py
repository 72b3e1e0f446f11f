"""What the audit costs: an operation with its event, beside the same row written without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from benchmarks.cases import MICROSECONDS, Bar, Case, Setting, benchmark
from modelwright.core.clock import SystemClock
from modelwright.core.operations import Room, operation
from modelwright.core.principals import operating_system_user
from modelwright.core.refs import Kind, Ref
from modelwright.workspace import Settings, Workspace, open_workspace

BATCH = 100  # writes in one transaction
NOTE = "A sentence of the length that people write."


@benchmark("audited-write", what="one write with its event in the ledger, both on disk when it returns; SQLite")
def audited_write(setting: Setting) -> Iterator[Case]:
    """Twice against plain SQLAlchemy, with the flush to disk and without it; and what the event alone adds."""
    import sqlalchemy as sa

    from modelwright.store import Database
    from modelwright.store.tables import metadata

    notes = sa.Table(
        "benchmark_notes",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )

    class Notes(Room):
        """A room with the smallest operation there can be: one row."""

        room, kind = "benchmark", Kind.WORKSPACE

        @operation("write", event="benchmark.note.added")
        def add(self, tx: Any, name: str, number: int) -> int:
            """Add one row."""
            tx.execute(insert, {"id": number, "text": NOTE})
            return number

    insert, numbers = notes.insert(), count(1)
    runs = setting.size(600, 30)

    def durability(base: Database, *, flushed: bool) -> None:
        @sa.event.listens_for(base.engine, "connect")
        def _configure(connection: Any, _: Any) -> None:
            connection.execute(f"PRAGMA synchronous={'FULL' if flushed else 'OFF'}")

        base.dispose()  # whoever connects from now on

    def plain(engine: sa.Engine) -> Callable[[object], object]:
        def write(number: object) -> None:
            with engine.connect().execution_options(modelwright_write=True) as connection, connection.begin():
                connection.execute(insert, {"id": number, "text": NOTE})

        return write

    for flushed in (True, False):
        how = "flushed to disk" if flushed else "not flushed"
        with _workspace(setting, how) as workspace:
            assert workspace.home is not None
            durability(workspace.home.database, flushed=flushed)
            notes.create(workspace.home.database.engine)
            room = Notes(workspace.caller)
            room.add("notes", next(numbers))
            other = Database(f"sqlite:///{setting.folder / how.replace(' ', '-')}.db", SystemClock())
            durability(other, flushed=flushed)
            notes.create(other.engine)
            metadata.create_all(other.engine)
            yield Case(
                label=f"an operation, {how}",
                unit=MICROSECONDS,
                before=numbers.__next__,
                run=lambda number, room=room: room.add("notes", number),
                peer=plain(other.engine),
                against="the row alone, SQLAlchemy",
                runs=runs,
                warmups=20,
                bar=Bar(50, of="added"),
            )
            yield Case(
                label=f"the event alone, {how}",
                unit=MICROSECONDS,
                before=numbers.__next__,
                run=_in_transaction(other, insert, event=True),
                peer=_in_transaction(other, insert, event=False),
                against="the same transaction without it",
                runs=runs,
                warmups=20,
                bar=Bar(50, of="added"),
            )
            if not flushed:
                yield _in_batches(other, insert, numbers, runs)
            other.dispose()


def _in_batches(database: Any, insert: Any, numbers: Iterator[int], runs: int) -> Case:
    """Many writes in one transaction, so that its own cost falls away and the event's remains."""

    resource = Ref(Kind.WORKSPACE, "notes")

    def write(event: bool) -> None:
        with database.transaction(operating_system_user(), write=True) as tx:
            for _ in range(BATCH):
                tx.execute(insert, {"id": next(numbers), "text": NOTE})
                if event:
                    tx.record("benchmark.note.added", resource)

    return Case(
        label=f"each of {BATCH} events in one transaction",
        unit=MICROSECONDS,
        amount=BATCH,
        run=lambda _: write(True),
        peer=lambda _: write(False),
        against="the same transaction without them",
        runs=max(3, runs // 10),
        warmups=3,
        bar=Bar(50, of="added"),
    )


def _workspace(setting: Setting, name: str) -> Workspace:
    return open_workspace(setting.folder / name.replace(" ", "-"), settings=Settings())


def _in_transaction(database: Any, insert: Any, *, event: bool) -> Callable[[object], object]:
    principal, resource = operating_system_user(), Ref(Kind.WORKSPACE, "notes")

    def write(number: object) -> None:
        with database.transaction(principal, write=True) as tx:
            tx.execute(insert, {"id": number, "text": NOTE})
            if event:
                tx.record("benchmark.note.added", resource)

    return write
