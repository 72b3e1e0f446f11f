"""Tables of any library as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.core.errors import Invalid
from modelwright.core.frames import without_index


def parquet(table: Any) -> bytes:
    """A table as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        made = _arrow(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Invalid(f"The table cannot be kept: {error}", mend="Give columns of one type and one length each.") from None
    buffer = pa.BufferOutputStream()
    pq.write_table(made, buffer, compression="zstd")
    return bytes(buffer.getvalue().to_pybytes())


def _arrow(table: Any) -> Any:
    import pyarrow as pa

    if hasattr(table, "__arrow_c_stream__"):
        return without_index(pa.RecordBatchReader.from_stream(table).read_all())
    if isinstance(table, Mapping):
        return pa.table({str(name): _column(values) for name, values in table.items()})
    if isinstance(table, Sequence) and not isinstance(table, str | bytes) and all(isinstance(r, Mapping) for r in table):
        return pa.Table.from_pylist([dict(row) for row in table])
    if type(table).__module__.partition(".")[0] == "pandas":
        return without_index(pa.Table.from_pandas(table))
    raise Invalid(
        f"A {type(table).__name__} is not a table.",
        mend="Give anything with the Arrow C stream, a data frame, a dict of columns, or a list of dicts.",
    )


def _column(values: Any) -> Any:
    return [values] if isinstance(values, str | bytes) or not hasattr(values, "__len__") else values
