"""Which library a fitted model is of: how it is asked, and in which formats it can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.serving import Format, gives_chances

_LIBRARIES = {"lightgbm": "lightgbm", "xgboost": "xgboost", "sklearn": "scikit-learn", "torch": "torch"}
_OWN = {"lightgbm": Format.LIGHTGBM, "xgboost": Format.XGBOOST, "torch": Format.SAFETENSORS}


def library_of(model: Any) -> str:
    """The import name of the library that a model's class, or the nearest class it comes from, belongs to."""
    for each in type(model).__mro__:
        root = each.__module__.partition(".")[0]
        if root in _LIBRARIES:
            return root
    return ""


def framework_of(model: Any) -> str:
    """The library and its version, such as `scikit-learn 1.7.2`."""
    library = _LIBRARIES.get(library_of(model), "")
    for package in (library, f"{library}-cpu"):
        try:
            return f"{library} {version(package)}" if library else ""
        except PackageNotFoundError:
            continue
    return library


def default_format(model: Any) -> Format:
    """The library's own format where that runs no code, and skops for scikit-learn."""
    if is_tensors(model):
        return Format.SAFETENSORS
    return _OWN.get(library_of(model), Format.SKOPS)


def is_tensors(model: Any) -> bool:
    """Whether it is named arrays or tensors, or a network of torch, whose tensors are meant."""
    return isinstance(model, Mapping) or hasattr(model, "state_dict")


def is_booster(model: Any) -> bool:
    """Whether it is the bare trees of LightGBM or XGBoost, without scikit-learn's interface."""
    return type(model).__name__ == "Booster" and library_of(model) in ("lightgbm", "xgboost")


def predict_directly(model: Any, example: Any) -> dict[str, Any]:
    """What the model itself says, under the names that serving gives outputs.

    `probability` (of the second class) for two classes, `probability_<class>` and `prediction` for more, and
    `prediction` for everything without probabilities.
    """
    if is_booster(model):
        return _asked(model, example.to_pandas() if isinstance(example, pa.Table) else example)
    rows = _as_fitted(model, example)
    if not hasattr(model, "predict_proba"):
        return {"prediction": np.asarray(model.predict(rows)).reshape(-1)}
    chances = np.asarray(model.predict_proba(rows), dtype=np.float64)
    if chances.shape[1] == 2:
        return {"probability": chances[:, 1]}
    return {"prediction": np.asarray(model.predict(rows)), **_per_class(chances, list(model.classes_))}


def plain_params(model: Any) -> dict[str, Any]:
    """The model's own parameters, as far as they are plain values; nested ones under their path."""
    if is_booster(model):
        found = model.params if library_of(model) == "lightgbm" else {}
    else:
        found = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    return {
        name: value for name, value in sorted(found.items()) if isinstance(value, str | bool | int | float) or value is None
    }


def written(model: Any, format: Format) -> bytes:
    """A model of LightGBM or XGBoost in the library's own format; `Invalid` where it is of neither."""
    if library_of(model) != format.value:
        raise Invalid(
            f"A {type(model).__name__} is not a model of {format.value}.", mend='Leave `format` out, or say "skops".'
        )
    if format is Format.LIGHTGBM:
        text: str = (model if is_booster(model) else model.booster_).model_to_string()
        return text.encode()
    return bytes((model if is_booster(model) else model.get_booster()).save_raw("ubj"))


def _asked(booster: Any, frame: Any) -> dict[str, Any]:
    if library_of(booster) == "xgboost":
        import xgboost

        frame = xgboost.DMatrix(frame, enable_categorical=True)
    raw = np.asarray(booster.predict(frame), dtype=np.float64)
    if raw.ndim == 2 and raw.shape[1] > 1:
        return {"prediction": raw.argmax(axis=1), **_per_class(raw, list(range(raw.shape[1])))}
    return {"probability" if gives_chances(booster) else "prediction": raw.reshape(-1)}


def _per_class(chances: Any, classes: list[Any]) -> dict[str, Any]:
    return dict(zip([f"probability_{label}" for label in classes], chances.T, strict=True))


def _as_fitted(model: Any, example: Any) -> Any:
    """The example in the form that the model was fitted on: a frame if it knows names, else an array."""
    frame = example.to_pandas() if isinstance(example, pa.Table) else example
    return frame if hasattr(model, "feature_names_in_") else frame.to_numpy()
