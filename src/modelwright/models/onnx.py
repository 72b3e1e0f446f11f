"""Conversion of scikit-learn estimators to ONNX. Whether the result predicts alike is checked by whoever asked for it."""

from __future__ import annotations

from typing import Any

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType, Signature

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
        graph = skl2onnx.to_onnx(estimator, initial_types=_inputs(estimator, signature, single_precision), options=options)
    except Exception as error:  # noqa: BLE001 - the converter raises dozens of types, most of them its own
        raise Invalid(
            f"A {type(estimator).__name__} cannot be converted to ONNX: {type(error).__name__}: {str(error)[:LONGEST]}",
            mend='Log it with format="skops".',
        ) from None
    data: bytes = graph.SerializeToString()
    return data


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
