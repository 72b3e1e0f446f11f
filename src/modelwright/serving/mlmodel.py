"""MLflow's `MLmodel` file: in which ways a folder says that it can be loaded, and what it takes and gives.

It comes from whoever uploads, so it is read as plain values and no more: no tags, anchors or references between nodes
(which a small file can blow up with), a limit on size and depth. Nothing that it names is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from modelwright.core.errors import Invalid, Refused
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving.records import MLMODEL, Format

LARGEST = 1 << 20  # bytes
DEEPEST = 30
_TYPES = {
    "boolean": DataType.BOOL,
    "integer": DataType.INT32,
    "long": DataType.INT64,
    "float": DataType.FP32,
    "double": DataType.FP64,
    "string": DataType.STRING,
    "datetime": DataType.DATETIME,
    "bool": DataType.BOOL,  # from here on, the names of tensors
    "int8": DataType.INT32,
    "int16": DataType.INT32,
    "int32": DataType.INT32,
    "int64": DataType.INT64,
    "float32": DataType.FP32,
    "float64": DataType.FP64,
    "str": DataType.STRING,
    "object": DataType.STRING,
}


class MlModel(msgspec.Struct, frozen=True, kw_only=True):
    """What an `MLmodel` file says."""

    flavours: dict[str, dict[str, Any]]
    signature: Signature | None  # None where there is none, or it is none of columns
    written_by: str = ""  # MLflow's version
    run: str = ""
    logged_as: str = ""


def read_mlmodel(data: bytes) -> MlModel:
    """Read the file; `Invalid` where it is not what MLflow writes."""
    content = _plain(data)
    flavours = content.get("flavors")
    if not isinstance(flavours, dict) or not all(isinstance(each, dict) for each in flavours.values()):
        raise Invalid(f"The file {MLMODEL} names no flavours.", mend="Save the model with MLflow again.")
    return MlModel(
        flavours={str(name): {str(key): value for key, value in each.items()} for name, each in flavours.items()},
        signature=_signature(content.get("signature")),
        written_by=str(content.get("mlflow_version") or ""),
        run=str(content.get("run_id") or ""),
        logged_as=str(content.get("model_id") or ""),
    )


def native(model: MlModel) -> tuple[Format, str]:
    """The format and path of the one file in the folder that can be loaded without running code from it.

    `Refused` says which flavours there are where none of them is such a file.
    """
    for flavour, find in _NATIVE.items():
        if flavour in model.flavours and (found := find(model.flavours[flavour])) is not None:
            return found
    has = ", ".join(sorted(model.flavours)) or "none"
    raise Refused(
        f"An MLflow folder of the flavours {has} holds code or pickles, which are never run here.",
        mend="Load it in your own process with MLflow, or log the model as skops, ONNX, LightGBM or XGBoost.",
        details={"flavours": sorted(model.flavours)},
    )


def _onnx(flavour: Mapping[str, Any]) -> tuple[Format, str] | None:
    path = flavour.get("data")
    return (Format.ONNX, path) if isinstance(path, str) else None


def _sklearn(flavour: Mapping[str, Any]) -> tuple[Format, str] | None:
    path = flavour.get("pickled_model")  # so it is called, whatever the format
    return (Format.SKOPS, path) if flavour.get("serialization_format") == "skops" and isinstance(path, str) else None


def _lightgbm(flavour: Mapping[str, Any]) -> tuple[Format, str] | None:
    path = flavour.get("data")
    if not isinstance(path, str):
        return None
    if str(flavour.get("model_class", "")).endswith(".Booster"):
        return Format.LIGHTGBM, path
    return (Format.SKOPS, path) if flavour.get("serialization_format") == "skops" else None


def _xgboost(flavour: Mapping[str, Any]) -> tuple[Format, str] | None:
    path = flavour.get("data")
    return (Format.XGBOOST, path) if isinstance(path, str) and path.endswith((".ubj", ".json")) else None


_NATIVE = {"onnx": _onnx, "sklearn": _sklearn, "lightgbm": _lightgbm, "xgboost": _xgboost}


def _plain(data: bytes) -> dict[str, Any]:
    import yaml

    if len(data) > LARGEST:
        raise Invalid(f"The file {MLMODEL} is larger than {LARGEST} bytes.")
    try:
        depth = 0
        for event in yaml.parse(data, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise Invalid(f"The file {MLMODEL} has an anchor, which MLflow never writes.")
            if getattr(event, "tag", None):
                raise Invalid(f"The file {MLMODEL} has the tag {str(event.tag)[:80]!r}, which MLflow never writes.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise Invalid(f"The file {MLMODEL} is nested more than {DEEPEST} deep.")
        content = yaml.load(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The file {MLMODEL} cannot be read: {type(error).__name__}.") from None
    if not isinstance(content, dict):
        raise Invalid(f"The file {MLMODEL} does not hold names and values.")
    return content


def _signature(found: Any) -> Signature | None:
    """The columns of a signature; None where some part of it is no column (a tensor of many dimensions, an object)."""
    if not isinstance(found, dict):
        return None
    try:
        inputs, outputs = (json.loads(found.get(key) or "[]") for key in ("inputs", "outputs"))
        taken = [_column(each, f"input_{number}") for number, each in enumerate(inputs)]
        given = [_column(each, "prediction") for each in outputs]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not taken or len({column.name for column in taken}) < len(taken) or len(given) > 1:
        return None
    return Signature(inputs=taken, outputs=[Column(name="prediction", dtype=column.dtype) for column in given])


def _column(said: Mapping[str, Any], name: str) -> Column:
    kind, nullable = said["type"], not said.get("required", True)
    if kind == "tensor":
        tensor = said["tensor-spec"]
        if len([each for each in tensor["shape"] if each not in (-1, 1)]) > 0:
            raise ValueError("not one value a row")
        kind = tensor["dtype"]
    return Column(name=str(said.get("name") or name), dtype=_TYPES[kind], nullable=nullable)
