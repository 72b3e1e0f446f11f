"""MLflow's scoring protocol (`/invocations`): bodies read, answers written. Knows bytes and columns, no HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.core.later import later
from modelwright.core.signature import DataType, Signature
from modelwright.serving.checks import Columns

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

VERSION: Final = "3.17.2"  # of MLflow, whose behaviour this is
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")


class NotSupported(ModelwrightError):
    """A content type that cannot be read; answered as plain text."""

    code = "unsupported-media-type"
    status = 415


def check_content_type(header: str | None) -> str:
    """The media type of a body; `NotSupported` for other types, other character sets and other parameters."""
    kind, *parameters = [part.strip() for part in (header or JSON).split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() != "charset":
            raise NotSupported(f"The scoring server takes no content-type parameter but charset, not {name.strip()}.")
        if value.strip().strip('"').lower() != "utf-8":
            raise NotSupported("The scoring server only supports UTF-8.")
    if kind.lower() not in (JSON, CSV, PARQUET):
        raise NotSupported(f"The scoring server takes {JSON}, {CSV} and {PARQUET}.")
    return kind.lower()


def read(kind: str, body: bytes, signature: Signature) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns and parameters of a body; `Invalid` says what is wrong with it."""
    if kind == CSV:
        return _from_csv(body, signature), {}
    if kind == PARQUET:
        return _from_parquet(body), {}
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Invalid("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise Invalid(f"The body must be an object with one of the keys {', '.join(FORMS)}.")
    params = content.pop("params", None) or {}
    if not isinstance(params, dict):
        raise Invalid("`params` must be an object.")
    if "signature_name" in content:
        raise Invalid("`signature_name` is not supported.")
    found = [form for form in FORMS if form in content]
    if len(found) != 1 or len(content) != 1:
        raise Invalid(f"The body must have exactly one of the keys {', '.join(FORMS)}, and beside it at most `params`.")
    return _READERS[found[0]](content[found[0]], signature), params


def unit_and_time(params: dict[str, Any]) -> tuple[str | None, Any]:
    """What the parameters say about the unit and the time of the event."""
    unit, time = params.get("unit"), params.get("event_time")
    if time is not None and not isinstance(time, str):
        raise Invalid("The parameter event_time is an RFC 3339 time.")
    return None if unit is None else str(unit), None if time is None else parse_time(time)


def write(outputs: Columns) -> bytes:
    """The answer: a list for a single output, records for several. What is not a number becomes null."""
    plain = {name: _plain(values) for name, values in outputs.items()}
    if len(plain) == 1:
        return msgspec.json.encode({"predictions": next(iter(plain.values()))})
    rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    return msgspec.json.encode({"predictions": rows})


def _plain(values: Any) -> list[Any]:
    if values.dtype.kind == "M":
        return [None if np.isnat(v) else str(v) for v in values]
    found: list[Any] = values.tolist()
    return found


def _from_split(value: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(value, dict) or "data" not in value or value.keys() - {"data", "columns", "index"}:
        raise Invalid("`dataframe_split` is an object with `data`, and `columns` and `index` if wanted.")
    rows = value["data"]
    if not isinstance(rows, list):
        raise Invalid("`dataframe_split`: `data` is a list of rows.")
    names = value.get("columns")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise Invalid("`dataframe_split`: `columns` is a list of names.")
    return _from_rows(rows, names or [column.name for column in signature.inputs])


def _from_rows(rows: list[Any], names: list[str]) -> dict[str, Any]:
    """Rows of values under names."""
    wrong = next((i for i, row in enumerate(rows) if not isinstance(row, list) or len(row) != len(names)), None)
    if wrong is not None:
        raise Invalid(f"Row {wrong + 1} does not hold {len(names)} values ({', '.join(names)}).")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _from_records(value: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Invalid("`dataframe_records` is a list of row objects.")
    names = dict.fromkeys(name for row in value for name in row) or [column.name for column in signature.inputs]
    return {name: [row.get(name) for row in value] for name in names}


def _from_instances(value: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(value, list):
        raise Invalid("`instances` is a list.")
    if not value or isinstance(value[0], dict):
        return _from_records(value, signature)
    rows = [row if isinstance(row, list) else [row] for row in value]
    return _from_rows(rows, [column.name for column in signature.inputs])


def _from_inputs(value: Any, signature: Signature) -> dict[str, Any]:
    if isinstance(value, dict):
        columns = {name: each if isinstance(each, list) else [each] for name, each in value.items()}
        return {name: _single(name, each) for name, each in columns.items()}
    return _from_instances(value if isinstance(value, list) else [value], signature)


def _single(name: str, values: list[Any]) -> list[Any]:
    """[[1], [2]] is the column [1, 2]."""
    if values and all(isinstance(value, list) for value in values):
        if any(len(value) != 1 for value in values):
            raise Invalid(f"Column {name!r} has rows of several values.")
        return [value[0] for value in values]
    return values


_READERS: Final[dict[str, Callable[[Any, Signature], dict[str, Any]]]] = {
    "dataframe_split": _from_split,
    "dataframe_records": _from_records,
    "instances": _from_instances,
    "inputs": _from_inputs,
}


def _from_csv(body: bytes, signature: Signature) -> dict[str, Any]:
    try:
        rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (csv.Error, UnicodeDecodeError):
        raise Invalid("The body is not CSV in UTF-8.") from None
    if not rows:
        raise Invalid("The CSV has no header.")
    columns = _from_rows(list(rows[1:]), rows[0])
    types = {column.name: column.dtype for column in signature.inputs}
    return {name: [_parsed(name, types.get(name), i, text) for i, text in enumerate(t)] for name, t in columns.items()}


def _parsed(name: str, dtype: DataType | None, row: int, text: str) -> Any:
    """A field of a CSV as its column's type; an empty one is null."""
    if text == "" or dtype in (None, DataType.STRING, DataType.DATETIME):
        return text or None
    try:
        if dtype is DataType.BOOL:
            return {"true": True, "false": False, "1": True, "0": False}[text.strip().lower()]
        if dtype in (DataType.INT32, DataType.INT64):
            return int(text)
        return float(text)
    except (ValueError, KeyError):
        raise Invalid(f"Failed to convert column {name!r} (row {row + 1}) to {dtype}.") from None


def _from_parquet(body: bytes) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(body))
    except (pa.ArrowException, OSError):
        raise Invalid("The body is not a Parquet file.") from None
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.timestamp("us"), safe=False).to_numpy()
        else:
            columns[name] = column.to_pylist()
    return columns
