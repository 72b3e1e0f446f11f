"""XGBoost models in the library's own UBJSON or JSON: trees and numbers, nothing that runs."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.serving.checks import Columns
from modelwright.serving.formats.objectives import gives_chances
from modelwright.serving.formats.soundness import check_xgboost
from modelwright.serving.formats.trees import FEW_ROWS, answers, empty, levels_of, matrix, order_of, told
from modelwright.serving.records import Manifest


def load(manifest: Manifest, data: bytes) -> XgBoostPredictor:
    """Read the trees; `Invalid` if the bytes are no XGBoost model, or its features are not the signature's inputs."""
    import xgboost

    try:
        check_xgboost(data)
        booster = xgboost.Booster(model_file=bytearray(data))
    except (xgboost.core.XGBoostError, Invalid, ValueError, TypeError) as error:
        raise Invalid(f"The XGBoost file of {manifest.name}@{manifest.version} cannot be read: {told(error)}") from None
    return XgBoostPredictor(manifest, booster)


class XgBoostPredictor:
    """An XGBoost booster behind the `Predictor` interface. The number of threads belongs to a booster, so there are two."""

    def __init__(self, manifest: Manifest, booster: Any) -> None:
        self.manifest = manifest
        names = booster.feature_names or [column.name for column in manifest.signature.inputs][: booster.num_features()]
        self._order = order_of(manifest, names)
        self._levels = levels_of(manifest, _levels(booster))
        self._chances = gives_chances(booster)
        best = booster.attr("best_iteration")  # where training stopped early, the trees after it do not count
        self._trees = (0, int(best) + 1) if best is not None else (0, 0)
        booster.feature_names = booster.feature_types = None  # a matrix has none, and the order is settled
        self._many = booster
        self._one = booster.copy()
        self._one.set_param({"nthread": 1})
        self._lock = threading.Lock()

    def gains(self) -> dict[str, float]:
        """The gain of all splits on each input, as the library counts it; of a linear booster nothing is known."""
        try:
            found = self._one.get_score(importance_type="total_gain")
        except ValueError:  # what has no splits
            return {}
        return {name: float(found.get(f"f{place}", 0.0)) for place, name in enumerate(self._order)}

    def predict(self, columns: Columns) -> Columns:
        """See `Predictor.predict`."""
        rows = len(next(iter(columns.values()))) if columns else 0
        if rows == 0:
            return empty(self.manifest.signature)
        features = matrix(columns, self._order, self._levels).astype(np.float32)
        booster = self._one if rows <= FEW_ROWS else self._many
        raw = booster.inplace_predict(features, iteration_range=self._trees)
        return answers(self.manifest.signature, np.asarray(raw, dtype=np.float64), chances=self._chances)


def _levels(booster: Any) -> list[list[Any]]:
    """The levels of each column of categories, which the file holds since XGBoost 3.1."""
    if "c" not in (booster.feature_types or []):
        return []
    found = booster.get_categories(export_to_arrow=True).to_arrow()
    return [levels.to_pylist() for _, levels in found if levels is not None]
