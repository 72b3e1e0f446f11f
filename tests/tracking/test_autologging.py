"""`mw.autolog()` with the real libraries: what they do is logged, and what goes wrong in it stops no training."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import modelwright as mw
from modelwright.core.errors import Invalid
from modelwright.core.paging import Filter
from modelwright.experiments import Run, RunStatus
from modelwright.workspace import Workspace

NONE = {"capture": False, "system_metrics": False}
X = np.random.default_rng(7).normal(size=(120, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


@pytest.fixture(autouse=True)
def switched_off() -> Iterator[None]:
    yield
    mw.autolog(disable=True)


def runs(here: Workspace) -> list[Run]:
    return here.experiments.list(Filter()).items


def files(here: Workspace, run: Run) -> dict[str, bytes]:
    return {each.name: here.experiments.blobs.read(each.digest) for each in run.artifacts}


def test_a_fitted_estimator_is_logged_to_a_run_of_its_own(here: Workspace) -> None:
    from sklearn.linear_model import LogisticRegression
    from skops.io import loads

    mw.autolog()
    fitted = LogisticRegression(C=0.5).fit(X, Y)
    (run,) = runs(here)
    assert run.status is RunStatus.FINISHED and run.tags == {"autolog": "LogisticRegression"}
    assert run.params["estimator_name"] == "LogisticRegression" and run.params["C"] == 0.5
    assert run.metrics["training_accuracy"].figure == fitted.score(X, Y)
    assert {"training_f1", "training_log_loss", "training_roc_auc"} <= run.metrics.keys()
    assert loads(files(here, run)["model/model.skops"]).predict(X).tolist() == fitted.predict(X).tolist()


def test_everything_that_predicts_is_logged_whichever_base_its_fit_is_of(here: Workspace) -> None:
    from sklearn.base import is_classifier
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        AdaBoostClassifier,
        BaggingRegressor,
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
        RandomTreesEmbedding,
    )
    from sklearn.neural_network import MLPClassifier

    few = [RandomForestClassifier(2), AdaBoostClassifier(n_estimators=2), HistGradientBoostingClassifier(max_iter=2)]
    few += [MLPClassifier(max_iter=2), BaggingRegressor(n_estimators=2), GradientBoostingRegressor(n_estimators=2)]
    mw.autolog()
    for estimator in few:
        estimator.fit(X, Y if is_classifier(estimator) else X[:, 0])
    RandomForestClassifier(2).fit(X, np.column_stack([Y, 1 - Y]))  # of several targets, whose chances are several tables
    few.append(few[0])
    for transformer in (PCA(2), RandomTreesEmbedding(2)):
        transformer.fit(X)
    found = runs(here)
    assert {run.tags["autolog"] for run in found} == {type(each).__name__ for each in few} and len(found) == len(few)
    for run in found:
        assert run.metrics.keys() & {"training_accuracy", "training_mse"} and "model/model.skops" in files(here, run)


def test_a_search_over_a_pipeline_is_one_training_in_the_active_run(here: Workspace) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    mw.autolog(libraries=["sklearn"])
    with mw.start_run("search", **NONE):
        search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=2).fit(X, X[:, 0])
    (run,) = runs(here)
    assert run.params["estimator_name"] == "GridSearchCV"
    assert run.params["best_ridge__alpha"] == search.best_params_["ridge__alpha"]
    assert run.metrics["best_cv_score"].figure == search.best_score_ and "training_r2" in run.metrics
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(files(here, run)["cv_results.parquet"]))
    assert table.num_rows == 2 and "mean_test_score" in table.column_names


def test_a_second_training_in_a_run_has_its_name_before_what_it_logs(here: Workspace) -> None:
    from sklearn.tree import DecisionTreeClassifier

    mw.autolog(models=False)
    with mw.start_run("trees", **NONE):
        for depth in (1, 2):
            DecisionTreeClassifier(max_depth=depth).fit(X, Y)
    (run,) = runs(here)
    assert (run.params["max_depth"], run.params["DecisionTreeClassifier-2.max_depth"]) == (1, 2)
    assert "DecisionTreeClassifier-2.training_accuracy" in run.metrics and run.artifacts == []


def test_an_error_of_the_training_ends_its_run_as_failed_and_goes_on_up(here: Workspace) -> None:
    from sklearn.linear_model import LogisticRegression

    mw.autolog()
    with pytest.raises(ValueError):
        LogisticRegression().fit(X, Y[:3])
    (run,) = runs(here)
    assert run.status is RunStatus.FAILED and run.error.startswith("ValueError")
    assert mw.active_run() is None


def test_what_fails_in_autologging_is_told_once_and_the_training_goes_on(here: Workspace, told) -> None:
    from sklearn.linear_model import LogisticRegression

    class Odd(LogisticRegression):
        """Its parameters cannot be read by us, though scikit-learn gets on with it."""

        def get_params(self, deep: bool = True) -> dict[str, object]:
            if deep:
                raise RuntimeError("not today")
            return super().get_params(deep=False)

    mw.autolog(models=False)
    for _ in range(2):
        assert Odd().fit(X, Y).predict(X).shape == (120,)
    assert len([text for text in told() if "not today" in text]) == 1
    assert all("training_accuracy" in run.metrics for run in runs(here))


def test_without_a_workspace_training_goes_on(told) -> None:
    from sklearn.linear_model import LogisticRegression

    mw.autolog()
    assert LogisticRegression().fit(X, Y).score(X, Y) > 0.5
    assert any("no project" in text for text in told()) or told() == []  # told once in a process


def test_lightgbm_is_followed_round_by_round(here: Workspace) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    mw.autolog(libraries=["lightgbm"])
    data = lightgbm.Dataset(X[:80], Y[:80])
    with mw.start_run("boost", **NONE) as active:
        booster = lightgbm.train(
            {"objective": "binary", "verbose": -1, "learning_rate": 0.2},
            data,
            num_boost_round=7,
            valid_sets=[lightgbm.Dataset(X[80:], Y[80:], reference=data)],
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )
    run = here.experiments.show(active.ref)
    assert run.params["learning_rate"] == 0.2 and run.params["num_boost_round"] == 7
    curve = here.experiments.curve(run.ref, "valid_0-binary_logloss")
    assert curve.steps == list(range(7)) and curve.values[-1] == pytest.approx(
        booster.best_score["valid_0"]["binary_logloss"], abs=0.1
    )
    kept = files(here, run)
    again = lightgbm.Booster(model_str=kept["model/model.txt"].decode())
    assert again.predict(X).tolist() == booster.predict(X).tolist()
    assert set(json.loads(kept["feature_importance.json"])) == {f"Column_{i}" for i in range(4)}


def test_lightgbms_estimators_are_followed_as_well(here: Workspace) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    mw.autolog()
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X[:80], Y[:80], eval_set=[(X[80:], Y[80:])])
    (run,) = runs(here)
    assert here.experiments.curve(run.ref, "valid_0-binary_logloss").total == 3


def test_xgboost_is_followed_round_by_round(here: Workspace) -> None:
    xgboost = pytest.importorskip("xgboost")
    mw.autolog()
    data = xgboost.DMatrix(X, Y)
    with mw.start_run("boost", **NONE) as active:
        booster = xgboost.train(
            {"objective": "binary:logistic", "eta": 0.3, "nthread": 1},
            data,
            num_boost_round=4,
            evals=[(data, "train")],
            verbose_eval=False,
        )
    run = here.experiments.show(active.ref)
    assert run.params["eta"] == 0.3 and here.experiments.curve(run.ref, "train-logloss").steps == [0, 1, 2, 3]
    again = xgboost.Booster(model_file=bytearray(files(here, run)["model/model.ubj"]))
    assert again.predict(data).tolist() == booster.predict(data).tolist()


def test_the_round_that_a_callback_ends_is_logged_and_so_is_a_best_one_that_is_the_first(here: Workspace) -> None:
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")

    class Stop(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: object, epoch: int, evals_log: object) -> bool:
            return epoch == 2

    def stop(environment: object) -> None:
        if environment.iteration == 2:
            raise lightgbm.callback.EarlyStopException(2, environment.evaluation_result_list)

    mw.autolog()
    data = xgboost.DMatrix(X, Y)
    plain = {"objective": "binary:logistic", "nthread": 1}
    with mw.start_run("boost", **NONE) as active:
        xgboost.train(plain, data, 9, evals=[(data, "train")], verbose_eval=False, callbacks=[Stop()])
    assert here.experiments.curve(active.ref, "train-logloss").steps == [0, 1, 2]
    assert "best_iteration" not in here.experiments.show(active.ref).metrics
    with mw.start_run("boost", **NONE) as active:
        other = xgboost.DMatrix(X, 1 - Y)
        found = xgboost.train(plain, data, 9, evals=[(other, "other")], verbose_eval=False, early_stopping_rounds=2)
    assert found.best_iteration == 0
    assert here.experiments.show(active.ref).metrics["best_iteration"].figure == 0
    rows = lightgbm.Dataset(X, Y)
    with mw.start_run("boost", **NONE) as active:
        settings = {"objective": "binary", "verbose": -1}
        lightgbm.train(settings, rows, 9, valid_sets=[rows], valid_names=["train"], callbacks=[stop])
    assert here.experiments.curve(active.ref, "train-binary_logloss").steps == [0, 1, 2]


@pytest.mark.slow
def test_pytorchs_optimizer_rate_and_loss_are_logged(here: Workspace) -> None:
    torch = pytest.importorskip("torch")
    mw.autolog(every=1)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    criterion = torch.nn.MSELoss()
    x, y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)[:, None]
    with mw.start_run("net", **NONE) as active:
        mw.watch(model)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        with torch.no_grad():
            criterion(model(x), y)  # an evaluation is no training
    criterion(model(x), y)  # and outside a run nothing is logged
    run = here.experiments.show(active.ref)
    assert (run.params["optimizer"], run.params["optimizer.momentum"]) == ("SGD", 0.9)
    assert run.params["Linear.parameters"] == 5
    assert here.experiments.curve(run.ref, "loss").values == pytest.approx(losses)
    assert here.experiments.curve(run.ref, "learning_rate").values == pytest.approx([0.1, 0.01])


def test_off_everything_is_as_it_was(here: Workspace) -> None:
    from sklearn.linear_model import LinearRegression

    before, finders = LinearRegression.__dict__["fit"], list(sys.meta_path)
    mw.autolog()
    mw.autolog()
    assert LinearRegression.__dict__["fit"] is not before
    mw.autolog(disable=True)
    assert LinearRegression.__dict__["fit"] is before and sys.meta_path == finders
    LinearRegression().fit(X, Y)
    assert runs(here) == []


def test_what_is_imported_later_is_wrapped_when_it_comes(script, here: Workspace) -> None:
    process = script(
        """
        import sys
        assert "sklearn" not in sys.modules
        mw.autolog()
        assert "sklearn" not in sys.modules and "torch" not in sys.modules
        from sklearn.linear_model import Ridge
        import sklearn.linear_model._ridge as module
        assert "Telling" not in type(module.__loader__).__name__ + type(module.__spec__.loader).__name__
        Ridge(alpha=2.0).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
        """
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (run,) = runs(here)
    assert run.params["alpha"] == 2.0


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(Invalid, match="sklearn, lightgbm, xgboost, torch"):
        mw.autolog(libraries=["keras"])
