"""ONNX models through ONNX Runtime, on one thread: parallelism is for requests, not inside one."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.serving.checks import Array, Columns, conform_outputs
from modelwright.serving.formats.outputs import name_outputs
from modelwright.serving.records import Manifest

_ELEMENT: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


def load(manifest: Manifest, data: bytes) -> OnnxPredictor:
    """Open a session; `Invalid` if the bytes are no ONNX model or its inputs are not those of the signature."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime raises its own types, made in C++
        raise Invalid(
            f"The ONNX file of {manifest.name}@{manifest.version} cannot be loaded: {type(error).__name__}."
        ) from None
    return OnnxPredictor(manifest, session)


class OnnxPredictor:
    """An ONNX Runtime session behind the `Predictor` interface.

    A graph takes either one input per column (shape [N, 1] or [N]) or a single input [N, columns] in the signature's order.
    """

    def __init__(self, manifest: Manifest, session: Any) -> None:
        self.manifest = manifest
        self._session = session
        self._inputs = session.get_inputs()
        self._outputs = [output.name for output in session.get_outputs()]
        names = {column.name for column in manifest.signature.inputs}
        taken = {node.name for node in self._inputs}
        self._by_column = taken <= names
        if not self._by_column and len(self._inputs) != 1:
            raise Invalid(
                f"The ONNX graph of {manifest.name}@{manifest.version} takes {', '.join(sorted(taken - names))}, "
                f"which are no inputs of its signature."
            )

    def predict(self, columns: Columns) -> Columns:
        """See `Predictor.predict`."""
        raw = dict(zip(self._outputs, self._session.run(None, self._feed(columns)), strict=True))
        signature = self.manifest.signature
        if {column.name for column in signature.outputs} <= raw.keys():
            return conform_outputs(signature, {name: np.asarray(value) for name, value in raw.items()})
        return name_outputs(signature, lambda: _label(raw), lambda: _probabilities(raw))

    def _feed(self, columns: Columns) -> dict[str, Array]:
        if self._by_column:
            return {node.name: _tensor(columns[node.name], node) for node in self._inputs}
        (node,) = self._inputs
        element = _element(node)
        return {node.name: np.column_stack([values.astype(element) for values in columns.values()])}


def _label(raw: dict[str, Any]) -> Array:
    for value in raw.values():
        if isinstance(value, np.ndarray) and (value.ndim == 1 or value.shape[1:] == (1,)):
            return value.reshape(-1)
    raise Invalid(f"The ONNX graph gives no label and no value per row; it gives {', '.join(raw)}.")


def _probabilities(raw: dict[str, Any]) -> Array:
    for value in raw.values():
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] > 1 and value.dtype.kind == "f":
            return value
        if (
            isinstance(value, list) and value and isinstance(value[0], dict)
        ):  # a ZipMap: one dict of class to chance per row
            return np.array([list(row.values()) for row in value], dtype=np.float64)
    raise Invalid(
        "The ONNX graph gives no probabilities.", mend="Export the classifier with its probabilities (zipmap=False)."
    )


def _tensor(values: Array, node: Any) -> Array:
    element = _element(node)
    if element is np.object_:
        values = np.array(["" if value is None else value for value in values], dtype=object)
    elif values.dtype.kind == "M":
        values = values.astype(np.int64)
    cast = values.astype(element)
    return cast.reshape(-1, 1) if len(node.shape) == 2 else cast


def _element(node: Any) -> Any:
    try:
        return _ELEMENT[node.type]
    except KeyError:
        raise Invalid(f"The ONNX input {node.name!r} is a {node.type}, which no column type fits.") from None
