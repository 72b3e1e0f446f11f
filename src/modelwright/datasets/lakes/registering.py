"""From a table of a lake to the record of a version: what its log says, what its files are, and one pass over its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import pyarrow as pa
from blake3 import blake3
from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.core.wire import decode, encode
from modelwright.datasets.adding import joined_range, quoted, time_range_of
from modelwright.datasets.detecting import scan
from modelwright.datasets.lakes.places import Place
from modelwright.datasets.lakes.reading import dataset_of, open_table, stamped
from modelwright.datasets.lakes.records import TITLES, DataFile, Lake, Stamp, TableState
from modelwright.datasets.profile import profile_of
from modelwright.datasets.records import (
    DatasetColumn,
    DatasetRecord,
    DatasetVersion,
    LakeTable,
    Profile,
    Segment,
    TimeRange,
)
from modelwright.datasets.segments import TableSketch, pack_segment, read_segment

LOOKED_AT: Final = 32  # row groups that detectors see some rows of
ROWS: Final = 1000  # of each of them
_ENDS: Final = 8  # files that are profiled together, on average
_MOST: Final = 32
_THREADS: Final = 4


def prepare_lake(
    blobs: Blobs,
    lake: Lake,
    place: Place,
    file: str,
    *,
    before: DatasetVersion | None,
    key: list[str],
    time_column: str | None,
    personal: list[str],
) -> DatasetRecord:
    """The record of a version whose rows stay where they are; only its profile and the list of its files are stored.

    Memory: a batch of rows and the sketches. Files that the version before has too are not read for the profile.
    """
    state = open_table(lake.form, place, lake.version, file)
    stamps = stamped(state, place)
    if not state.files:
        raise Invalid(f"The {TITLES[lake.form]} at {place.root} holds no rows.")
    names = state.schema.names
    if before is not None:
        key = key or before.key
        time_column = time_column or before.time_column
        personal = personal or [name for name in names if name in before.declared]
    for name in (*key, *personal, *([time_column] if time_column else [])):
        if name not in names:
            raise Invalid(f"{lake} has no column {name!r}.", mend=f"It has {', '.join(names)}.")
    columns = [DatasetColumn(name=f.name, type=str(f.type), personal=f.name in personal) for f in state.schema]
    rows = dataset_of(state.files, state.schema, place)
    findings = scan([_sample(rows)])
    told = quoted(columns, findings, before)
    sketch, segments = _sketched(blobs, state, stamps, place, told, before)
    columns = [replace(column, nullable=sketch.columns[column.name].missing > 0) for column in columns]
    profile = profile_of(sketch, [replace(c, nullable=n.nullable) for c, n in zip(told, columns, strict=True)], segments)
    return DatasetRecord(
        columns=columns,
        rows=sketch.rows,
        bytes=sum(each.size for each in state.files),
        lake=LakeTable(
            form=lake.form,
            address=place.root,
            version=state.version,
            digest=state.digest,
            log=state.log,
            listing=blobs.put(msgspec.msgpack.encode(stamps)),
            files=len(state.files),
        ),
        stored=0,
        profile=blobs.put(encode(profile)),
        key=key,
        time_column=time_column,
        time_range=_times(rows, time_column) if time_column else None,
        source=f"{lake.form}:{place.root}@{state.version}",
        findings=findings,
    )


def _sample(rows: Any) -> Any:
    """Some rows, from row groups that lie evenly over the table."""
    files = list(rows.get_fragments())
    chosen = files[:: max(1, len(files) // LOOKED_AT)][:LOOKED_AT]
    groups = [group for file in chosen for group in file.split_by_row_group()]
    chosen = groups[:: max(1, len(groups) // LOOKED_AT)][:LOOKED_AT]
    return pa.concat_tables(
        [rows.schema.empty_table(), *(group.scanner(schema=rows.schema).head(ROWS) for group in chosen)]
    )


def _sketched(
    blobs: Blobs,
    state: TableState,
    stamps: Sequence[Stamp],
    place: Place,
    columns: Sequence[DatasetColumn],
    before: DatasetVersion | None,
) -> tuple[TableSketch, list[Segment]]:
    held = None
    if before is not None and before.profile and not before.masks:  # else what it says is not for whoever adds to it
        held = decode(blobs.read(before.profile), Profile)
    known = {segment.digest: segment for segment in (held.segments if held else [])}
    whole, segments = TableSketch(columns), []
    with ThreadPoolExecutor(_THREADS) as threads:
        for digest, files in _stretches(state, stamps, columns):
            segment = known.get(digest)
            if segment is not None and blobs.exists(segment.sketch):
                whole.merge(read_segment(blobs, segment, columns))
            else:
                made = TableSketch(columns)
                for batch in dataset_of(files, state.schema, place).to_batches():
                    made.add(batch, threads)
                segment = Segment(digest=digest, rows=made.rows, sketch=blobs.put(pack_segment(made)))
                whole.merge(made)
            segments.append(segment)
    return whole, segments


def _stretches(
    state: TableState, stamps: Sequence[Stamp], columns: Sequence[DatasetColumn]
) -> Iterator[tuple[str, list[DataFile]]]:
    """Files that are profiled together, with a digest of what they are; a file more changes the stretch around it."""
    meant = msgspec.msgpack.encode([(column.name, column.type, column.personal) for column in columns])
    files: list[DataFile] = []
    hasher = blake3(meant)
    for file, stamp in zip(state.files, stamps, strict=True):
        said = msgspec.msgpack.encode((stamp, file.said))
        files.append(file)
        hasher.update(said)
        if blake3(said).digest()[0] % _ENDS == 0 or len(files) == _MOST:
            yield hasher.hexdigest(), files
            files, hasher = [], blake3(meant)
    if files:
        yield hasher.hexdigest(), files


def _times(rows: Any, name: str) -> TimeRange | None:
    return joined_range(time_range_of([pa.Table.from_batches([batch])], name) for batch in rows.to_batches(columns=[name]))
