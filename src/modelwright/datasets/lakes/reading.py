"""Rows of a version in place: an Arrow dataset over the table's own files, once these were found to be what they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.dataset as pds

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, Gone
from modelwright.datasets.lakes.delta import open_delta
from modelwright.datasets.lakes.iceberg import open_iceberg
from modelwright.datasets.lakes.places import Place
from modelwright.datasets.lakes.records import DELTA, TITLES, DataFile, Stamp, TableState
from modelwright.datasets.records import LakeTable
from modelwright.datasets.types import check_names, stored_type


def open_table(form: str, place: Place, version: str, file: str = "") -> TableState:
    """What a table's log says of a version, with the columns in the form in which they are told here."""
    state = open_delta(place, version) if form == DELTA else open_iceberg(place, version, file)
    schema = pa.schema([pa.field(field.name, stored_type(field.type)) for field in state.schema])
    check_names(schema.names, {}, f"The {TITLES[form]} at {place.root}")
    return msgspec.structs.replace(state, schema=schema)


def stamped(state: TableState, place: Place) -> list[Stamp]:
    """What the files of a version are now; `Gone` names one that is not there, `Corrupt` one of another size."""
    found = place.stamps([file.path for file in state.files])
    missing = [file.path for file in state.files if file.path not in found]
    title = _title(state.form, place.root, state.version)
    if missing:
        raise Gone(
            f"{len(missing)} of the {len(state.files)} files of {title} are gone, such as {missing[0]}.",
            mend="They were vacuumed, or their snapshot was expired: retire the version, or bring the files back.",
        )
    for file in state.files:
        if found[file.path].size != file.size:
            raise Corrupt(
                f"{file.path} of {title} has {found[file.path].size:,} bytes, and its log says {file.size:,}.",
                mend="Somebody wrote to it past the table: bring the file back as it was, or register a later version.",
            )
    return [found[file.path] for file in state.files]


def verified_rows(blobs: Blobs, lake: LakeTable, place: Place) -> Any:
    """The rows of a version as an Arrow dataset, whose scans read the columns and row groups that they need.

    `Gone` where the table has let go of the version, `Corrupt` where its log or a file of it is not what was registered.
    A file is told by its size and the digest of its end, or its ETag: a change in the middle of a file that leaves both
    is found by Parquet's own checks at best.
    """
    state = open_table(lake.form, place, lake.version)
    title = _title(lake.form, place.root, lake.version)
    if state.digest != lake.digest or (state.log and lake.log and state.log != lake.log):
        raise Corrupt(
            f"The log of {title} does not say what it said when that was registered.",
            mend="The table was written anew under the same version: register it again, and retire this one.",
        )
    before = {stamp.path: stamp for stamp in msgspec.msgpack.decode(blobs.read(lake.listing), type=list[Stamp])}
    changed = [stamp.path for stamp in stamped(state, place) if stamp != before.get(stamp.path)]
    if changed:
        raise Corrupt(
            f"{len(changed)} of the {len(state.files)} files of {title} are not what they were when it was registered,"
            f" such as {changed[0]}.",
            mend="Restore them, or register the table again and retire this version.",
        )
    return dataset_of(state.files, state.schema, place)


def dataset_of(files: Sequence[DataFile], schema: Any, place: Place) -> Any:
    """Some files as one Arrow dataset, in their order; a column that a file has not is its partition's, or missing."""
    filesystem, prefix = place.filesystem
    far = filesystem.type_name != "local"  # then few requests for much are worth that all columns asked for are in memory
    form = pds.ParquetFileFormat(default_fragment_scan_options=pds.ParquetFragmentScanOptions(pre_buffer=far))
    fragments = [
        form.make_fragment(f"{prefix}{file.path}", filesystem, partition_expression=_expression(file.partition))
        for file in files
    ]
    return pds.FileSystemDataset(fragments, schema, form, filesystem)


def _expression(partition: Mapping[str, Any]) -> Any:
    found = None
    for name, value in partition.items():
        known = pds.field(name) == value if value.is_valid else pds.field(name).is_null()
        found = known if found is None else found & known
    return found


def _title(form: str, root: str, version: str) -> str:
    return f"version {version} of the {TITLES[form]} at {root}"
