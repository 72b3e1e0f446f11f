"""What training scripts do to a tracking server, beside MLflow's own: the same requests and client, SQLite in both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.cases import CALLS, Bar, Case, Measured, Setting, benchmark
from benchmarks.servers import Server, need_mlflow
from benchmarks.tracking import create_run, each_server, log_batch, log_metric, new_experiment, new_run, three
from benchmarks.wire import Crowd, timed

CLIENTS = 8
# Calls of a lone client in one go. While others have their turn the disk of a virtual machine falls asleep, and is slow for
# a tenth of a second or so: for a hundred calls of ours, for a dozen of theirs. A training goes on logging for longer.
ALONE = 1000
Make = Callable[[str, str, int], bytes]  # of an experiment, a run of it, and a number that is new each time


@benchmark(
    "mlflow-writes", what="writing over HTTP in MLflow's protocol, beside MLflow's own server; p99 of single calls in ms"
)
def writes(setting: Setting) -> Iterator[Case]:
    """Ours has everything on disk when it answers; MLflow's leaves SQLite as it finds it, which is the same."""
    need_mlflow()
    with ExitStack() as stack:
        servers = three(stack, setting)
        crowd = stack.enter_context(Crowd(CLIENTS))
        kinds: list[tuple[str, Make, int, int]] = [
            ("create run", lambda experiment, _, number: create_run(experiment, number), ALONE, 50),
            ("log_metric", lambda _, run, number: log_metric(run, number), ALONE, 50),
            ("log_batch of 1,000 metrics", lambda _, run, number: log_batch(run, number), 10, 4),
        ]
        for label, make, alone, together in kinds:
            yield _alone(setting, servers, label, make, setting.size(alone, 3))
            yield _together(setting, servers, crowd, label, make, setting.size(together, 2))


def _alone(setting: Setting, servers: dict[str, Server], label: str, make: Make, calls: int) -> Case:
    def side(server: Server) -> Callable[[Any], Measured]:
        connection = server.connection()
        experiment = new_experiment(connection, f"{label}, one client")
        run, numbers = str(new_run(connection, experiment)["run_id"]), itertools.count(1)

        def work(_: Any) -> Measured:
            told = timed(connection, [make(experiment, run, next(numbers)) for _ in range(calls)])
            return Measured(told.seconds, told.each)

        return work

    return _case(setting, f"{label}, 1 client", calls, each_server(servers, side), runs=5 if calls == ALONE else 9)


def _together(setting: Setting, servers: dict[str, Server], crowd: Crowd, label: str, make: Make, calls: int) -> Case:
    """Each client has a run of its own, as eight training processes do."""

    def side(server: Server) -> Callable[[Any], Measured]:
        with server.connection() as connection:
            experiment = new_experiment(connection, f"{label}, {CLIENTS} clients")
            runs = [str(new_run(connection, experiment)["run_id"]) for _ in range(CLIENTS)]
        numbers = itertools.count(1)

        def requests(run: str) -> Sequence[bytes]:
            return [make(experiment, run, next(numbers)) for _ in range(calls)]

        def work(_: Any) -> Measured:
            told = crowd.send(server.address, [requests(run) for run in runs])
            return Measured(told.seconds, told.each)

        return work

    return _case(setting, f"{label}, {CLIENTS} clients", calls * CLIENTS, each_server(servers, side))


def _case(setting: Setting, label: str, calls: int, sides: dict[str, Any], runs: int = 9) -> Case:
    bar = Bar(10, of="times")
    return Case(label=label, unit=CALLS, amount=calls, runs=setting.size(runs, 1), warmups=1, bar=bar, **sides)
