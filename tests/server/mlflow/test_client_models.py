"""Models and autologging through `mlflow` itself: what its users write, unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow would start a Python for each model, to see what it imports: seconds each, and none of our concern."""
    import matplotlib as mpl
    import mlflow.models
    import mlflow.utils.environment

    mpl.use("Agg")
    monkeypatch.setattr(mlflow.models, "infer_pip_requirements", lambda *_, fallback=None, **__: fallback or ["mlflow"])
    monkeypatch.setattr(mlflow.utils.environment, "warn_dependency_requirement_mismatches", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def experiment(mlflow: Any, quick: None, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"models/{request.node.originalname}"
    mlflow.set_experiment(name)
    yield name
    for library in ("lightgbm", "xgboost", "sklearn", "pytorch"):  # mlflow.autolog() leaves alone what was set
        if f"mlflow.{library}" in sys.modules:  # to import one only to switch it off takes seconds
            getattr(mlflow, library).autolog(disable=True, silent=True)


@pytest.fixture(scope="module")
def rows() -> Any:
    import pandas as pd

    table = pd.DataFrame({"a": [float(n % 7) for n in range(60)], "b": [float(n % 5) for n in range(60)]})
    return table, (table.a > table.b).astype(int)


def check_loads(mlflow: Any, info: Any, rows: Any, expected: Any, *more: str) -> None:
    """Every address of a model leads to one that predicts the same."""
    import numpy as np

    for address in (info.model_uri, f"models:/{info.model_id}", *more):
        loaded = mlflow.pyfunc.load_model(address)
        assert np.allclose(np.ravel(np.asarray(loaded.predict(rows), dtype=float)), np.ravel(expected)), address


def test_a_scikit_learn_model(mlflow: Any, served: Any, rows: Any) -> None:
    from sklearn.linear_model import LogisticRegression

    table, label = rows
    model = LogisticRegression().fit(table, label)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="forest", input_example=table.head(2), registered_model_name="forest",
            serialization_format="cloudpickle",
            params={"depth": 3}, tags={"team": "ops"},
        )  # fmt: skip
        mlflow.log_metric("auc", 0.9, model_id=info.model_id)
    check_loads(mlflow, info, table, model.predict(table), f"runs:/{run.info.run_id}/forest", "models:/forest/1")
    assert (mlflow.sklearn.load_model(info.model_uri).predict(table) == model.predict(table)).all()
    logged = mlflow.get_logged_model(info.model_id)
    assert (logged.status, logged.params, logged.source_run_id) == ("READY", {"depth": "3"}, run.info.run_id)
    assert [(each.key, each.value) for each in logged.metrics] == [("auc", 0.9)]
    assert [each.model_id for each in mlflow.get_run(run.info.run_id).outputs.model_outputs] == [info.model_id]
    (found,) = mlflow.search_logged_models(filter_string="metrics.auc > 0.8 AND tags.team = 'ops'", output_format="list")
    assert found.model_id == info.model_id
    ours = served.here.logged_models.show(_ref(info.model_id))
    assert "MLmodel" in [each.name for each in served.here.artifacts.all(ours.ref)]
    assert ours.run == run.info.run_id
    version = mlflow.MlflowClient().get_model_version("forest", "1")
    assert version.run_id == run.info.run_id


def test_a_function(mlflow: Any, rows: Any) -> None:
    class Sum(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"] + model_input["b"]

    table, _ = rows
    info = mlflow.pyfunc.log_model(name="sum", python_model=Sum(), input_example=table.head(2))
    mlflow.end_run()
    check_loads(mlflow, info, table, table.a + table.b)


def test_a_lightgbm_model_and_its_autologging(mlflow: Any, rows: Any) -> None:
    import lightgbm

    table, label = rows
    mlflow.lightgbm.autolog()
    settings = {"objective": "binary", "num_leaves": 3, "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(table, label)
    with mlflow.start_run() as run:
        model = lightgbm.train(settings, data, num_boost_round=5, valid_sets=[data], valid_names=["train"])
    check_autologged(mlflow, run, metric="train-binary_logloss", points=5, param="num_leaves")
    (output,) = mlflow.get_run(run.info.run_id).outputs.model_outputs
    info = mlflow.models.get_model_info(f"models:/{output.model_id}")
    check_loads(mlflow, info, table, model.predict(table))


def test_an_xgboost_model_and_its_autologging(mlflow: Any, rows: Any) -> None:
    import xgboost

    table, label = rows
    mlflow.xgboost.autolog()
    data = xgboost.DMatrix(table, label)
    with mlflow.start_run() as run:
        settings = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
        model = xgboost.train(settings, data, num_boost_round=5, evals=[(data, "train")], verbose_eval=False)
    check_autologged(mlflow, run, metric="train-logloss", points=5, param="max_depth")
    (output,) = mlflow.get_run(run.info.run_id).outputs.model_outputs
    info = mlflow.models.get_model_info(f"models:/{output.model_id}")
    check_loads(mlflow, info, table, model.predict(data))


def test_autologging_of_scikit_learn_with_a_grid_and_nested_runs(mlflow: Any, rows: Any) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    table, label = rows
    mlflow.sklearn.autolog(max_tuning_runs=2)
    with mlflow.start_run() as outer:
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(table, label)
        with mlflow.start_run(nested=True) as inner:
            mlflow.log_param("by", "hand")
    run = mlflow.get_run(outer.info.run_id)
    assert {"best_cv_score", "training_score"} <= set(run.data.metrics)
    assert run.data.params["best_C"] in ("0.1", "1.0")
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["dataset"]
    files = {each.path for each in mlflow.MlflowClient().list_artifacts(outer.info.run_id)}
    assert {"cv_results.csv", "training_confusion_matrix.png"} <= files
    assert len(run.outputs.model_outputs) == 2  # the search, and the best of what it tried
    children = mlflow.search_runs(filter_string=f"tags.`mlflow.parentRunId` = '{outer.info.run_id}'", output_format="list")
    assert len(children) == 3 and inner.info.run_id in {each.info.run_id for each in children}
    assert sum("mean_test_score" in each.data.metrics for each in children) == 2


def test_a_pytorch_model_and_its_autologging(mlflow: Any) -> None:
    import numpy as np
    import pytorch_lightning as lightning
    import torch

    class Line(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    inputs = torch.rand(16, 2)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
    mlflow.pytorch.autolog(log_models=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}
    with mlflow.start_run() as run:
        model = Line()
        lightning.Trainer(max_epochs=3, accelerator="cpu", **quiet).fit(model, batches)
        info = mlflow.pytorch.log_model(
            model.layer, name="line", input_example=inputs[:2].numpy(), serialization_format="pickle"
        )
    check_autologged(mlflow, run, metric="train_loss", points=3, param="epochs")
    expected = model.layer(inputs).detach().numpy()
    assert np.allclose(mlflow.pytorch.load_model(info.model_uri)(inputs).detach().numpy(), expected)
    check_loads(mlflow, info, inputs.numpy(), expected)


def check_autologged(mlflow: Any, run: Any, *, metric: str, points: int, param: str) -> None:
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert param in found.data.params
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, metric)
    assert len(history) == points, found.data.metrics


def test_evaluation(mlflow: Any, rows: Any) -> None:
    from sklearn.linear_model import LogisticRegression

    table, label = rows
    model = LogisticRegression().fit(table, label)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="judged", input_example=table.head(2), serialization_format="cloudpickle"
        )
        result = mlflow.models.evaluate(
            info.model_uri, table.assign(label=label), targets="label", model_type="classifier",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )  # fmt: skip
    assert result.metrics["accuracy_score"] == pytest.approx(model.score(table, label))
    found = mlflow.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == result.metrics["accuracy_score"]
    files = {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"confusion_matrix.png", "roc_curve_plot.png"} <= files
    logged = mlflow.get_logged_model(info.model_id)
    assert "accuracy_score" in {each.key for each in logged.metrics}


def _ref(identity: str) -> Any:
    from modelwright.core.refs import Kind, Ref

    return Ref(Kind.LOGGED_MODEL, identity)
