"""The Open Inference Protocol, version 2, over REST: requests read, answers written. Knows bytes and columns, no HTTP."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid
from modelwright.core.later import later
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving.checks import Array, Columns

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

EXTENSIONS: Final = ["binary_tensor_data", "model_repository"]
HEADER_LENGTH: Final = "inference-header-content-length"

_WIRE: Final[dict[str, str | None]] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": None,  # each element with its own length
}
_LENGTH: Final = struct.Struct("<I")

Parameter = str | int | float | bool | None


class Tensor(msgspec.Struct, kw_only=True):
    """An input or output as it travels."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Parameter] = {}
    data: Any = None


class Wanted(msgspec.Struct, kw_only=True):
    """An output that the caller asks for."""

    name: str
    parameters: dict[str, Parameter] = {}


class Request(msgspec.Struct, kw_only=True):
    """An inference request as it travels."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Parameter] = {}
    outputs: list[Wanted] | None = None


class Response(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An inference response as it travels."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, Parameter] = {}
    outputs: list[dict[str, Any]]


def read(body: bytes, header_length: int | None) -> tuple[Request, memoryview]:
    """The JSON part of a request, and the bytes after it; `Invalid` says what is malformed."""
    length = len(body) if header_length is None else header_length
    if not 0 <= length <= len(body):
        raise Invalid(f"{HEADER_LENGTH} is {length}, and the body has {len(body)} bytes.")
    try:
        return msgspec.json.decode(memoryview(body)[:length], type=Request), memoryview(body)[length:]
    except msgspec.ValidationError as error:
        raise Invalid(f"The request is not an inference request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("The request is not valid JSON.") from None


def columns_of(request: Request, binary: memoryview, signature: Signature) -> dict[str, Any]:
    """The columns of a request: one tensor for each, or one tensor [rows, columns] in the signature's order."""
    values = list(_decoded(request, binary))
    if len(values) == 1:
        (tensor, flat), names = values[0], [column.name for column in signature.inputs]
        if len(tensor.shape) == 2 and tensor.shape[1] == len(names) and (tensor.name not in names or tensor.shape[1] > 1):
            return {name: flat[i :: len(names)] for i, name in enumerate(names)}
    columns: dict[str, Any] = {}
    for tensor, flat in values:
        if len(tensor.shape) != 1 and tensor.shape[1:] != [1]:
            raise Invalid(f"Input {tensor.name!r} has the shape {tensor.shape}; a column has [rows] or [rows, 1].")
        if tensor.name in columns:
            raise Invalid(f"Input {tensor.name!r} is there twice.")
        columns[tensor.name] = flat
    return columns


def _decoded(request: Request, binary: memoryview) -> Iterator[tuple[Tensor, Any]]:
    at = 0
    for tensor in request.inputs:
        if tensor.datatype not in _WIRE:
            raise Invalid(f"Input {tensor.name!r} has the unknown datatype {tensor.datatype!r}.")
        if any(size < 0 for size in tensor.shape):
            raise Invalid(f"Input {tensor.name!r} has the negative shape {tensor.shape}.")
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            flat: Any = _flat(tensor)
        else:
            if isinstance(size, bool) or not isinstance(size, int) or size < 0 or at + size > len(binary):
                raise Invalid(f"Input {tensor.name!r}: binary_data_size does not fit the {len(binary)} binary bytes.")
            if tensor.data is not None:
                raise Invalid(f"Input {tensor.name!r} has both data and binary_data_size.")
            flat = _from_bytes(tensor, binary[at : at + size])
            at += size
        if len(flat) != prod(tensor.shape):
            raise Invalid(f"Input {tensor.name!r} has {len(flat)} elements, and its shape {tensor.shape} has others.")
        yield tensor, _content(tensor, flat, request)
    if at != len(binary):
        raise Invalid(f"{len(binary) - at} binary bytes belong to no input.")


def _flat(tensor: Tensor) -> list[Any]:
    """JSON data, nested or flat, as one list in row-major order."""
    if not isinstance(tensor.data, list):
        raise Invalid(f"Input {tensor.name!r} has no data.")
    nested = bool(tensor.data) and isinstance(tensor.data[0], list)
    return _scalars(tensor, _unnest(tensor, tensor.data, tensor.shape) if nested else tensor.data)


def _unnest(tensor: Tensor, values: Any, shape: list[int]) -> list[Any]:
    if not shape or not isinstance(values, list) or len(values) != shape[0]:
        raise Invalid(f"Input {tensor.name!r} is not nested as its shape {tensor.shape} says.")
    if len(shape) == 1:
        return list(values)
    return [scalar for each in values for scalar in _unnest(tensor, each, shape[1:])]


def _scalars(tensor: Tensor, values: list[Any]) -> list[Any]:
    if any(isinstance(value, list | dict) for value in values):
        raise Invalid(f"Input {tensor.name!r} is not nested as its shape {tensor.shape} says.")
    if tensor.datatype == "BYTES":
        wrong = next((value for value in values if value is not None and not isinstance(value, str)), None)
        if wrong is not None:
            raise Invalid(f"Input {tensor.name!r} is BYTES and holds something else than texts.")
    elif any(isinstance(value, str) for value in values):
        raise Invalid(f"Input {tensor.name!r} is {tensor.datatype} and holds a text.")
    return values


def _from_bytes(tensor: Tensor, data: memoryview) -> Any:
    if (known := _WIRE[tensor.datatype]) is not None:
        wire = np.dtype(known)
        if len(data) % wire.itemsize:
            raise Invalid(f"Input {tensor.name!r}: {len(data)} bytes are no whole number of {tensor.datatype}.")
        return np.frombuffer(data, dtype=wire)
    found: list[str] = []
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise Invalid(f"Input {tensor.name!r} ends within the length of an element.")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            raise Invalid(f"Input {tensor.name!r} ends within an element.")
        try:
            found.append(str(data[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise Invalid(f"Input {tensor.name!r} holds an element that is not UTF-8.") from None
        at += length
    return found


def _content(tensor: Tensor, flat: Any, request: Request) -> Any:
    """What the content type says about texts."""
    kind = tensor.parameters.get("content_type", request.parameters.get("content_type"))
    if tensor.datatype != "BYTES" or kind in (None, "str", "datetime", "np", "pd"):
        return flat
    try:
        if kind == "base64":
            return [None if v is None else base64.b64decode(v, validate=True).decode() for v in flat]
        if kind == "pd_json":
            return [None if v is None else msgspec.json.decode(v) for v in flat]
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError):
        raise Invalid(f"Input {tensor.name!r} holds an element that is not {kind}.") from None
    raise Invalid(f"Input {tensor.name!r} has the unknown content type {kind!r}.")


def event_time(request: Request) -> Any:
    """The time of the event predicted, if the request says it in its parameter `event_time`."""
    value = request.parameters.get("event_time")
    if value is None:
        return None
    if not isinstance(value, str):
        raise Invalid("The parameter event_time is an RFC 3339 time.")
    return parse_time(value)


def write(request: Request, response: Mapping[str, Any], outputs: Columns) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON part if tensors follow it as bytes."""
    wanted = request.outputs if request.outputs is not None else [Wanted(name=name) for name in outputs]
    tensors: list[dict[str, Any]] = []
    trailing: list[bytes] = []
    for each in wanted:
        if each.name not in outputs:
            raise Invalid(f"There is no output {each.name!r}; there are {', '.join(outputs)}.")
        tensor, data = _encoded(each.name, outputs[each.name])
        if each.parameters.get("binary_data", request.parameters.get("binary_data_output", False)):
            raw = _to_bytes(tensor["datatype"], data)
            tensor["parameters"] = {"binary_data_size": len(raw)}
            trailing.append(raw)
        else:
            tensor["data"] = data.tolist()
        tensors.append(tensor)
    body = msgspec.json.encode(Response(**response, outputs=tensors))
    return body + b"".join(trailing), len(body) if trailing else None


def _encoded(name: str, values: Array) -> tuple[dict[str, Any], Array]:
    tensor: dict[str, Any] = {"name": name, "shape": [len(values), 1], "datatype": _datatype(values)}
    if values.dtype.kind == "M":
        texts = [None if np.isnat(v) else f"{v}Z" for v in values.astype("datetime64[us]")]
        tensor["parameters"] = {"content_type": "datetime"}
        values = np.array(texts, dtype=object)
    return tensor, values


def _datatype(values: Array) -> str:
    kind, size = values.dtype.kind, values.dtype.itemsize * 8
    if kind in "OUM":
        return "BYTES"
    return {"b": "BOOL", "i": f"INT{size}", "u": f"UINT{size}", "f": f"FP{size}"}[kind]


def _to_bytes(datatype: str, values: Array) -> bytes:
    if (wire := _WIRE[datatype]) is not None:
        flat: bytes = values.astype(wire).tobytes()
        return flat
    texts = [("" if value is None else str(value)).encode() for value in values]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def metadata(name: str, versions: list[str], platform: str, signature: Signature) -> dict[str, Any]:
    """What a model takes and gives."""
    return {
        "name": name,
        "versions": versions,
        "platform": platform,
        "inputs": [_described(column) for column in signature.inputs],
        "outputs": [_described(column) for column in signature.outputs],
    }


def _described(column: Column) -> dict[str, Any]:
    text = column.dtype in (DataType.STRING, DataType.DATETIME)
    return {"name": column.name, "datatype": "BYTES" if text else column.dtype.value, "shape": [-1, 1]}
