"""Small real models in both formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelwright.core.hashing import digest_bytes
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import Format, Manifest

SIGNATURE = Signature(
    inputs=[
        Column(name="hour", dtype=DataType.INT64),
        Column(name="wind", dtype=DataType.FP64, nullable=True),
        Column(name="carrier", dtype=DataType.STRING),
    ],
    outputs=[Column(name="label", dtype=DataType.INT64), Column(name="probability", dtype=DataType.FP64)],
)


def manifest_of(data: bytes, model_format: Format, *, version: int = 1, signature: Signature = SIGNATURE) -> Manifest:
    """A manifest of a one-file package."""
    digest = digest_bytes(data)
    path = f"model.{model_format.value}"
    return Manifest(
        name="delay", version=version, format=model_format, files={path: digest}, signature=signature, digest=digest
    )


def training_frame(rows: int = 200) -> tuple[pd.DataFrame, np.ndarray]:
    """Late flights: at late hours, in strong wind, and with carrier UA."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "hour": rng.integers(0, 24, rows),
            "wind": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(10, 4, rows)),
            "carrier": rng.choice(["AA", "UA"], rows),
        }
    )
    score = (frame.hour - 12) / 6 + (frame.wind.fillna(10) - 10) / 4 + (frame.carrier == "UA") - 0.5
    return frame, (score > 0).astype(int).to_numpy()


def estimator(*, depth: int = 0):
    """A pipeline as a user would write it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, ["hour", "wind"]), ("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"])],
        sparse_threshold=0,
    )
    model = HistGradientBoostingClassifier(max_iter=5, max_depth=depth) if depth else LogisticRegression()
    return make_pipeline(columns, model).fit(*training_frame())


@pytest.fixture(scope="session")
def skops_bytes() -> bytes:
    import skops.io

    return skops.io.dumps(estimator())


@pytest.fixture(scope="session")
def onnx_bytes() -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    model = estimator()
    types = [
        ("hour", FloatTensorType([None, 1])),
        ("wind", FloatTensorType([None, 1])),
        ("carrier", StringTensorType([None, 1])),
    ]
    return to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}).SerializeToString()


@pytest.fixture(scope="session")
def skops_package(skops_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    folder = tmp_path_factory.mktemp("package")
    (folder / "model.skops").write_bytes(skops_bytes)
    return manifest_of(skops_bytes, Format.SKOPS), folder
