"""The server itself: how long until it answers, and what it takes while nobody asks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.cases import MEBIBYTES, SECONDS, Bar, Case, Measured, Setting, benchmark
from benchmarks.servers import Server, need_mlflow, start_mlflow, start_ours
from benchmarks.tracking import ONE_WORKER, SHIPPED, new_experiment, new_run

SETTLES = 3.0  # seconds after the first answer; MLflow starts processes behind it
ENDS = 2.0  # seconds that a server is given to end by itself: MLflow's would take ten, and nothing of it is lost


@benchmark("mlflow-server", what="a server from its start to its first answer, and its memory idle, beside MLflow's own")
def server(setting: Setting) -> Iterator[Case]:
    """Memory is the proportional set size summed over all processes of a server, after a run was created."""
    need_mlflow()
    kinds: dict[str, Callable[[Path], Server]] = {
        "ours": start_ours,
        SHIPPED: start_mlflow,
        ONE_WORKER: lambda folder: start_mlflow(folder, workers=1),
    }
    fresh = itertools.count()

    def start(kind: str, *, again: bool) -> Callable[[Any], Measured]:
        def work(_: Any) -> Measured:
            folder = setting.folder / (kind if again else f"{kind} {next(fresh)}")
            folder.mkdir(exist_ok=True)
            began = time.perf_counter()
            running = kinds[kind](folder)
            seconds = time.perf_counter() - began
            running.stop(within=ENDS)
            return Measured(seconds)

        return work

    def idle(kind: str) -> Callable[[Any], Measured]:
        def work(_: Any) -> Measured:
            folder = setting.folder / f"{kind} {next(fresh)}"
            folder.mkdir()
            running = kinds[kind](folder)
            try:
                with running.connection() as connection:
                    new_run(connection, new_experiment(connection, "idle"))
                time.sleep(SETTLES)
                return Measured(running.memory())
            finally:
                running.stop(within=ENDS)

        return work

    def sides(make: Callable[[str], Callable[[Any], Measured]]) -> dict[str, Any]:
        return {"run": make("ours"), "peers": {kind: make(kind) for kind in (SHIPPED, ONE_WORKER)}}

    yield Case(
        label="start to first answer, where it ran before",
        unit=SECONDS,
        runs=setting.size(5, 1),
        bar=Bar(1),
        **sides(lambda kind: start(kind, again=True)),
    )
    yield Case(
        label="start to first answer, in an empty folder",
        unit=SECONDS,
        runs=3,
        warmups=0,
        **sides(lambda kind: start(kind, again=False)),
    )
    yield Case(label="memory, idle", unit=MEBIBYTES, runs=3, warmups=0, bar=Bar(150), **sides(idle))
