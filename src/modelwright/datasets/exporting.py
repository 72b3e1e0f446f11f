"""Versions of tables written for others: Parquet, CSV, Arrow IPC, Delta, batch by batch."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.errors import Conflict, Invalid, Unavailable
from modelwright.datasets.parts import write_parquet
from modelwright.datasets.scans import Rows, batches_of, is_scan, schema_of, tables_of

SUFFIXES: Final[Mapping[str, str]] = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_ROWS: Final = 1 << 20  # of a part, where rows come from elsewhere


def _unknown_to_delta(kind: Any) -> bool:
    unknown = any(check(kind) for check in (pa.types.is_duration, pa.types.is_time, pa.types.is_null))
    return unknown or (isinstance(kind, pa.BaseExtensionType) and not pa.types.is_string(kind.storage_type))


def export_rows(files: Rows, target: Path, form: str) -> None:
    """Write the rows of parts, in their order, to a path that is new; it appears once it is whole.

    `parquet`, `csv` (RFC 4180 in UTF-8, a missing value as an empty field and an empty text as two quotes, times in ISO
    8601) and `arrow` (an IPC file, which Feather 2 is) make a file; `parts` makes a folder of Parquet files, `delta` one of
    Delta Lake and `iceberg` one of Iceberg.
    """
    writers: Mapping[str, Callable[[Rows, Path], None]] = {
        "parquet": _parquet, "csv": _csv, "arrow": _arrow, "parts": _parts, "delta": _delta,
    }  # fmt: skip
    if form == "iceberg":
        export_iceberg(files, target)
        return
    if form not in writers:
        raise Invalid(f"Rows are not written as {form!r}.", mend=f"Known are {', '.join(writers)}, iceberg, croissant.")
    appear(target, lambda partial: writers[form](files, partial))


def export_iceberg(files: Rows, target: Path) -> None:
    """Write the rows as a table of Iceberg, which knows where it lies; it appears once it is whole."""
    from modelwright.datasets.lakes.writing import iceberg_schema, write_iceberg

    schema = iceberg_schema(schema_of(files))
    rows = (batch for table in batches(files, schema) for batch in table.to_batches())
    appear(target, lambda partial: write_iceberg(pa.RecordBatchReader.from_batches(schema, rows), partial, target))


def appear(target: Path, write: Callable[[Path], None]) -> None:
    """Let a file or a folder be written beside its place, and come there when it is whole; `Conflict` if that is taken."""
    if target.exists():
        raise Conflict(f"{target} is there already.", mend="Name a new file or folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        write(partial)
        partial.rename(target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)


def batches(files: Rows, schema: Any) -> Iterator[Any]:
    """The rows, in their order, with the columns and types of a schema."""
    for batch in batches_of(files):
        yield pa.Table.from_batches([batch]).cast(schema).combine_chunks()


def _parquet(files: Rows, target: Path) -> None:
    schema = schema_of(files)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for table in batches(files, schema):
            writer.write_table(table)


def _csv(files: Rows, target: Path) -> None:
    from pyarrow import csv

    schema = schema_of(files)
    nested = [field.name for field in schema if not _is_text(field.type)]
    if nested:
        raise Invalid(f"CSV has no place for {', '.join(nested)}.", mend="Export to Parquet or Arrow.")
    with csv.CSVWriter(target, schema) as writer:
        for table in batches(files, schema):
            writer.write_table(table)


def _is_text(kind: Any) -> bool:
    """Whether values of a type can be written as text: not those with others in them, of bytes, or of an extension."""
    bytes_like = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return not (pa.types.is_nested(kind) or bytes_like or isinstance(kind, pa.BaseExtensionType))


def _arrow(files: Rows, target: Path) -> None:
    schema = schema_of(files)
    with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for table in batches(files, schema):
            writer.write_table(table)


def _parts(files: Rows, target: Path) -> None:
    target.mkdir()
    if is_scan(files):
        for number, table in enumerate(tables_of(files, _ROWS)):
            write_parquet(table, target / f"{number:06}.parquet")
        return
    for number, file in enumerate(files):
        shutil.copyfile(file, target / f"{number:06}.parquet")


def _delta(files: Rows, target: Path) -> None:
    try:
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise Unavailable(
            "Delta Lake is written with deltalake, which is not installed.", mend="pip install 'modelwright[lakes]'"
        ) from None
    schema = schema_of(files)
    rows = (batch for table in batches(files, schema) for batch in table.to_batches())
    homeless = [f"{field.name} ({field.type})" for field in schema if _unknown_to_delta(field.type)]
    if homeless:
        raise Invalid(f"Delta Lake has no type for {', '.join(homeless)}.", mend="Export to Parquet or Arrow.")
    try:
        write_deltalake(str(target), pa.RecordBatchReader.from_batches(schema, rows))
    except DeltaError as error:  # a number that its widest type does not hold, say
        told = str(error).partition("\n")[0]
        raise Invalid(f"Delta Lake does not take these rows: {told}", mend="Export to Parquet or Arrow.") from None
