"""Conversion of scikit-learn estimators to ONNX. Whether the result predicts alike is checked by whoever asked for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType, Signature
from modelwright.models.frameworks import default_format

_NUMBERS = (DataType.BOOL, DataType.INT32, DataType.INT64, DataType.FP32, DataType.FP64)
LONGEST = 200  # characters of a converter's message that are passed on


def to_onnx(estimator: Any, signature: Signature, *, single_precision: bool = False) -> bytes:
    """The estimator as an ONNX graph: one input per column for a pipeline that selects columns by name, else one matrix.

    In `single_precision` every number enters as FP32, which mixes where columns of several types meet in one matrix.
    `Invalid` where a part of it has no counterpart in ONNX.
    """
    import skl2onnx

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    try:
        inputs = _inputs(estimator, signature, single_precision)
        name = f"ONNX({type(estimator).__name__})"  # one drawn by chance would make other bytes each time
        graph = skl2onnx.convert_sklearn(estimator, name, inputs, options=options, **_plain_converters())
    except Exception as error:  # noqa: BLE001 - the converter raises dozens of types, most of them its own
        raise Invalid(
            f"A {type(estimator).__name__} cannot be converted to ONNX: {type(error).__name__}: {str(error)[:LONGEST]}",
            mend=f'Log it with format="{default_format(estimator)}".',
        ) from None
    data: bytes = graph.SerializeToString()
    return data


class _Plain:
    """The container of a conversion, to which attributes go as Python's own numbers.

    skl2onnx hands over NumPy's scalars and arrays for trees of histograms, which onnx takes no longer.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> Any:
        return self._container.add_node(*args, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return int(value) if isinstance(value, bool) else value


def _plain_converters() -> dict[str, dict[type, Any]]:
    """What `convert_sklearn` is told of estimators whose attributes have to be made plain: converter and shapes."""
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    converters: dict[type, Any] = {}
    shapes: dict[type, Any] = {}
    for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        alias = f"Sklearn{kind.__name__}"
        converters[kind] = _converter(get_converter(alias))
        shapes[kind] = get_shape_calculator(alias)
    return {"custom_conversion_functions": converters, "custom_shape_calculators": shapes}


def _converter(original: Any) -> Any:
    return lambda scope, operator, container: original(scope, operator, _Plain(container))


def _inputs(estimator: Any, signature: Signature, single_precision: bool) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types as onnx_types

    tensors = {
        DataType.BOOL: onnx_types.BooleanTensorType,
        DataType.INT32: onnx_types.Int32TensorType,
        DataType.INT64: onnx_types.Int64TensorType,
        DataType.FP32: onnx_types.FloatTensorType,
        DataType.FP64: onnx_types.DoubleTensorType,
        DataType.STRING: onnx_types.StringTensorType,
        DataType.DATETIME: onnx_types.Int64TensorType,
    }
    if single_precision:
        tensors |= dict.fromkeys(_NUMBERS, onnx_types.FloatTensorType)
    if _selects_columns(estimator):
        return [(column.name, tensors[column.dtype]([None, 1])) for column in signature.inputs]
    if any(column.dtype is DataType.STRING for column in signature.inputs):
        raise Invalid(f"A {type(estimator).__name__} on texts needs a ColumnTransformer to become ONNX.")
    return [("input", tensors[DataType.FP64]([None, len(signature.inputs)]))]


def _selects_columns(estimator: Any) -> bool:
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    return hasattr(first, "transformers")
