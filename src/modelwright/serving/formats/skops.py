"""scikit-learn models in the skops format: a schema of types and arrays that is read without running what it names.

Only types on a list of exact names are built: those that skops itself vouches for, and the few below. A file that names
any other is refused before anything in it is constructed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType, Signature
from modelwright.core.skops import skops_io
from modelwright.serving.checks import Array, Columns
from modelwright.serving.formats.outputs import name_outputs
from modelwright.serving.records import Manifest

FEW_ROWS = 2_000  # up to so many, more threads than one cost more than they bring

TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",  # its state is the library's own text
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)


def load(manifest: Manifest, data: bytes) -> SkopsPredictor:
    """Build the estimator; `Invalid` names the types that are not allowed."""
    io = skops_io()
    try:
        named = set(io.get_untrusted_types(data=data))
    except Exception as error:  # noqa: BLE001 - whatever a broken or hostile file makes the reader raise
        raise Invalid(f"The skops file cannot be read: {type(error).__name__}.") from None
    unknown = sorted(named - TRUSTED)
    if unknown:
        whose = f" of {manifest.name}@{manifest.version}" if manifest.digest else ""  # not registered yet
        raise Invalid(
            f"The skops file{whose} names types that are not trusted: {', '.join(unknown)}.",
            mend="Export the model as ONNX, which holds no types, or make it of scikit-learn's own estimators.",
            details={"types": unknown},
        )
    try:
        estimator = io.loads(data, trusted=sorted(named))
    except Exception as error:  # noqa: BLE001 - as above: the message of a hostile file is not repeated
        raise Invalid(f"The skops file cannot be loaded: {type(error).__name__}.") from None
    return SkopsPredictor(manifest, estimator)


class SkopsPredictor:
    """A scikit-learn estimator or pipeline behind the `Predictor` interface."""

    def __init__(self, manifest: Manifest, estimator: Any) -> None:
        from threadpoolctl import ThreadpoolController

        self.manifest = manifest
        self._estimator = estimator
        self._threads = ThreadpoolController()
        if not hasattr(estimator, "predict"):
            raise Invalid(f"{manifest.name}@{manifest.version} holds a {type(estimator).__name__}, which does not predict.")

    def predict(self, columns: Columns) -> Columns:
        """See `Predictor.predict`."""
        rows = len(next(iter(columns.values()))) if columns else 0
        if rows == 0:
            return _empty(self.manifest.signature)
        table = as_features(columns, named=hasattr(self._estimator, "feature_names_in_"))
        if type(self._estimator).__module__.startswith("lightgbm"):  # knows levels by what pandas calls categories
            texts = [column.name for column in self.manifest.signature.inputs if column.dtype is DataType.STRING]
            table = table.astype(dict.fromkeys(texts, "category")) if texts else table
        with self._threads.limit(limits=1 if rows <= FEW_ROWS else None, user_api="openmp"):
            return name_outputs(
                self.manifest.signature,
                lambda: np.asarray(self._estimator.predict(table)),
                lambda: np.asarray(self._estimator.predict_proba(table)),
            )


def as_features(columns: Columns, *, named: bool) -> Any:
    """What an estimator takes: a data frame if it was fitted on named columns, else an array [rows, columns]."""
    if named:
        import pandas

        return pandas.DataFrame(columns, copy=False)
    arrays: list[Array] = list(columns.values())
    if all(array.dtype.kind in "fiub" for array in arrays):
        return np.column_stack([array.astype(np.float64, copy=False) for array in arrays])
    return np.column_stack([array.astype(object) for array in arrays])


def _empty(signature: Signature) -> Columns:
    return name_outputs(signature, lambda: np.empty(0), lambda: np.empty((0, _classes(signature))))


def _classes(signature: Signature) -> int:
    return max(2, sum(column.name.startswith("probability_") for column in signature.outputs))
