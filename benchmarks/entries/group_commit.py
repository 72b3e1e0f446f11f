"""What sharing a commit brings: audited writes from several threads, and submitted ones, beside one commit for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.cases import MICROSECONDS, Case, Setting, benchmark
from modelwright.core.clock import SystemClock
from modelwright.core.principals import operating_system_user
from modelwright.core.refs import Kind, Ref

EACH = 25  # writes of one thread in one run
OUTSTANDING = 200  # submitted before the first is waited for


@benchmark("group-commit", what="audited writes that wait for each other, each on disk when it is acknowledged; SQLite")
def group_commit(setting: Setting) -> Iterator[Case]:
    """The peer is the same database with groups of one: each write commits by itself, as all did before."""
    from modelwright.store import Database, Transaction
    from modelwright.store.tables import catalog_tags, metadata

    numbers, principal, resource = count(1), operating_system_user(), Ref(Kind.WORKSPACE, "notes")
    insert = catalog_tags.insert()

    def work(tx: Transaction) -> None:
        tx.execute(insert, {"ref": f"row/{next(numbers)}", "key": "k", "value": "A sentence that people write."})
        tx.record("benchmark.note.added", resource)

    def database(name: str, **options: float) -> Database:
        made = Database(f"sqlite:///{setting.folder / name}.db", SystemClock(), **options)
        metadata.create_all(made.engine)
        return made

    def threads(base: Database, crowd: int) -> Callable[[object], object]:
        def stream() -> None:
            for _ in range(EACH):
                with base.transaction(principal, write=True) as tx:
                    work(tx)

        def run(_: object) -> None:
            started = [threading.Thread(target=stream) for _ in range(crowd)]
            for each in started:
                each.start()
            for each in started:
                each.join()

        return run

    def submitted(base: Database) -> Callable[[object], object]:
        def run(_: object) -> None:
            for future in [base.submit(work, principal) for _ in range(OUTSTANDING)]:
                future.result()

        return run

    together, alone = database("together"), database("alone", lasts=0)
    for crowd in (1, 8):
        yield Case(
            label=f"a write, {crowd} thread{'s' if crowd > 1 else ''}",
            unit=MICROSECONDS,
            amount=EACH * crowd,
            run=threads(together, crowd),
            peer=threads(alone, crowd),
            against="a commit for each",
            runs=setting.size(15, 3),
            warmups=1,
        )
    yield Case(
        label=f"a submitted write, {OUTSTANDING} at once",
        unit=MICROSECONDS,
        amount=OUTSTANDING,
        run=submitted(together),
        peer=submitted(alone),
        against="a commit for each",
        runs=setting.size(15, 3),
        warmups=1,
    )
    together.dispose()
    alone.dispose()
