"""From a run to a version that answers: logged, registered and loaded by MLflow's own client, and ours on the way."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwright.core.refs import Kind, Ref
from modelwright.models import Stage
from modelwright.serving import Format
from tests.waiting import eventually

_numbers = itertools.count()
FRAME = pd.DataFrame({"distance": [100.0, 200.0, 300.0, 400.0], "hour": [1, 2, 3, 4]})
LATE = np.array([1.0, 2.0, 3.0, 4.5])
REQUIRED = ["scikit-learn"]  # told, so that the client does not find out, which takes it half a minute


@pytest.fixture
def name() -> str:
    return f"whole-{next(_numbers)}"


@pytest.fixture(scope="module")
def estimator() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(FRAME, LATE)


def log(mlflow: Any, estimator: Any, **further: Any) -> tuple[Any, Any]:
    """A run that has logged the estimator; the run and what `log_model` gives."""
    mlflow.set_experiment("whole")
    with mlflow.start_run() as run:
        mlflow.log_param("depth", 3)
        signature = mlflow.models.infer_signature(FRAME, LATE)
        info = mlflow.sklearn.log_model(estimator, name="model", signature=signature, pip_requirements=REQUIRED, **further)
    return run, info


def same(mlflow: Any, address: str, estimator: Any) -> None:
    np.testing.assert_allclose(mlflow.pyfunc.load_model(address).predict(FRAME), estimator.predict(FRAME))


def test_a_model_is_logged_registered_and_loaded_by_every_address(
    mlflow: Any, client: Any, served: Any, estimator: Any, name: str
) -> None:
    run, info = log(mlflow, estimator, registered_model_name=name)
    assert info.registered_model_version == "1"
    version = client.get_model_version(name, "1")
    assert (version.run_id, version.source) == (run.info.run_id, f"models:/{info.model_id}")
    client.set_registered_model_alias(name, "live", "1")
    client.transition_model_version_stage(name, "1", "Archived")
    for address in ("1", "latest", "Archived"):
        same(mlflow, f"models:/{name}/{address}", estimator)
    same(mlflow, f"models:/{name}@live", estimator)

    ours = served.here.models.show(Ref(Kind.MODEL, name, 1))
    assert ours.record.format is Format.MLFLOW and "sklearn" in ours.record.flavours
    assert (ours.record.run, ours.record.logged_as) == (Ref(Kind.RUN, run.info.run_id), info.model_id)
    assert [(column.name, column.dtype.value) for column in ours.record.signature.inputs] == [
        ("distance", "FP64"),
        ("hour", "INT64"),
    ]
    assert "MLmodel" in ours.record.files and ours.record.size > 0


def test_a_model_is_registered_from_its_run_and_from_its_own_address(
    mlflow: Any, client: Any, estimator: Any, name: str
) -> None:
    run, info = log(mlflow, estimator)
    first = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    second = mlflow.register_model(info.model_uri, name)
    assert (first.version, second.version) == ("1", "2")
    assert client.get_model_version(name, "1").run_id == run.info.run_id
    assert client.get_model_version(name, "2").run_id == run.info.run_id
    same(mlflow, f"models:/{name}/1", estimator)
    same(mlflow, f"models:/{name}/2", estimator)


def test_a_source_may_be_a_folder_of_a_run(
    mlflow: Any, client: Any, served: Any, estimator: Any, name: str, tmp_path: Path
) -> None:
    mlflow.set_experiment("whole")
    mlflow.sklearn.save_model(estimator, str(tmp_path / "saved"), pip_requirements=REQUIRED)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "saved"), "deep/model")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run.info.run_id}/deep/model", run.info.run_id)
    same(mlflow, f"models:/{name}/1", estimator)
    mlflow.register_model(f"runs:/{run.info.run_id}/deep/model", name)
    same(mlflow, f"models:/{name}/2", estimator)
    record = served.here.models.show(Ref(Kind.MODEL, name, 2)).record
    assert record.files == served.here.models.show(Ref(Kind.MODEL, name, 1)).record.files


def test_what_was_registered_stays_what_it_was(mlflow: Any, client: Any, served: Any, estimator: Any, name: str) -> None:
    """Files of a run may be replaced and removed; a version keeps those that it was made of."""
    run, info = log(mlflow, estimator, registered_model_name=name)
    served.here.artifacts.remove(Ref(Kind.LOGGED_MODEL, info.model_id), "MLmodel")
    client.delete_logged_model(info.model_id)
    client.delete_run(run.info.run_id)
    same(mlflow, f"models:/{name}/1", estimator)
    answer = served.http.get("/model-versions/get-artifact", params={"name": name, "version": "1", "path": "MLmodel"})
    assert answer.status_code == 200 and b"flavors" in answer.content
    assert "attachment" in answer.headers["content-disposition"]
    assert served.call("GET", "2.0/mlflow-artifacts/artifacts", path=f"registered/{name}@1/env").json() == {}
    place = f"/api/2.0/mlflow-artifacts/artifacts/registered/{name}@1/MLmodel"
    assert served.http.put(place, content=b"other").status_code == 404
    assert served.http.delete(place).status_code == 404


def test_a_copy_is_made_of_the_same_files(mlflow: Any, client: Any, served: Any, estimator: Any, name: str) -> None:
    log(mlflow, estimator, registered_model_name=name)
    copy = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    assert (copy.version, copy.run_id) == ("1", client.get_model_version(name, "1").run_id)
    same(mlflow, f"models:/{name}-copy/1", estimator)
    here = served.here.models
    assert here.show(Ref(Kind.MODEL, f"{name}-copy", 1)).record.files == here.show(Ref(Kind.MODEL, name, 1)).record.files


def test_a_source_must_be_of_the_run_that_is_named_and_there(mlflow: Any, client: Any, estimator: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    run, info = log(mlflow, estimator)
    with mlflow.start_run() as other:
        pass
    client.create_registered_model(name)
    for source, run_id, model_id in (
        (f"runs:/{run.info.run_id}/model", other.info.run_id, None),
        (f"runs:/{run.info.run_id}/model", None, None),
        (f"models:/{info.model_id}", run.info.run_id, None),
        (f"{run.info.artifact_uri}/model", other.info.run_id, None),
        (f"models:/{info.model_id}", other.info.run_id, info.model_id),
    ):
        with pytest.raises(MlflowException, match="Invalid model version source") as raised:
            client._create_model_version(name, source, run_id, model_id=model_id)
        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
    for source, run_id, model_id in (
        (f"runs:/{'0' * 32}/model", "0" * 32, None),
        (f"models:/m-{'0' * 32}", None, f"m-{'0' * 32}"),
        ("s3://bucket/x", "0" * 32, None),
    ):
        with pytest.raises(MlflowException, match="not found") as raised:
            client._create_model_version(name, source, run_id, model_id=model_id)
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_lineage_leads_from_a_version_to_what_its_run_has_read(
    mlflow: Any, client: Any, served: Any, estimator: Any, name: str
) -> None:
    import pyarrow as pa

    data = served.here.datasets.add(f"{name}-flights", pa.table(FRAME))
    mlflow.set_experiment("whole")
    with mlflow.start_run() as run:
        served.here.experiments.link(Ref(Kind.RUN, run.info.run_id), inputs=[data.ref])
        mlflow.sklearn.log_model(estimator, name="model", pip_requirements=REQUIRED, registered_model_name=name)
    record = served.here.models.show(Ref(Kind.MODEL, name, 1)).record
    assert record.datasets == [data.ref]
    assert client.search_model_versions(f"run_id = '{run.info.run_id}'")[0].name == name


# Behind the server's other door: Open Inference


def boosted(kind: str) -> Any:
    """A few trees on the frame."""
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=1, verbose=-1, n_jobs=1).fit(FRAME, LATE)
    import xgboost

    return xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(FRAME, LATE)


def put_live(served: Any, name: str, model: Any) -> Ref:
    """A version of our own registry, in production under its name once this returns."""
    here = served.here
    here.policy.adopt('name = "standard"\n[tier.high]\n')
    ref: Ref = here.models.log(name, model, example=FRAME).ref
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        here.models.promote(ref, stage, reason="a test")
    here.deployments.create(name)
    here.deployments.deploy(name, ref, "production", reason="a test")
    eventually(lambda: served.http.get(f"/v2/models/{name}/ready").status_code == 200, "A start of the deployment")
    return ref


def infer(served: Any, name: str) -> Any:
    tensors = [
        {"name": column, "datatype": datatype, "shape": [len(FRAME)], "data": FRAME[column].tolist()}
        for column, datatype in (("distance", "FP64"), ("hour", "INT64"))
    ]
    return served.http.post(f"/v2/models/{name}/infer", json={"inputs": tensors})


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_boosted_trees_answer_over_open_inference(served: Any, kind: str, name: str) -> None:
    model = boosted(kind)
    ref = put_live(served, name, model)
    assert served.here.models.show(ref).record.format.value == kind
    answer = infer(served, name)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    np.testing.assert_allclose(output["data"], model.predict(FRAME), rtol=1e-6)
    assert answer.json()["model_version"] == "1"


def test_what_was_retired_answers_that_it_is_gone_and_names_its_successor(served: Any, name: str) -> None:
    here, other = served.here, f"{name}-next"
    ref = put_live(served, name, boosted("lightgbm"))
    put_live(served, other, boosted("lightgbm"))
    here.deployments.retire(name, successor=other, reason="worn out")
    here.models.retire(ref, successor=Ref(Kind.MODEL, other, 1), reason="worn out")
    eventually(lambda: infer(served, name).status_code != 200, "An end of the deployment")
    answer = infer(served, name)
    assert answer.status_code == 410 and f"deployment:{other}" in answer.json()["error"]
    gone = served.http.post(f"/serving/{name}/invocations", json={"inputs": [[1.0, 1]]})
    assert gone.status_code == 410 and f"deployment:{other}" in gone.json()["message"]
    told = served.http.post("/api/v1/models/show", json={"ref": str(ref)}).json()
    assert (told["stage"], told["successor"]) == ("retired", f"model:{other}@1")
    assert infer(served, f"{name}-never").status_code == 404


def test_a_path_of_a_run_means_the_model_that_is_there_whatever_else_was_deleted(served: Any, name: str) -> None:
    run = served.call("POST", "2.0/mlflow/runs/create", experiment_id="0").json()["run"]["info"]["run_id"]
    made = [
        served.call("POST", "2.0/mlflow/logged-models", experiment_id="0", name=each, source_run_id=run).json()["model"]
        for each in ("kept", "gone")
    ]
    kept, gone = (each["info"]["model_id"] for each in made)
    outputs = [{"model_id": kept, "step": 1}, {"model_id": gone, "step": 2}, {"model_id": "from elsewhere", "step": 3}]
    assert served.call("POST", "2.0/mlflow/runs/outputs", run_id=run, models=outputs).status_code == 200
    assert served.call("DELETE", f"2.0/mlflow/logged-models/{gone}").status_code == 200
    assert served.call("POST", "2.0/mlflow/registered-models/create", name=name).status_code == 200
    answer = served.call("POST", "2.0/mlflow/model-versions/create", name=name, source=f"runs:/{run}/kept", run_id=run)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"]["model_id"] == kept
