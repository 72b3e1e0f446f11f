from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType
from modelwright.models.package import EXAMPLE_ROWS, build
from modelwright.serving import Format

formats = pytest.mark.parametrize("format", [Format.SKOPS, Format.ONNX])


@formats
def test_a_pipeline_on_mixed_columns_predicts_alike_when_it_is_loaded_again(
    format: Format, estimator: Any, flights: pd.DataFrame
) -> None:
    built = build(estimator, flights, format=format)
    assert built.parity.holds and built.parity.rows == len(flights)
    assert list(built.files) == [f"model.{format}"]
    assert [(c.name, c.dtype) for c in built.signature.inputs] == [
        ("distance", DataType.FP64),
        ("hour", DataType.INT64),
        ("carrier", DataType.STRING),
    ]
    assert [c.name for c in built.signature.outputs] == ["probability"]


@formats
def test_an_estimator_fitted_on_an_array_predicts_alike(format: Format, flights: pd.DataFrame, late: np.ndarray) -> None:
    fitted = LogisticRegression().fit(flights[["distance", "hour"]].to_numpy(), late)
    assert build(fitted, flights[["distance", "hour"]], format=format).parity.holds


@formats
def test_a_regression_gives_a_prediction(format: Format, flights: pd.DataFrame) -> None:
    built = build(LinearRegression().fit(flights[["hour"]], flights.distance), flights[["hour"]], format=format)
    assert [(c.name, c.dtype) for c in built.signature.outputs] == [("prediction", DataType.FP64)]
    assert built.parity.holds


@formats
def test_more_than_two_classes_give_a_label_and_a_probability_for_each(format: Format, flights: pd.DataFrame) -> None:
    fitted = RandomForestClassifier(5, random_state=0).fit(flights[["distance", "hour"]], flights.carrier)
    built = build(fitted, flights[["distance", "hour"]], format=format)
    names = [c.name for c in built.signature.outputs]
    assert names == ["prediction", "probability_AA", "probability_DL", "probability_UA"]
    assert built.signature.outputs[0].dtype is DataType.STRING
    assert built.parity.holds


def test_only_a_few_rows_of_the_example_are_kept(estimator: Any, flights: pd.DataFrame) -> None:
    import io

    kept = pq.read_table(io.BytesIO(build(estimator, flights, format=Format.SKOPS).example))
    assert kept.num_rows == EXAMPLE_ROWS and kept.column_names == list(flights.columns)


def test_the_estimators_plain_parameters_are_kept(estimator: Any, flights: pd.DataFrame) -> None:
    params = build(estimator, flights, format=Format.SKOPS).params
    assert params["logisticregression__max_iter"] == 5000
    assert all(isinstance(v, str | bool | int | float | None) for v in params.values())


def test_a_type_that_nobody_reviewed_is_refused_by_its_name(flights: pd.DataFrame) -> None:
    class Own(ClassifierMixin, BaseEstimator):
        def predict(self, rows: Any) -> np.ndarray:
            return np.zeros(len(rows))

    with pytest.raises(Invalid, match=r"The skops file names types that are not trusted: .*Own"):
        build(Own(), flights, format=Format.SKOPS)


def test_a_model_that_cannot_become_onnx_says_which_part_and_what_to_do(flights: pd.DataFrame, late: np.ndarray) -> None:
    from sklearn.pipeline import make_pipeline

    fitted = make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()).fit(flights[["hour"]], late)
    with pytest.raises(Invalid, match="cannot be converted to ONNX") as refused:
        build(fitted, flights[["hour"]], format=Format.ONNX)
    assert "skops" in refused.value.mend


@pytest.mark.parametrize("many", [2, 3, 0])
def test_trees_of_histograms_become_onnx_alone_and_within_others(flights: pd.DataFrame, many: int) -> None:
    numbers = flights[["distance", "hour"]].astype(float)
    numbers.iloc[::7, 0] = np.nan
    target = flights["hour"] if many == 0 else pd.qcut(flights["hour"], many, labels=False, duplicates="drop")
    trees = HistGradientBoostingRegressor(max_iter=3) if many == 0 else HistGradientBoostingClassifier(max_iter=3)
    around = BaggingRegressor if many == 0 else BaggingClassifier
    for fitted in (trees.fit(numbers, target), around(trees, 2, random_state=0).fit(numbers, target)):
        built = build(fitted, numbers, format=Format.ONNX)
        assert built.parity.holds and built.parity.rows > len(numbers) // 2
        assert build(fitted, numbers, format=Format.ONNX).files == built.files


def test_a_model_of_another_library_that_cannot_become_onnx_is_sent_to_its_own_format(flights: pd.DataFrame) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    numbers = flights[["distance", "hour"]].astype(float)
    fitted = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(numbers, flights["hour"])
    with pytest.raises(Invalid, match="cannot be converted to ONNX") as refused:
        build(fitted, numbers, format=Format.ONNX)
    assert "lightgbm" in refused.value.mend


def test_a_tolerance_that_the_conversion_misses_does_not_hold(flights: pd.DataFrame, late: np.ndarray) -> None:
    fitted = RandomForestClassifier(7, random_state=0).fit(flights[["distance", "hour"]], late)
    assert not build(fitted, flights[["distance", "hour"]], format=Format.ONNX, tolerance=1e-15).parity.holds


def test_an_example_without_rows_is_refused(estimator: Any, flights: pd.DataFrame) -> None:
    with pytest.raises(Invalid, match="no rows"):
        build(estimator, flights.iloc[:0], format=Format.SKOPS)
