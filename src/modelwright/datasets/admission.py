"""What a record of a dataset version must be before it is a version: true to itself, and all of it stored."""

from __future__ import annotations

from collections.abc import Sequence

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.datasets.records import DatasetRecord, Profile
from modelwright.datasets.scans import Rows


def check_consistent(record: DatasetRecord) -> None:
    """`Invalid` if a record contradicts itself: names of no column, sums that do not add up, files that are a table."""
    if record.files:
        if record.columns or record.parts or record.key or record.manifest is None or not record.content:
            raise Invalid("Files have a manifest and a digest of their content, and no columns, parts and key.")
        return
    if not record.columns:
        raise Invalid("A dataset has at least one column, or one file.")
    for name in [*record.key, *([record.time_column] if record.time_column else [])]:
        if name not in record.names:
            raise Invalid(f"There is no column {name!r}.", mend=f"The columns are {', '.join(record.names)}.")
    if record.lake is not None:
        return
    if sum(part.rows for part in record.parts) != record.rows or sum(part.bytes for part in record.parts) != record.bytes:
        raise Invalid("The rows or bytes of the parts do not add up to those of the record.")


def check_stored(blobs: Blobs, record: DatasetRecord) -> Sequence[str]:
    """The objects it needs; `Invalid` unless the manifest is what the record says, and every pack of it is stored."""
    if record.lake is not None:
        return [record.lake.listing]
    if record.manifest is None:
        return [part.digest for part in record.parts]
    from modelwright.datasets.manifest import entries_of, packs_of, read_manifest

    manifest = read_manifest(blobs, record.manifest)
    packs = list(packs_of(blobs, manifest))
    for pack in packs:
        if not blobs.exists(pack):
            raise Invalid(f"The pack {pack[:12]} is not stored.", mend="Add it again.")
    if record.files:
        if (manifest.count, manifest.bytes, manifest.content) != (record.files, record.bytes, record.content):
            raise Invalid("The manifest and the record do not say the same of the files.")
        return packs
    there = [(entry.digest.hex(), entry.size) for entry in entries_of(blobs, manifest)]
    if there != [(part.digest, part.bytes) for part in record.parts]:
        raise Invalid("A part is not stored: the manifest names others than the record.", mend="Add it again.")
    return packs


def check_names_stored(blobs: Blobs, record: DatasetRecord, rows: Rows | None) -> None:
    """`Invalid` where parts (or, of a table in place, its `rows`) or profile have other columns than the record says.

    What is masked goes by the names of columns.
    """
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from modelwright.core.wire import decode
    from modelwright.datasets.chunkfile import ChunkFile
    from modelwright.datasets.manifest import entries_of, read_manifest

    try:
        if rows is not None:
            found = [rows.schema.names]
        elif record.manifest is not None:
            entries = entries_of(blobs, read_manifest(blobs, record.manifest))
            found = [pq.read_schema(ChunkFile(blobs, entry)).names for entry in entries]
        else:
            found = [pq.read_schema(io.BytesIO(blobs.read(part.digest))).names for part in record.parts]
    except pa.ArrowInvalid as error:
        raise Invalid(f"A part is not a readable Parquet file: {error}") from None
    if record.profile is not None:
        profile: Profile = decode(blobs.read(record.profile), Profile)
        found.append([column.name for column in profile.columns])
    if any(names != record.names for names in found):
        raise Invalid("What is stored has other columns than the record says.", mend="Add it from its source.")
