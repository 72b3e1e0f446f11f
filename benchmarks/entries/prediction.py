"""One prediction: in the process, and from a server over HTTP on the loopback address, with every answer logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.cases import MILLISECONDS, Case, Setting, benchmark
from benchmarks.servers import ours
from modelwright.core.clock import SystemClock
from modelwright.core.refs import Ref
from modelwright.workspace import Settings, Workspace, open_workspace

ROW: dict[str, list[Any]] = {"hour": [22], "wind": [18.5], "carrier": ["UA"]}
KINDS = {"hour": "INT64", "wind": "FP64", "carrier": "BYTES"}
FORMS = ("skops", "onnx")


@benchmark("prediction", what="one row predicted, checked against the signature and logged; a small scikit-learn pipeline")
def prediction(setting: Setting) -> Iterator[Case]:
    """In the process the peer is the estimator itself; over HTTP, the same server's answer without a prediction."""
    import httpx
    import pandas as pd

    project = setting.folder / "project"
    estimator, frame = _estimator(), pd.DataFrame(ROW)
    with open_workspace(project, settings=Settings()) as workspace:
        endpoints = {form: _deployed(workspace, setting.folder, estimator, form) for form in FORMS}
        for form in FORMS:
            yield _in_process(workspace, setting, form, lambda _: estimator.predict_proba(frame))
    (project / "modelwright.toml").write_text("")
    inputs = [{"name": name, "shape": [1], "datatype": KINDS[name], "data": values} for name, values in ROW.items()]
    with ours(project) as server, httpx.Client(base_url=server.url) as client:
        for form, endpoint in endpoints.items():

            def ask(_: object, endpoint: str = endpoint) -> None:
                client.post(f"/v2/models/{endpoint}/infer", json={"inputs": inputs}).raise_for_status()

            yield Case(
                label=f"Open Inference over HTTP, {form}",
                unit=MILLISECONDS,
                run=ask,
                peer=lambda _: client.get("/v2/health/live").raise_for_status(),
                against="an answer that predicts nothing",
                runs=setting.size(2_000, 20),
                warmups=50,
            )


def _in_process(workspace: Workspace, setting: Setting, form: str, peer: Any) -> Case:
    from modelwright.serving import Arm, Call, Plane, PredictionLog, Route, load

    version = workspace.models.show(Ref.parse(f"model:delay-{form}"))
    files = {path: workspace.caller.blobs.read(digest) for path, digest in version.record.files.items()}
    manifest = version.manifest
    plane = Plane([PredictionLog(setting.folder / f"log-{form}", SystemClock())])
    route = Route(endpoint="delay", stable=Arm(model=version.ref, digest=manifest.digest))
    plane.swap([route], {manifest.digest: load(manifest, files)})
    return Case(
        label=f"in the process, {form}",
        unit=MILLISECONDS,
        run=lambda _: plane.predict(Call(endpoint="delay", batch=ROW, request_id="r")),
        peer=peer,
        against="predict_proba of a data frame",
        runs=setting.size(1_000, 20),
        warmups=20,
    )


def _estimator() -> Any:
    """A pipeline as a user would write it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["hour", "wind"]), ("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"])],
        sparse_threshold=0,
    )
    return make_pipeline(columns, LogisticRegression()).fit(*_example())


def _example() -> tuple[Any, Any]:
    """Flights, and which of them were late."""
    import numpy as np
    import pandas as pd

    seeded = np.random.default_rng(7)
    hours, wind = seeded.integers(0, 24, 300), seeded.normal(10, 4, 300)
    rows = pd.DataFrame({"hour": hours, "wind": wind, "carrier": seeded.choice(["AA", "UA"], 300)})
    return rows, (rows.hour / 6 + rows.wind / 4 + (rows.carrier == "UA") > 5).astype(int)


def _deployed(workspace: Workspace, folder: Path, estimator: Any, form: str) -> str:
    """Register the model, take it through the gate into staging, and name its endpoint."""
    from modelwright.datasets import RowCount

    rows, late = _example()
    rows.to_csv(folder / "flights.csv", index=False)
    data = workspace.datasets.add("flights", folder / "flights.csv", checks=[RowCount(minimum=1)]).ref
    run = workspace.experiments.start("delay").ref
    model = workspace.models.log(f"delay-{form}", estimator, example=rows, run=run, datasets=[data], format=form)
    workspace.evaluation.evaluate(model.ref, late, workspace.models.load(model.ref).scores(rows), dataset=data)
    workspace.models.promote(model.ref, "staging", reason="to be measured")
    placed = workspace.deployments.deploy(f"delay-{form}", model.ref, "staging", reason="to be measured")
    return placed.placements[0].endpoint
