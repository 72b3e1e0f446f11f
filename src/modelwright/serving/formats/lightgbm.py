"""LightGBM models in the library's own text: trees and numbers, nothing that runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.serving.checks import Columns
from modelwright.serving.formats.objectives import gives_chances
from modelwright.serving.formats.soundness import check_lightgbm
from modelwright.serving.formats.trees import FEW_ROWS, answers, empty, levels_of, matrix, order_of, told
from modelwright.serving.records import Manifest


def load(manifest: Manifest, data: bytes) -> LightGbmPredictor:
    """Read the trees; `Invalid` if the bytes are no LightGBM model, or its features are not the signature's inputs."""
    import lightgbm

    try:
        trees, levels = check_lightgbm(data)
        booster = lightgbm.Booster(model_str=trees)
    except (lightgbm.basic.LightGBMError, Invalid, ValueError, TypeError) as error:
        raise Invalid(f"The LightGBM file of {manifest.name}@{manifest.version} cannot be read: {told(error)}") from None
    return LightGbmPredictor(manifest, booster, levels)


class LightGbmPredictor:
    """A LightGBM booster behind the `Predictor` interface."""

    def __init__(self, manifest: Manifest, booster: Any, levels: list[list[Any]]) -> None:
        self.manifest = manifest
        self._booster = booster
        self._order = order_of(manifest, booster.feature_name())
        self._levels = levels_of(manifest, levels)
        self._chances = gives_chances(booster)

    def gains(self) -> dict[str, float]:
        """The gain of all splits on each input, as the library counts it."""
        return dict(zip(self._order, map(float, self._booster.feature_importance("gain")), strict=True))

    def predict(self, columns: Columns) -> Columns:
        """See `Predictor.predict`."""
        rows = len(next(iter(columns.values()))) if columns else 0
        if rows == 0:
            return empty(self.manifest.signature)
        features = matrix(columns, self._order, self._levels)
        raw = self._booster.predict(features, num_threads=1 if rows <= FEW_ROWS else 0)
        return answers(self.manifest.signature, np.asarray(raw), chances=self._chances)
