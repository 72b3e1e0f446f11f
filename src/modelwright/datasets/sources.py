"""What a dataset can be made from: CSV and Parquet files, lists of them, queries, whatever offers the Arrow C stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.folders import Seen
from modelwright.core.frames import without_index
from modelwright.datasets import csvblocks
from modelwright.datasets.csv import read_csv
from modelwright.datasets.records import CSV, PARQUET, CsvFormat, Query
from modelwright.datasets.streams import Kept, ParquetRows, Room, Stream, ahead, refuse_changed, unified
from modelwright.datasets.types import TypePlan, stored_schema

_TABLES: Final = ("pyarrow", "pandas", "polars")  # whose tables are in memory already, to be read again and again


class Brought(NamedTuple):
    """Rows that are brought from elsewhere (a reader of Arrow's record batches), and from where."""

    rows: Any
    label: str


def open_source(source: Any, plan: TypePlan, form: CsvFormat, folder: Path) -> tuple[list[Stream], str]:
    """The parts that a source consists of, all of one schema and in the stored form, and what to call the source.

    Files keep their order; each is a part of its own. `Invalid` names the file (and for CSV the line) that does not fit,
    now or when it is read. `folder` is for what can be read only once.
    """
    room = Room()
    if isinstance(source, str | Path):
        source = [source]
    if isinstance(source, Sequence) and all(isinstance(each, str | Path) for each in source):
        paths = [Path(each) for each in source]
        if not paths:
            raise Invalid("The list of files is empty.")
        streams = [_file(path, plan, form, folder, room) for path in paths]
        return unified(streams), ", ".join(path.name for path in paths)
    if isinstance(source, Query):
        from modelwright.datasets.queries import agreed, query_rows

        kept = Kept(query_rows(source), folder, room).all()
        return [_stream(agreed(kept.schemas), kept, plan, source.label, kept.some)], source.label
    if isinstance(source, Brought):
        return [_once(source.rows, plan, source.label, folder, room)], source.label
    if hasattr(source, "__arrow_c_stream__"):
        maker = type(source).__module__.partition(".")[0]
        label = f"{maker}.{type(source).__name__}"
        if maker in _TABLES and not isinstance(source, pa.RecordBatchReader):
            return [_table(without_index(pa.table(source)), plan, label)], label
        return [_once(pa.RecordBatchReader.from_stream(source), plan, label, folder, room)], label
    raise Invalid(
        f"A {type(source).__name__} is no source of rows.",
        mend="Give a path of a CSV or Parquet file, a list of paths, a Query, a Lake, or a table with the Arrow C stream.",
    )


def _file(path: Path, plan: TypePlan, form: CsvFormat, folder: Path, room: Room) -> Stream:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.suffix.lower() in PARQUET:
        rows = ParquetRows(path)
        if room.takes(rows.size):
            return _table(rows.whole(), plan, str(path))
        return _stream(rows.schema, rows, plan, str(path), rows.some)
    if path.suffix.lower() in CSV:
        if path.stat().st_size == 0:
            raise Invalid(f"{path} is empty: not even a header.")
        return _csv(path, plan, form, folder, room)
    raise Invalid(f"{path}: {path.suffix or 'no'} extension is known.", mend=f"Known are {', '.join(CSV + PARQUET)}.")


def _csv(path: Path, plan: TypePlan, form: CsvFormat, folder: Path, room: Room) -> Stream:
    """The rows of a file, all of them read by now; `Conflict` where it grew meanwhile: its last row may be cut off."""
    seen = Seen.of(path.stat())
    try:
        return _csv_rows(path, plan, form, folder, room)
    finally:  # also where it could not be read: that may be why
        refuse_changed(path, seen)


def _csv_rows(path: Path, plan: TypePlan, form: CsvFormat, folder: Path, room: Room) -> Stream:
    if path.stat().st_size > csvblocks.LARGE:
        kept = Kept(ahead(csvblocks.read_blocks(path, plan, form)), folder, Room(0))
        try:
            schema = csvblocks.agreed(kept.all().schemas)
        except csvblocks.Irregular:
            kept.forget()
        else:
            return _stream(schema, kept, plan, str(path), kept.some)
    kept = Kept(iter([read_csv(path, plan, form)]), folder, room).all()
    return _stream(kept.schemas[0], kept, plan, str(path))


def _table(table: Any, plan: TypePlan, origin: str) -> Stream:
    return _stream(table.schema, lambda: [table], plan, origin)


def _once(reader: Any, plan: TypePlan, origin: str, folder: Path, room: Room) -> Stream:
    """Rows that a reader gives once."""

    def tables() -> Iterator[Any]:
        for batch in reader:
            yield pa.Table.from_batches([batch])

    return _stream(reader.schema, Kept(tables(), folder, room), plan, origin)


def _stream(schema: Any, read: Any, plan: TypePlan, origin: str, some: Any = None) -> Stream:
    return Stream(stored_schema(schema, plan.declared, origin), read, origin, some)
