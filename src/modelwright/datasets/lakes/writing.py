"""Rows written as a new table of Iceberg: a folder that needs no catalog, read by its metadata or its version hint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from modelwright.core.errors import Invalid, Unavailable

_KINDS: Final = (  # what Iceberg has no type for, and the one that holds all of its values
    (pa.uint8(), pa.int32()),
    (pa.uint16(), pa.int32()),
    (pa.uint32(), pa.int64()),
    (pa.float16(), pa.float32()),
    (pa.date64(), pa.date32()),
    (pa.time32("s"), pa.time64("us")),
    (pa.time32("ms"), pa.time64("us")),
)


def iceberg_schema(schema: Any) -> Any:
    """The columns in types that Iceberg has; `Invalid` names one for which it has none."""
    wider = dict(_KINDS)
    found = pa.schema([pa.field(field.name, wider.get(field.type, field.type), field.nullable) for field in schema])
    for field in found:
        if field.type == pa.uint64() or pa.types.is_duration(field.type) or pa.types.is_null(field.type):
            raise Invalid(f"Iceberg has no type for {field.name} ({field.type}).", mend="Export to Parquet or Arrow.")
    return found


def write_iceberg(rows: Any, partial: Path, target: Path) -> None:
    """Write record batches (an Arrow reader) as a table into a folder that will be moved to `target` when it is whole.

    An Iceberg table names its files by where they lie, so they are written under the one name and called by the other. Its
    metadata are there twice: under the number that pyiceberg gives, and as `v2.metadata.json` with a `version-hint.text`,
    by which readers without a catalog find them (https://iceberg.apache.org/spec, "file system tables").
    """
    try:
        from pyiceberg.catalog.memory import InMemoryCatalog
        from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException
    except ImportError:
        raise Unavailable(
            "Iceberg is written with pyiceberg, which is not installed.", mend="pip install 'modelwright[lakes]'"
        ) from None
    partial.mkdir()
    location = f"file://{target}"  # the names of Iceberg are not percent-encoded
    catalog = InMemoryCatalog(
        "export",
        warehouse=location,
        **{
            "py-io-impl": "modelwright.datasets.lakes.relocating.Relocated",
            "modelwright.called": location,
            "modelwright.written": f"file://{partial}",
        },
    )
    try:
        catalog.create_namespace("export")
        table = catalog.create_table("export.rows", schema=rows.schema, location=location)
        table.append(rows)
        made = str(table.metadata_location)
    except UnsupportedPyArrowTypeException as error:
        raise Invalid(f"Iceberg has no place for these columns: {error}", mend="Export to Parquet or Arrow.") from None
    finally:
        catalog.close()
    metadata = partial / "metadata"
    shutil.copyfile(metadata / made.rpartition("/")[2], metadata / "v2.metadata.json")
    (metadata / "version-hint.text").write_text("2")
