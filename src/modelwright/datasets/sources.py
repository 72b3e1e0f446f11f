"""What a dataset can be made from: CSV and Parquet files, lists of them, queries, whatever offers the Arrow C stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.errors import Invalid, NotFound
from modelwright.datasets.csv import read_csv
from modelwright.datasets.records import CSV, PARQUET, CsvFormat, Query
from modelwright.datasets.types import TypePlan, stored_form


class Brought(NamedTuple):
    """A table that was brought from elsewhere, and from where."""

    table: Any
    label: str


def read_source(source: Any, plan: TypePlan, form: CsvFormat) -> tuple[list[Any], str]:
    """The tables that a source consists of, all of one schema and in the stored form, and what to call the source.

    Files keep their order; each is a table of its own. `Invalid` names the file (and for CSV the line) that does not fit.
    """
    if isinstance(source, str | Path):
        source = [source]
    if isinstance(source, Sequence) and all(isinstance(each, str | Path) for each in source):
        paths = [Path(each) for each in source]
        if not paths:
            raise Invalid("The list of files is empty.")
        tables = [_read_file(path, plan, form) for path in paths]
        return _one_schema(tables, paths), ", ".join(path.name for path in paths)
    if isinstance(source, Query):
        from modelwright.datasets.queries import read_query

        return [stored_form(read_query(source), plan.declared, source.label)], source.label
    if isinstance(source, Brought):
        return [stored_form(source.table, plan.declared, source.label)], source.label
    if hasattr(source, "__arrow_c_stream__"):
        label = f"{type(source).__module__.partition('.')[0]}.{type(source).__name__}"
        return [stored_form(pa.table(source), plan.declared, label)], label
    raise Invalid(
        f"A {type(source).__name__} is no source of rows.",
        mend="Give a path of a CSV or Parquet file, a list of paths, a Query, a Lake, or a table with the Arrow C stream.",
    )


def _read_file(path: Path, plan: TypePlan, form: CsvFormat) -> Any:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.suffix.lower() in PARQUET:
        try:
            return stored_form(pq.read_table(path, page_checksum_verification=True), plan.declared, str(path))
        except (pa.ArrowException, OSError) as error:  # Arrow says OSError of pages that it cannot unpack
            raise Invalid(
                f"{path} is not a readable Parquet file: {str(error).rstrip('.')}.",
                mend="Write it again; what was there before is as it was.",
            ) from None
    if path.suffix.lower() in CSV:
        if path.stat().st_size == 0:
            raise Invalid(f"{path} is empty: not even a header.")
        return stored_form(read_csv(path, plan, form), plan.declared, str(path))
    raise Invalid(f"{path}: {path.suffix or 'no'} extension is known.", mend=f"Known are {', '.join(CSV + PARQUET)}.")


def _one_schema(tables: list[Any], paths: list[Path]) -> list[Any]:
    first = tables[0].schema
    for table, path in zip(tables[1:], paths[1:], strict=True):
        if set(table.schema.names) != set(first.names):
            differing = sorted(set(table.schema.names) ^ set(first.names))
            raise Invalid(f"{path} and {paths[0]} do not have the same columns: {', '.join(differing)}.")
    ordered = [table.select(first.names) for table in tables]
    try:
        schema = pa.unify_schemas([table.schema for table in ordered], promote_options="permissive")
        return [table.cast(schema) for table in ordered]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Invalid(f"The files do not agree on the types of their columns: {error}", mend="Declare types.") from None
