"""scikit-learn: parameters, figures on the training rows, search results, the fitted estimator."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.core.skops import skops_io
from modelwright.tracking.autologging.patching import Patches
from modelwright.tracking.autologging.session import Session, training

PACKAGE = "sklearn"
MAX_ROWS = 100_000  # beyond, predicting the training rows again takes longer than it is worth


def wrap(module: ModuleType, patches: Patches, *, models: bool) -> None:
    """Wrap every `fit` that a module defines; what is fitted is logged if it predicts.

    A base that has the `fit` of a whole family (forests, boosting, networks) need not predict itself.
    """
    base = importlib.import_module("sklearn.base") if module.__name__ != "sklearn.base" else module
    estimator = getattr(base, "BaseEstimator", None)
    if estimator is None:
        return
    for each in list(vars(module).values()):
        if (
            inspect.isclass(each)
            and each.__module__ == module.__name__
            and issubclass(each, estimator)
            and "fit" in vars(each)
            and inspect.isfunction(vars(each)["fit"])
        ):
            patches.replace(each, "fit", lambda original: _logged(original, models=models))


def _logged(original: Callable[..., Any], *, models: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not (hasattr(type(self), "predict") or hasattr(type(self), "fit_predict")):
            return original(self, *args, **kwargs)
        with training(type(self).__name__) as session:
            if session is None:
                return original(self, *args, **kwargs)
            session.do("the parameters of an estimator", lambda s: _before(s, self))
            fitted = original(self, *args, **kwargs)
            x, y = _data(original, self, args, kwargs)
            session.do("the figures of an estimator", lambda s: _figures(s, self, x, y))
            if hasattr(self, "cv_results_"):
                session.do("the results of a search", lambda s: _search(s, self))
            if models:
                session.do("the model of an estimator", lambda s: _model(s, self))
            return fitted

    return fit


def _before(session: Session, estimator: Any) -> None:
    session.params({"estimator_name": type(estimator).__name__, **estimator.get_params(deep=True)})


def _data(original: Callable[..., Any], self: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    bound = inspect.signature(original).bind(self, *args, **kwargs).arguments
    rows = next((bound[name] for name in ("X", "raw_documents") if name in bound), None)
    return rows, bound.get("y", bound.get("Y"))


def _figures(session: Session, estimator: Any, x: Any, y: Any) -> None:
    from sklearn import metrics
    from sklearn.base import is_classifier, is_regressor

    count = getattr(x, "shape", [len(x) if hasattr(x, "__len__") else MAX_ROWS + 1])[0]
    if count > MAX_ROWS or y is None or not hasattr(estimator, "predict"):
        return
    predicted = estimator.predict(x)
    found: dict[str, float] = {}
    if is_classifier(estimator):
        found["training_accuracy"] = metrics.accuracy_score(y, predicted)
        found["training_f1"] = metrics.f1_score(y, predicted, average="weighted")
        if hasattr(estimator, "predict_proba") and not isinstance(estimator.classes_, list):  # a list: of several targets
            chances, classes = estimator.predict_proba(x), estimator.classes_
            found["training_log_loss"] = metrics.log_loss(y, chances, labels=classes)
            if len(classes) == 2:
                found["training_roc_auc"] = metrics.roc_auc_score(y, chances[:, 1])
    elif is_regressor(estimator):
        found["training_mse"] = metrics.mean_squared_error(y, predicted)
        found["training_mae"] = metrics.mean_absolute_error(y, predicted)
        found["training_r2"] = metrics.r2_score(y, predicted)
    session.metrics(found)


def _search(session: Session, search: Any) -> None:
    session.params({f"best_{name}": value for name, value in getattr(search, "best_params_", {}).items()})
    if hasattr(search, "best_score_"):
        session.metrics({"best_cv_score": search.best_score_})
    results = {
        name: [str(value) if isinstance(value, dict) else value for value in values] if name == "params" else list(values)
        for name, values in search.cv_results_.items()
    }
    columns = {name: [v if isinstance(v, int | float) else str(v) for v in map(_item, vs)] for name, vs in results.items()}
    uniform = {name: vs if len({type(v) for v in vs}) == 1 else [str(v) for v in vs] for name, vs in columns.items()}
    session.run.log_table(uniform, session.name("cv_results.parquet"))


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _model(session: Session, estimator: Any) -> None:
    fitted = getattr(estimator, "best_estimator_", estimator)
    session.run.log_bytes(skops_io().dumps(fitted), session.name("model/model.skops"))
