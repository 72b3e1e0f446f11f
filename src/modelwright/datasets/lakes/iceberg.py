"""Apache Iceberg: what the metadata of a table say of one of its snapshots. Read by pyiceberg, of the extra `lakes`.

The format: https://iceberg.apache.org/spec. No catalog is asked: the newest metadata file of the table's folder is read, or
the one that is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from modelwright.core.errors import Gone, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_bytes, digest_value
from modelwright.datasets.lakes.places import Place, below
from modelwright.datasets.lakes.records import ICEBERG, DataFile, TableState

METADATA: Final = "metadata"
_FILE: Final = re.compile(r"v?(?P<number>[0-9]+)(?:-[0-9a-fA-F-]+)?\.metadata\.json")


def table_root(address: str) -> str:
    """The folder of a table, of which its folder or a metadata file was named."""
    if address.endswith(".metadata.json"):
        return address.rpartition("/")[0].removesuffix(f"/{METADATA}")
    return address


def open_iceberg(place: Place, version: str, file: str = "") -> TableState:
    """A snapshot of the table at a place, by default the current one of the newest metadata, or of those in `file`.

    `NotFound` where there is no table, `Gone` where the snapshot was expired, `Invalid` for a table whose rows are not
    those of its files alone.
    """
    table = _table(place, file)
    snapshot = table.snapshot_by_id(int(version)) if version else table.current_snapshot()
    if snapshot is None and version:
        raise Gone(
            f"The snapshot {version} of the Iceberg table at {place.root} is not among its snapshots.",
            mend="It was expired, or it never had that one; register one that it has.",
        )
    if snapshot is None:
        raise Invalid(f"The Iceberg table at {place.root} has no snapshot: nothing was ever written to it.")
    listed = below(place.root, snapshot.manifest_list)
    content = place.read(listed) if listed is not None else None
    if content is None:
        raise Gone(
            f"The manifest list of snapshot {snapshot.snapshot_id} of the Iceberg table at {place.root} is not there.",
            mend="The snapshot was expired, or the table was moved; register it where it lies now.",
        )
    schemas = {schema.schema_id: schema for schema in table.metadata.schemas}
    schema = (
        schemas.get(snapshot.schema_id, table.metadata.schemas[-1]) if snapshot.schema_id is not None else table.schema()
    )
    _check_names(list(schemas.values()), place.root)
    files = sorted(_files(table, snapshot.snapshot_id, schema, place.root), key=lambda each: each.path)
    said = [str(table.metadata.table_uuid), str(snapshot.snapshot_id), schema.model_dump_json()]
    return TableState(
        form=ICEBERG,
        version=str(snapshot.snapshot_id),
        digest=digest_value([ICEBERG, *said, [each.said for each in files]]),
        log=digest_bytes(content),
        schema=_arrow(schema),
        files=files,
    )


def _table(place: Place, file: str) -> Any:
    try:
        from pyiceberg.exceptions import ValidationError
        from pyiceberg.table import StaticTable
    except ImportError:
        raise Unavailable(
            "Iceberg is read with pyiceberg, which is not installed.", mend="pip install 'modelwright[lakes]'"
        ) from None
    named = file or _newest(place)
    try:
        return StaticTable.from_metadata(f"{place.root}/{named}", dict(place.properties))
    except FileNotFoundError:
        raise NotFound(f"There are no metadata {named} of an Iceberg table at {place.root}.") from None
    except (ValueError, KeyError, OSError, ValidationError) as error:
        raise Invalid(f"{place.root}/{named} are no metadata of an Iceberg table: {_line(error)}") from None


def _newest(place: Place) -> str:
    found = [(int(match["number"]), name) for name in place.names(METADATA) if (match := _FILE.fullmatch(name))]
    if not found:
        raise NotFound(
            f"There is no Iceberg table at {place.root}.",
            mend=f"Name the folder with {METADATA}/ in it, or a metadata file.",
        )
    return f"{METADATA}/{max(found)[1]}"


def _check_names(schemas: Sequence[Any], root: str) -> None:
    """`Invalid` where a column ever had another name: its older files still have that one."""
    names: dict[int, str] = {}
    ids: dict[str, int] = {}
    for schema in schemas:
        for field in schema.fields:
            if names.setdefault(field.field_id, field.name) != field.name or (
                ids.setdefault(field.name, field.field_id) != field.field_id
            ):
                raise Invalid(
                    f"The column {field.name} of the Iceberg table at {root} was renamed, or was another before.",
                    mend="Its files do not tell columns by name any more: rewrite them, or add the rows by a query.",
                )


def _files(table: Any, snapshot: int, schema: Any, root: str) -> list[DataFile]:
    found = []
    try:
        tasks = list(table.scan(snapshot_id=snapshot).plan_files())
    except FileNotFoundError as error:
        raise Gone(
            f"A manifest of snapshot {snapshot} of the Iceberg table at {root} is not there: {_line(error)}",
            mend="The snapshot was expired; register one that the table has.",
        ) from None
    for task in tasks:
        if task.delete_files:
            raise Invalid(
                f"The Iceberg table at {root} has rows that are deleted beside its files (delete files).",
                mend="Have its data files rewritten: CALL system.rewrite_data_files.",
            )
        if task.file.file_format.value.upper() != "PARQUET":
            raise Invalid(f"The Iceberg table at {root} has files of {task.file.file_format.value}; Parquet is read.")
        inside = below(root, task.file.file_path)
        if inside is None:
            raise Invalid(
                f"The Iceberg table at {root} has a file elsewhere: {task.file.file_path}.",
                mend="Only tables whose files lie below them are read in place; one that was moved is written anew.",
            )
        partition = _partition(table, task.file, schema)
        found.append(DataFile(path=inside, size=task.file.file_size_in_bytes, partition=partition))
    return found


def _partition(table: Any, file: Any, schema: Any) -> dict[str, Any]:
    """The columns by whose own values files are told apart."""
    spec = table.specs()[file.spec_id]
    kinds = {field.name: field.type for field in _arrow(schema)}
    found = {}
    for place, field in enumerate(spec.fields):
        name = schema.find_column_name(field.source_id)
        if str(field.transform) == "identity" and name in kinds and _is_said(kinds[name]):
            found[name] = pa.scalar(file.partition[place], kinds[name])
    return found


def _is_said(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind)
    )


def _arrow(schema: Any) -> Any:
    from modelwright.datasets.types import stored_type

    return pa.schema([pa.field(field.name, stored_type(field.type)) for field in schema.as_arrow()])


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
