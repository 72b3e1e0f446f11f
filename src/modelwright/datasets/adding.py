"""From a source to a record: read it, store its rows, and say what is in them."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid
from modelwright.core.wire import decode, encode
from modelwright.datasets.chunks import KnownChunks, Packer, digest_of
from modelwright.datasets.classes import FAMILIES, Finding, Status
from modelwright.datasets.cutting import pieces
from modelwright.datasets.detecting import scan
from modelwright.datasets.engine import EPOCH, moment
from modelwright.datasets.manifest import Entry, write_manifest
from modelwright.datasets.pages import page_borders
from modelwright.datasets.parts import write_parts, write_rows
from modelwright.datasets.profile import profile_of
from modelwright.datasets.records import (
    CsvFormat,
    DatasetColumn,
    DatasetRecord,
    DatasetVersion,
    Part,
    Profile,
    Query,
    Segment,
    TimeRange,
)
from modelwright.datasets.segments import Sketching, TableSketch, sketch_files
from modelwright.datasets.sources import open_source
from modelwright.datasets.streams import ahead
from modelwright.datasets.surveying import Survey
from modelwright.datasets.types import TypePlan, readable

Sketched = tuple[TableSketch, list[Segment]]
MERGED_ROWS = 100_000  # a part of more rows is never written again


def prepare(
    blobs: Blobs,
    source: Any,
    *,
    known: KnownChunks,
    before: DatasetVersion | None,
    types: dict[str, str],
    key: list[str],
    time_column: str | None,
    personal: list[str],
    form: CsvFormat,
) -> DatasetRecord:
    """Store a source's rows and profile as objects and return the record that describes them.

    Nothing is stored unless all of the source could be read. Key, time column and personal columns that are not given are
    those of the version before.
    """
    plan = TypePlan.of(types, before)
    with tempfile.TemporaryDirectory(prefix="modelwright-add-") as folder:
        streams, label = open_source(source, plan, form, Path(folder))
        names = streams[0].schema.names
        if before is not None:
            key = key or before.key
            time_column = time_column or before.time_column
            personal = personal or [name for name in names if name in before.declared]
        for name in (*key, *personal, *([time_column] if time_column else [])):
            if name not in names:
                raise Invalid(f"{label} has no column {name!r}.", mend=f"It has {', '.join(names)}.")
        if time_column:
            time_range_of([streams[0].schema.empty_table()], time_column)  # says at once what holds no times
        looked = Survey(streams[0].schema)
        for stream in streams:
            deque(looked.part(ahead(stream.some())), maxlen=0)
        findings, by = looked.findings(), key or [name for name in (before.grouped_by if before else []) if name in names]
        nan, schema = looked.nan, readable(streams[0].schema, looked.missing)
        while True:
            columns = [DatasetColumn(name=f.name, type=str(f.type), personal=f.name in personal) for f in schema]
            seen, files = Survey(schema, sampling=False), []
            spans: list[TimeRange | None] = [None]
            with Sketching(blobs, quoted(columns, findings, before), _known(blobs, before)) as sketching:
                for number, stream in enumerate(streams):
                    path, rows = Path(folder) / f"{number}.parquet", seen.part(stream.cast(schema))
                    rows = _timed(rows, time_column, spans) if time_column else rows
                    files.append((path, write_rows(ahead(rows), schema, path, by or names, sketching, nan=nan[number])))
                found = seen.nan, readable(schema, seen.missing)
                if found == (nan, schema):
                    about = DatasetRecord(
                        columns=[replace(each, nullable=each.name in seen.missing) for each in columns],
                        bytes=0,
                        grouped_by=by or names,
                        key=key,
                        time_column=time_column,
                        time_range=spans[0],
                        source=label,
                        statement=source.statement if isinstance(source, Query) else None,
                        findings=findings,
                        untyped=plan.untyped(schema, seen.empty),
                    )
                    return described(blobs, files, about, known=known, before=before, sketched=sketching.result)
            nan, schema = found  # some of the rows hold what others did not: now it is known


def _timed(tables: Iterable[Any], name: str, spans: list[TimeRange | None]) -> Iterator[Any]:
    """Hand tables on; the first of `spans` becomes the range of the times of all of them and of itself."""
    for table in tables:
        spans[0] = joined_range([spans[0], time_range_of([table], name)])
        yield table


def described(
    blobs: Blobs,
    files: Sequence[tuple[Path, int]],
    about: DatasetRecord,
    *,
    known: KnownChunks,
    before: DatasetVersion | None,
    sketched: Callable[[], Sketched] | None = None,
) -> DatasetRecord:
    """Store parts, each a Parquet file with its rows, and their profile; `about` says the rest of the record.

    Stretches of rows that `before` has too are not profiled again; nothing is read for it where it was `sketched` already.
    """
    paths = [path for path, _ in files]
    with Packer(blobs, known) as packer:
        digests = _cut(packer, paths)
        packer.send()  # the disk has its time while the processor has this
        columns = quoted(about.columns, about.findings, before)
        found = sketch_files(blobs, paths, columns, _known(blobs, before)) if sketched is None else sketched()
        packer.flush()
        entries = _entries(packer, paths, digests)
        manifest, _ = write_manifest(blobs, packer, entries)
    parts = [
        Part(digest=entry.digest.hex(), rows=count, bytes=entry.size)
        for entry, (_, count) in zip(entries, files, strict=True)
    ]
    return replace(
        about,
        rows=sum(part.rows for part in parts),
        bytes=sum(part.bytes for part in parts),
        parts=parts,
        manifest=manifest,
        stored=packer.stored,
        profile=blobs.put(encode(profile_of(found[0], columns, found[1]))),
    )


def extend(
    blobs: Blobs,
    before: DatasetVersion,
    files: Sequence[Path],
    entries: Sequence[Entry],
    rows: Any,
    label: str,
    *,
    known: KnownChunks,
) -> DatasetRecord:
    """The record of a version with rows added at its end. What is there already is not stored anew.

    `files` are its parts as they lie here, `entries` what its manifest says of them (nothing, where it has none). A part
    that is no longer than the rows after it is written again together with them, so that many small additions do not make
    many small parts: each row is written again at most as often as the logarithm of their number.
    """
    taken, size = 0, rows.num_rows
    while taken < len(before.parts) and before.parts[-1 - taken].rows <= min(size, MERGED_ROWS):
        taken += 1
        size += before.parts[-taken].rows
    kept = before.parts[: len(before.parts) - taken]
    tables = [pq.read_table(file, partitioning=None) for file in files[len(kept) :]]
    joined = pa.concat_tables([*(table.cast(rows.schema) for table in tables), rows]) if tables else rows
    columns = [
        replace(
            column,
            nullable=column.nullable or bool(rows[column.name].null_count),
            personal=column.name in before.declared,
        )
        for column in before.columns
    ]
    findings = surest([*before.findings, *scan([rows])])
    by = before.grouped_by or before.key or [column.name for column in columns]
    span = time_range_of([rows], before.time_column) if before.time_column else None
    with tempfile.TemporaryDirectory(prefix="modelwright-add-") as folder:
        written = list(write_parts([joined], Path(folder), by))
        shown = quoted(columns, findings, before)
        paths = [*files[: len(kept)], *(path for path, _ in written)]
        sketch, segments = sketch_files(blobs, paths, shown, _known(blobs, before))
        with Packer(blobs, known) as packer:
            held = list(entries[: len(kept)]) or _stored(packer, files[: len(kept)])
            made = _stored(packer, [path for path, _ in written], first=len(kept))
            manifest, _ = write_manifest(blobs, packer, [*held, *made])
    counts = [*(part.rows for part in kept), *(count for _, count in written)]
    parts = [
        Part(digest=entry.digest.hex(), rows=count, bytes=entry.size)
        for entry, count in zip([*held, *made], counts, strict=True)
    ]
    return DatasetRecord(
        columns=columns,
        rows=sum(part.rows for part in parts),
        bytes=sum(part.bytes for part in parts),
        parts=parts,
        manifest=manifest,
        stored=packer.stored,
        grouped_by=by,
        profile=blobs.put(encode(profile_of(sketch, shown, segments))),
        key=before.key,
        time_column=before.time_column,
        time_range=joined_range([before.time_range, span]),
        source=label,
        findings=findings,
    )


def _known(blobs: Blobs, before: DatasetVersion | None) -> Profile | None:
    """The profile of the version before, whose stretches need not be read again."""
    if before is None or not before.profile or before.masks:  # masked, what it says is not for whoever adds to it
        return None
    return decode(blobs.read(before.profile), Profile)


def quoted(
    columns: Sequence[DatasetColumn], findings: Sequence[Finding], before: DatasetVersion | None
) -> list[DatasetColumn]:
    """The columns as a profile may quote them: those that may be personal are, unless somebody said that they are not."""
    known = {(each.column, each.tag): each.status for each in before.classes} if before is not None else {}
    found = {
        each.column
        for each in findings
        if each.tag.partition(".")[0] in FAMILIES and known.get((each.column, each.tag)) is not Status.REJECTED
    }
    found |= {each.column for each in before.classes if each.masked} if before is not None else set()
    return [replace(column, personal=column.personal or column.name in found) for column in columns]


def surest(findings: Sequence[Finding]) -> list[Finding]:
    """Of several findings of the same, the surest."""
    best: dict[tuple[str, str], Finding] = {}
    for each in findings:
        held = best.setdefault((each.column, each.tag), each)
        if each.confidence > held.confidence:
            best[each.column, each.tag] = each
    return list(best.values())


def _stored(packer: Packer, files: Sequence[Path], *, first: int = 0) -> list[Entry]:
    """Parts as chunks, cut at the borders of their pages; the number of the first of them names them."""
    digests = _cut(packer, files)
    packer.flush()
    return _entries(packer, files, digests, first=first)


def _cut(packer: Packer, files: Sequence[Path]) -> list[list[bytes]]:
    return [[packer.add(piece) for piece in pieces(file, page_borders(file))] for file in files]


def _entries(packer: Packer, files: Sequence[Path], digests: Sequence[list[bytes]], *, first: int = 0) -> list[Entry]:
    return [
        Entry(f"{number:06}.parquet", file.stat().st_size, digest_of(each), False, [packer.where(one) for one in each])
        for number, (file, each) in enumerate(zip(files, digests, strict=True), first)
    ]


def time_range_of(tables: Sequence[Any], name: str) -> TimeRange | None:
    """First and last event time, or None where there is none; `Invalid` if the column holds no times."""
    kind = tables[0].schema.field(name).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise Invalid(
            f"The time column {name!r} holds {kind}, not times.",
            mend=f"Declare it: types={{{name!r}: 'time'}}, or add a column made of its parts.",
        )
    chunks = [chunk for table in tables for chunk in table[name].cast(pa.timestamp("us")).chunks]
    moments = pa.chunked_array(chunks, pa.timestamp("us"))
    extremes = pc.min_max(moments.cast(pa.int64())).as_py()
    if extremes["min"] is None:
        return None
    for each in extremes.values():
        if isinstance(said := moment(each), str):
            raise Invalid(
                f"The time column {name!r} holds {said}, which is outside of the years 1 to 9999.",
                mend="Correct it or leave it missing there, or name another time column.",
            )
    return TimeRange(first=_text(extremes["min"]), last=_text(extremes["max"]))


def joined_range(spans: Iterable[TimeRange | None]) -> TimeRange | None:
    """The range that covers several, of which some may have no time at all."""
    there = [each for each in spans if each is not None]
    return TimeRange(first=min(s.first for s in there), last=max(s.last for s in there)) if there else None


def _text(microseconds: int) -> str:
    return isoformat(EPOCH + timedelta(microseconds=microseconds))
