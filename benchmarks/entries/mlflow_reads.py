"""What pages, scripts and people ask a tracking server, beside MLflow's own, over the same generated runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.cases import MILLISECONDS, Bar, Case, Measured, Setting, benchmark
from benchmarks.servers import Server, mlflow, need_mlflow, ours
from benchmarks.tracking import (
    API,
    ONE_WORKER,
    SHIPPED,
    analyse,
    each_server,
    fill_mlflow,
    fill_ours,
    generated,
    history,
    log_batch,
    new_experiment,
    new_run,
    search,
)
from benchmarks.wire import request, timed

ANALYSED = "MLflow, one worker, after ANALYZE"
POINTS = 100_000
BATCH = 1_000
Store = dict[str, tuple[Server, str, str]]  # server, experiment, and one of its runs


@benchmark(
    "mlflow-reads", what="reading over HTTP in MLflow's protocol, beside MLflow's own server; 20,000 runs of 25 values"
)
def reads(setting: Setting) -> Iterator[Case]:
    """Searches, the newest runs, one run, and a curve with all its pages."""
    need_mlflow()
    with ExitStack() as stack:
        store = _filled(stack, setting, setting.size(20_000, 300))
        runs = setting.size(11, 1)
        yield from _searches(setting, store, calls=2, runs=runs)  # as shipped the peer may take half a minute for one
        yield _asked(
            store,
            "the newest 100 runs",
            lambda experiment, _: search(experiment, filtered=False),
            calls=setting.size(10, 2),
            runs=runs,
            bar=Bar(10, of="times"),
        )
        yield _asked(
            store,
            "one run",
            lambda _, run: request("GET", f"{API}/runs/get?run_id={run}"),
            calls=setting.size(50, 2),
            runs=runs,
            bar=Bar(10, of="times"),
        )
        yield _curve(setting, store)


@benchmark("mlflow-many-runs", what="the same searches over 200,000 runs of 25 values, MLflow's after ANALYZE")
def many_runs(setting: Setting) -> Iterator[Case]:
    """Ten times as many runs. As shipped the peer does not answer one such search within seven minutes: it is left out."""
    need_mlflow()
    with ExitStack() as stack:
        store = _filled(stack, setting, setting.size(200_000, 600), kinds=(ANALYSED,))
        yield from _searches(setting, store, calls=1, runs=setting.size(5, 1))


def _filled(
    stack: ExitStack, setting: Setting, count: int, *, kinds: Sequence[str] = (SHIPPED, ONE_WORKER, ANALYSED)
) -> Store:
    """Ours, brought over from MLflow's; and MLflow's in both modes as shipped and once more with its database analysed."""
    first, *others = folders = {kind: setting.folder / kind.replace(" ", "-") for kind in kinds}
    with mlflow(folders[first], workers=1):
        pass  # it makes the tables
    fill_mlflow(folders[first] / "mlflow.db", count)
    for kind in others:
        shutil.copytree(folders[first], folders[kind])
    analyse(folders[ANALYSED] / "mlflow.db")
    project = setting.folder / "ours"
    project.mkdir()
    fill_ours(project, folders[first] / "mlflow.db")
    run = next(generated(1)).id
    store = {"ours": (stack.enter_context(ours(project)), "0", run)}
    for kind, folder in folders.items():
        workers = None if kind == SHIPPED else 1
        store[kind] = (stack.enter_context(mlflow(folder, workers=workers)), "0", run)
    return store


def _searches(setting: Setting, store: Store, *, calls: int, runs: int) -> Iterator[Case]:
    found = {}
    for kind, (server, experiment, _) in store.items():
        with server.connection() as connection:
            page = connection.ask(search(experiment)).json().get("runs", [])
            found[kind] = [each["info"]["run_name"] for each in page]
    if len({tuple(each) for each in found.values()}) != 1:
        raise RuntimeError(f"the servers found different runs: { {kind: each[:3] for kind, each in found.items()} }")
    yield _asked(
        store,
        "search with two filters and an order, the first 100",
        lambda experiment, _: search(experiment),
        calls=calls,
        runs=runs,
        bar=Bar(5, of="times"),
    )
    yield Case(
        label="the slowest of a hundred such searches, ours alone",
        unit=MILLISECONDS,
        amount=20,
        runs=setting.size(5, 1),
        bar=Bar(50, of="p99"),
        run=_side(store["ours"], search(store["ours"][1]), 20),
    )


def _asked(store: Store, label: str, make: Callable[[str, str], bytes], *, calls: int, runs: int, bar: Bar) -> Case:
    """So many calls on one kept connection; the figure is the time of one."""

    kinds = {id(server): kind for kind, (server, _, _) in store.items()}

    def side(server: Server) -> Callable[[Any], Measured]:
        held = store[kinds[id(server)]]
        return _side(held, make(held[1], held[2]), calls)

    return Case(
        label=label,
        unit=MILLISECONDS,
        amount=calls,
        runs=runs,
        bar=bar,
        **each_server({kind: store[kind][0] for kind in store}, side),
    )


def _side(held: tuple[Server, str, str], sent: bytes, calls: int) -> Callable[[Any], Measured]:
    connection = held[0].connection()

    def work(_: Any) -> Measured:
        held[0].go_on()
        told = timed(connection, [sent] * calls)
        return Measured(told.seconds, told.each)

    return work


def _curve(setting: Setting, store: Store) -> Case:
    points = setting.size(POINTS, BATCH)
    servers = {kind: store[kind][0] for kind in store if kind != ANALYSED}

    def side(server: Server) -> Callable[[Any], object]:
        connection = server.connection()
        run = str(new_run(connection, new_experiment(connection, "one long curve"))["run_id"])
        for number in range(points // BATCH):
            connection.ask(log_batch(run, number, names=1, steps=BATCH))

        def work(_: Any) -> None:
            came = history(connection, run, "metric_0")
            if came != points:
                raise RuntimeError(f"{came} points came of {points}")

        return work

    return Case(
        label=f"the history of {points:,} points, all pages",
        unit=MILLISECONDS,
        runs=setting.size(7, 1),
        bar=Bar(15, of="times"),
        **each_server(servers, side),
    )
