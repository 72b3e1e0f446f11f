"""Tables in: whatever offers Arrow becomes a table, a table a signature, and a table the batch that a predictor takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import Invalid
from modelwright.core.frames import without_index
from modelwright.core.signature import Column, DataType, Signature


def as_table(data: Any) -> pa.Table:
    """A table from an Arrow table, a data frame (pandas, polars: anything with an Arrow stream), or columns by name."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, Mapping):
        return pa.table({name: _array(name, values) for name, values in data.items()})
    if hasattr(data, "__arrow_c_stream__"):
        return without_index(pa.table(data))
    raise Invalid(
        f"A {type(data).__name__} is not a table.", mend="Pass an Arrow table, a data frame, or a dict of columns by name."
    )


def _array(name: str, values: Any) -> Any:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Invalid(f"Column {name!r} does not hold values of one type: {error}.") from None


def infer_columns(
    table: pa.Table, *, nullable: Sequence[str] = (), categories: Mapping[str, Sequence[str]] | None = None
) -> list[Column]:
    """The columns of a table as a signature states them.

    A column is nullable if it holds a null here or is named in `nullable`; a dictionary column keeps its levels as
    categories. `Invalid` for a type that no model takes, and for a name that is not a column.
    """
    levels = dict(categories or {})
    for name in [*nullable, *levels]:
        if name not in table.column_names:
            raise Invalid(f"There is no column {name!r}.", mend=f"The columns are {', '.join(table.column_names)}.")
    return [
        Column(
            name=field.name,
            dtype=data_type(field.name, field.type),
            nullable=field.name in nullable or _holds_null(table[field.name]),
            categories=list(levels[field.name]) if field.name in levels else _levels(table[field.name]),
        )
        for field in table.schema
    ]


def data_type(name: str, found: pa.DataType) -> DataType:
    """The signature's type for an Arrow type."""
    t = pa.types
    if t.is_dictionary(found):
        return data_type(name, found.value_type)
    for fits, dtype in (
        (t.is_boolean, DataType.BOOL),
        (lambda f: t.is_integer(f) and (f.bit_width < 32 or f == pa.int32()), DataType.INT32),
        (lambda f: f in (pa.int64(), pa.uint32()), DataType.INT64),
        (lambda f: f in (pa.float16(), pa.float32()), DataType.FP32),
        (lambda f: f == pa.float64() or t.is_decimal(f), DataType.FP64),
        (lambda f: t.is_string(f) or t.is_large_string(f) or t.is_string_view(f), DataType.STRING),
        (lambda f: t.is_timestamp(f) or t.is_date(f), DataType.DATETIME),
    ):
        if fits(found):
            return dtype
    why = "holds nothing but nulls, so its type is unknown" if t.is_null(found) else f"is a {found}, which no model takes"
    raise Invalid(
        f"Column {name!r} {why}.", mend="Give an example whose columns hold numbers, texts, booleans, dates or times."
    )


def as_batch(table: pa.Table, signature: Signature) -> dict[str, Any]:
    """The columns that a signature names, as `serving.check_batch` takes them; further columns stay behind."""
    wanted = {column.name for column in signature.inputs}
    return {name: _values(table[name]) for name in table.column_names if name in wanted}


def _values(column: pa.ChunkedArray) -> Any:
    found = column.type
    if pa.types.is_timestamp(found) or pa.types.is_date(found):
        return pc.cast(column, pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    if pa.types.is_decimal(found):
        column = pc.cast(column, pa.float64())
    numeric = pa.types.is_floating(column.type) or (pa.types.is_primitive(column.type) and not column.null_count)
    return np.asarray(column.to_numpy()) if numeric else column.to_pylist()


def _holds_null(column: pa.ChunkedArray) -> bool:
    if column.null_count:
        return True
    return bool(pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py())


def _levels(column: pa.ChunkedArray) -> list[str] | None:
    if not pa.types.is_dictionary(column.type) or data_type("", column.type) is not DataType.STRING:
        return None
    return [str(level) for level in column.unify_dictionaries().chunk(0).dictionary.to_pylist()] if len(column) else []
