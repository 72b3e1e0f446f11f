"""Is this batch what the model was made for? Checks columns against a signature and brings them into memory form.

In memory a column is a NumPy array: BOOL `bool`, INT32 `int32`, INT64 `int64`, FP32 `float32`, FP64 `float64`, STRING
`object` (str or None), DATETIME `datetime64[us]` in UTC. A nullable BOOL or integer column is `float64` with NaN for null,
whether or not this batch has one, so that a model always sees one type.

Messages name the column and the row, and never repeat the value: it may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid
from modelwright.core.later import later
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving.records import Extras

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Columns: TypeAlias = "dict[str, Array]"

_IN_MEMORY = {
    DataType.BOOL: "bool",
    DataType.INT32: "int32",
    DataType.INT64: "int64",
    DataType.FP32: "float32",
    DataType.FP64: "float64",
    DataType.STRING: "object",
    DataType.DATETIME: "datetime64[us]",
}
_INTEGERS = (DataType.INT32, DataType.INT64)
_FLOATS = (DataType.FP32, DataType.FP64)
_EXACT = 2**53  # the integers up to here are exact as float64


def check_batch(signature: Signature, batch: Mapping[str, Any], *, extras: Extras = Extras.REFUSE) -> Columns:
    """The batch's columns in the signature's order and memory form; `Invalid` names the first column that does not fit.

    Values are sequences (None for null) or NumPy arrays, all of one length. A nullable column may be left out. An integer
    may stand in a floating-point column; nothing else is converted: 1.5 in an integer column, a number in a text column and
    a text in a number column are errors.
    """
    known = {column.name for column in signature.inputs}
    unknown = [name for name in batch if name not in known]
    if unknown and extras is Extras.REFUSE:
        raise _wrong(unknown[0], f"is not an input of this model; it takes {', '.join(sorted(known))}")
    rows = _row_count({name: values for name, values in batch.items() if name in known})
    checked = {}
    for column in signature.inputs:
        if column.name in batch:
            checked[column.name] = as_column(column, batch[column.name])
        elif column.nullable:
            checked[column.name] = as_column(column, [None] * rows)
        else:
            raise _wrong(column.name, "is missing and is not nullable")
    return checked


def as_column(column: Column, values: Any) -> Array:
    """One column in memory form, or `Invalid`."""
    if isinstance(values, np.ndarray):
        values = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
        if values.ndim != 1:
            raise _wrong(column.name, f"has {values.ndim} dimensions; a column has one")
        ready = _ready_array(column, values)
        if ready is not None:
            return ready
        values = values.tolist() if values.dtype.kind != "M" else list(values.astype("datetime64[us]"))
    return _from_objects(column, list(values))


def conform_outputs(signature: Signature, outputs: Mapping[str, Array]) -> Columns:
    """A model's outputs in the order and memory form of its signature; a model that lacks one is `Invalid`."""
    conformed = {}
    for column in signature.outputs:
        if column.name not in outputs:
            raise Invalid(f"The model gives no output {column.name!r}; it gives {', '.join(outputs) or 'none'}.")
        values = np.asarray(outputs[column.name]).reshape(-1)
        wanted = _memory_type(column)
        if column.dtype is DataType.STRING:
            conformed[column.name] = np.array([None if v is None else str(v) for v in values], dtype=object)
        else:
            conformed[column.name] = values.astype(wanted)
    return conformed


@cache
def _dtype(kind: DataType) -> np.dtype[Any]:
    return np.dtype(_IN_MEMORY[kind])


def _memory_type(column: Column) -> Any:
    if column.nullable and (column.dtype in _INTEGERS or column.dtype is DataType.BOOL):
        return np.float64
    return _dtype(column.dtype)


def _ready_array(column: Column, values: Array) -> Array | None:
    """An array whose type already says that every value fits: the way of binary tensors, without a look at each value."""
    kind = values.dtype.kind
    if column.dtype in _FLOATS and kind in "fiu":
        found = values.astype(_dtype(column.dtype))
        if not column.nullable:
            _refuse_null(column, np.isnan(found))
        return found
    if column.dtype in _INTEGERS and kind in "iu" and not column.nullable:
        info = np.iinfo(_dtype(column.dtype))
        outside = (values < info.min) | (values > info.max)
        if outside.any():
            raise _wrong(column.name, f"holds an integer beyond {column.dtype}", _first(outside))
        return values.astype(_dtype(column.dtype))
    if column.dtype is DataType.BOOL and kind == "b":
        return values.astype(_memory_type(column))
    if column.dtype is DataType.DATETIME and kind == "M":
        if not column.nullable:
            _refuse_null(column, np.isnat(values))
        return values.astype(_dtype(column.dtype))
    return None


def _from_objects(column: Column, values: list[Any]) -> Array:
    nulls = [value is None or value != value for value in values]  # NaN is what differs from itself
    if any(nulls):
        if not column.nullable:
            _refuse_null(column, np.array(nulls))
        values = [None if null else value for value, null in zip(values, nulls, strict=True)]
    if column.dtype is DataType.STRING:
        return _strings(column, values)
    if column.dtype is DataType.DATETIME:
        return _moments(column, values)
    return _numbers(column, values)


def _numbers(column: Column, values: list[Any]) -> Array:
    kinds = set(map(type, values)) - {type(None)}
    if column.dtype is DataType.BOOL:
        _only(column, values, kinds, (bool, np.bool_), "true or false")
        fill: Any = False
    elif column.dtype in _FLOATS:
        _only(column, values, kinds, (int, float, np.integer, np.floating), "a number")
        return _fill(values, np.float64).astype(_dtype(column.dtype))
    else:
        values = _whole(column, values, kinds)
        fill = 0
    if column.nullable:
        return _fill(values, np.float64)
    return np.array([fill if value is None else value for value in values], dtype=_dtype(column.dtype))


def _whole(column: Column, values: list[Any], kinds: set[type]) -> list[Any]:
    """Integers as they are, and floats without a fraction (JSON has one kind of number) made integers."""
    _only(column, values, kinds, (int, float, np.integer, np.floating), "an integer")
    info = np.iinfo(_dtype(column.dtype))
    whole: list[Any] = []
    for row, value in enumerate(values):
        if isinstance(value, float | np.floating):
            if not np.isfinite(value) or value != int(value):
                raise _wrong(column.name, "holds a number with a fraction; it takes integers", row)
            value = int(value)
        if value is not None and not info.min <= value <= info.max:
            raise _wrong(column.name, f"holds an integer beyond {column.dtype}", row)
        if value is not None and column.nullable and abs(value) > _EXACT:
            raise _wrong(column.name, "is nullable and holds an integer beyond 2^53, which would lose digits", row)
        whole.append(value)
    return whole


def _fill(values: list[Any], dtype: Any) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=dtype)


def _strings(column: Column, values: list[Any]) -> Array:
    _only(column, values, set(map(type, values)) - {type(None)}, (str, np.str_), "a text")
    if column.categories is not None:
        levels = set(column.categories)
        for row, value in enumerate(values):
            if value is not None and value not in levels:
                raise _wrong(column.name, f"holds a level that is none of its {len(levels)} known ones", row)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _moments(column: Column, values: list[Any]) -> Array:
    made = np.empty(len(values), dtype="datetime64[us]")
    for row, value in enumerate(values):
        if value is None:
            made[row] = np.datetime64("NaT")
        elif isinstance(value, str):
            try:
                made[row] = np.datetime64(parse_time(value).replace(tzinfo=None), "us")
            except Invalid:
                raise _wrong(column.name, "holds a text that is not an RFC 3339 time", row) from None
        elif isinstance(value, np.datetime64):
            made[row] = value
        elif isinstance(value, int) and not isinstance(value, bool):
            made[row] = np.datetime64(value, "us")
        else:
            raise _wrong(column.name, f"takes RFC 3339 times, not {_named(value)}", row)
    return made


def _only(column: Column, values: list[Any], kinds: set[type], allowed: tuple[type, ...], what: str) -> None:
    """Every value is of an allowed type; a bool is no number although Python says so."""
    bad = {kind for kind in kinds if not issubclass(kind, allowed) or (kind is bool and bool not in allowed)}
    if bad:
        row = next(i for i, value in enumerate(values) if type(value) in bad)
        raise _wrong(column.name, f"takes {what}, not {_named(values[row])}", row)


def _refuse_null(column: Column, nulls: Array) -> None:
    if nulls.any():
        raise _wrong(column.name, "is not nullable and holds a null", _first(nulls))


def _row_count(batch: Mapping[str, Any]) -> int:
    lengths = {name: len(values) for name, values in batch.items() if isinstance(values, Sequence | np.ndarray)}
    for name in batch.keys() - lengths.keys():
        raise _wrong(name, "is not a list of values")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise Invalid(f"The columns differ in length: {told}.")
    return next(iter(lengths.values()), 0)


def _first(mask: Array) -> int:
    return int(np.argmax(mask))


def _named(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "a true or false"
    return {int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}.get(
        type(value), f"a {type(value).__name__}"
    )


def _wrong(name: str, what: str, row: int | None = None) -> Invalid:
    at = "" if row is None else f" (row {row + 1})"
    return Invalid(f"Column {name!r} {what}{at}.", details={"column": name} | ({} if row is None else {"row": row}))
