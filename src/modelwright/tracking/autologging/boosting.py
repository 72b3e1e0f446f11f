"""LightGBM and XGBoost: parameters, every evaluation of every round, the model in the library's own format."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.tracking.autologging.patching import Patches, safely
from modelwright.tracking.autologging.session import Session, training

PACKAGES = ("lightgbm", "xgboost")
PLACES = {
    "lightgbm": ("lightgbm", "lightgbm.engine", "lightgbm.sklearn"),
    "xgboost": ("xgboost", "xgboost.training", "xgboost.sklearn"),
}
NOT_PLAIN = {"params", "train_set", "dtrain", "callbacks", "valid_sets", "evals", "evals_result", "init_model", "xgb_model"}


def wrap(module: ModuleType, patches: Patches, *, models: bool) -> None:
    """Wrap `train`, wherever the package holds it; its scikit-learn classes call it too."""
    import sys

    name = module.__name__
    if name not in PACKAGES:
        return
    original = vars(module)["train"]
    wrapped = _logged(original, name, models=models)
    for place in PLACES[name]:
        holder = sys.modules.get(place)
        if holder is not None and vars(holder).get("train") is original:
            patches.replace(holder, "train", lambda _: wrapped)


def _logged(original: Callable[..., Any], library: str, *, models: bool) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def train(*args: Any, **kwargs: Any) -> Any:
        with training(library) as session:
            if session is None:
                return original(*args, **kwargs)
            bound = safely(f"the arguments of {library}.train", lambda: signature.bind(*args, **kwargs))
            if bound is None:
                return original(*args, **kwargs)
            session.do(f"the parameters of {library}", lambda s: _params(s, bound.arguments))
            follower = _lightgbm(session) if library == "lightgbm" else _xgboost(session)
            bound.arguments["callbacks"] = [follower, *(bound.arguments.get("callbacks") or [])]  # before what may stop it
            booster = original(*bound.args, **bound.kwargs)
            session.do(f"the outcome of {library}", lambda s: _outcome(s, booster))
            if models:
                session.do(f"the model of {library}", lambda s: _model(s, booster, library))
            return booster

    return train


def _params(session: Session, arguments: dict[str, Any]) -> None:
    rest = {name: value for name, value in arguments.items() if name not in NOT_PLAIN and not callable(value)}
    session.params({**rest, **dict(arguments.get("params") or {})})


def _lightgbm(session: Session) -> Callable[[Any], None]:
    def follow(environment: Any) -> None:
        results = environment.evaluation_result_list or []
        found = {f"{each[0]}-{each[1]}": each[2] for each in results}
        session.do("the rounds of lightgbm", lambda s: s.metrics(found, step=environment.iteration))

    follow.order = -1_000_000  # type: ignore[attr-defined] # before all that may stop it, which they do by an exception
    return follow


def _xgboost(session: Session) -> Any:
    from xgboost.callback import TrainingCallback

    class Follow(TrainingCallback):  # type: ignore[misc]
        """Logs the evaluations of each round."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            session.do("the rounds of xgboost", lambda s: s.metrics(_last(evals_log), step=epoch))
            return False

    return Follow()


def _last(log: Any) -> dict[str, float]:
    found = {}
    for data, metrics in log.items():
        for metric, values in metrics.items():
            last = values[-1]
            found[f"{data}-{metric}"] = last[0] if isinstance(last, tuple) else last
    return found


def _outcome(session: Session, booster: Any) -> None:
    best = getattr(booster, "best_iteration", None)  # XGBoost counts from 0, and has none where nothing may stop it early
    if isinstance(best, int) and best >= (0 if hasattr(booster, "get_score") else 1):
        session.metrics({"best_iteration": best})
    if hasattr(booster, "get_score"):
        gains = booster.get_score(importance_type="gain")
    else:
        gains = dict(zip(booster.feature_name(), booster.feature_importance("gain").tolist(), strict=True))
    session.run.log_dict(gains, session.name("feature_importance.json"))


def _model(session: Session, booster: Any, library: str) -> None:
    if library == "lightgbm":
        session.run.log_text(booster.model_to_string(), session.name("model/model.txt"))
    else:
        session.run.log_bytes(bytes(booster.save_raw("ubj")), session.name("model/model.ubj"))
