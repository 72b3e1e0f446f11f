"""What one `log_metric` costs the training that calls it, beside MLflow's own call into its SQLite store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from benchmarks.cases import MICROSECONDS, Case, Setting, benchmark

CALLS = 1_000  # in one run of the offline case, whose single calls are too short to time
PEER_CALLS = 20


@benchmark("log-metric", what="one log_metric as the training script waits for it; the rest happens behind it")
def log_metric(setting: Setting) -> Iterator[Case]:
    """Offline (the log alone), with an embedded workspace and with nothing written at all; MLflow writes through."""
    import modelwright as mw

    project = setting.folder / "project"
    project.mkdir()
    (project / "modelwright.toml").write_text('[workspace]\nname = "benchmark"\n')
    peer = _mlflow(setting)
    for mode, label in (("offline", "the log alone"), ("online", "delivered meanwhile"), ("disabled", "disabled")):
        run = mw.start_run("speed", workspace=project, mode=mode, capture=False, system_metrics=False)  # type: ignore[arg-type]
        try:
            yield Case(
                label=f"log_metric, {label}",
                unit=MICROSECONDS,
                run=_ours(run),
                peer=peer,
                against="mlflow.log_metric, its SQLite store, per call" if peer is not None else "",
                amount=CALLS,
                runs=setting.size(20, 3),
            )
        finally:
            mw.end_run()


def _ours(run: Any) -> Callable[[object], object]:
    def call(_: object) -> None:
        for step in range(CALLS):
            run.log_metric("loss", 0.5, step=step)

    return call


def _mlflow(setting: Setting) -> Callable[[object], object] | None:
    """As many calls as ours in time: fewer are made, and the time is scaled to as many."""
    try:
        import mlflow
    except ImportError:
        return None
    from time import perf_counter

    from benchmarks.cases import Measured

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    client = mlflow.MlflowClient(f"sqlite:///{setting.folder / 'mlflow.db'}")
    experiment = client.create_experiment("speed", artifact_location=(setting.folder / "artifacts").as_uri())
    run, steps = client.create_run(experiment).info.run_id, count()

    def call(_: object) -> Measured:
        taken = []
        for _ in range(PEER_CALLS):
            began = perf_counter()
            client.log_metric(run, "loss", 0.5, step=next(steps))
            taken.append(perf_counter() - began)
        return Measured(sum(taken) / PEER_CALLS * CALLS, taken)

    return call
