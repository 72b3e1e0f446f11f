"""Bringing two versions that came from one together: what is asked of them, and the version that comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.datasets.chunks import KnownChunks
from modelwright.datasets.filemerge import MergedFiles
from modelwright.datasets.manifest import Entry
from modelwright.datasets.records import DatasetMerge, DatasetRecord, DatasetVersion
from modelwright.datasets.rowdiff import LONG

SETTLED: Final = ("", "ours", "theirs")
FILES_SHOWN: Final = 200


def check_mergeable(base: DatasetVersion, ours: DatasetVersion, theirs: DatasetVersion, settle: str) -> None:
    """`Invalid` unless all three are tables, or all three are files."""
    if settle not in SETTLED:
        raise Invalid(f"Conflicts are settled by 'ours' or 'theirs', not by {settle!r}.")
    if len({each.is_table for each in (base, ours, theirs)}) > 1:
        tables = ", ".join(str(each.ref) for each in (base, ours, theirs) if each.is_table)
        raise Invalid(f"{tables} {'are tables' if ', ' in tables else 'is a table'}, and the rest are files.")
    long = [column.name for column in ours.columns if column.type.startswith(LONG)]
    if long:
        raise Invalid(
            f"{', '.join(long)} of {ours.ref} holds decimals of more than 38 digits, which cannot be merged exactly.",
            mend="Add the merged rows as a version yourself, with parent=.",
        )


def nothing_to_merge(base: DatasetVersion, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetMerge | None:
    """The outcome where one side came from the other: that one is the merge of both."""
    if base.ref not in (ours.ref, theirs.ref):
        return None
    newer = ours if base.ref == theirs.ref else theirs
    older = theirs if newer is ours else ours
    note = f"{newer.ref} came from {older.ref} and holds what it changed."
    if ours.ref == theirs.ref:
        note = f"{ours.ref} is one version: there is nothing to merge."
    return DatasetMerge(ours=ours.ref, theirs=theirs.ref, base=base.ref, version=newer.ref, note=note)


def merge_files(
    blobs: Blobs,
    known: KnownChunks,
    versions: tuple[DatasetVersion, DatasetVersion, DatasetVersion],
    entries: tuple[Sequence[Entry], Sequence[Entry], Sequence[Entry]],
    *,
    settle: str,
    plan: bool,
) -> tuple[DatasetMerge, DatasetRecord | None]:
    """Merge base, ours and theirs; the record of the version that holds both, unless there is to be none."""
    merged = MergedFiles(*entries, settle=settle)
    found = _outcome(versions, merged, settle)
    if plan or (merged.conflicts and not settle):
        return found, None
    return found, merged.record(blobs, known, _source(found))


def merge_tables(
    blobs: Blobs,
    known: KnownChunks,
    versions: tuple[DatasetVersion, DatasetVersion, DatasetVersion],
    files: tuple[Sequence[Path], Sequence[Path], Sequence[Path]],
    *,
    settle: str,
    plan: bool,
) -> tuple[DatasetMerge, DatasetRecord | None]:
    """Merge base, ours and theirs; the record of the version that holds both, unless there is to be none."""
    from modelwright.datasets.adding import described, joined_range, surest, time_range_of
    from modelwright.datasets.rowmerge import MergedTable, Side

    sides = [Side(version, each) for version, each in zip(versions, files, strict=True)]
    ours, theirs = versions[1:]
    with tempfile.TemporaryDirectory(prefix="modelwright-merge-") as place:
        merged = MergedTable(*sides, settle=settle, spill=Path(place) / "spill")
        found = _outcome(versions, merged, settle)
        found = replace(
            found,
            changed_by_column=merged.changed_by_column,
            columns_added=merged.columns_added,
            columns_removed=merged.columns_removed,
        )
        if plan or (merged.conflicting and not settle):
            return found, None
        names = [column.name for column in merged.columns]
        time_column = next((each.time_column for each in (ours, theirs) if each.time_column in names), None)
        by = [name for name in ours.grouped_by if name in names] or ours.key
        nullable: set[str] = set()
        spans, written = [], []
        for path, table in merged.parts(Path(place), by):
            nullable |= {name for name in names if table[name].null_count}
            spans.append(time_range_of([table], time_column) if time_column else None)
            written.append((path, table.num_rows))
        about = DatasetRecord(
            columns=[
                replace(column, nullable=column.name in nullable, personal=column.name in ours.declared | theirs.declared)
                for column in merged.columns
            ],
            bytes=0,
            grouped_by=by,
            key=ours.key,
            time_column=time_column,
            time_range=joined_range(spans),
            source=_source(found),
            findings=[each for each in surest([*ours.findings, *theirs.findings]) if each.column in names],
        )
        return found, described(blobs, written, about, known=known, before=ours)


def _outcome(versions: Sequence[DatasetVersion], merged: Any, settle: str) -> DatasetMerge:
    base, ours, theirs = (each.ref for each in versions)
    return DatasetMerge(
        ours=ours,
        theirs=theirs,
        base=base,
        added=merged.added,
        removed=merged.removed,
        changed=merged.changed,
        conflicting=getattr(merged, "conflicting", len(merged.conflicts)),
        conflicts=merged.conflicts[:FILES_SHOWN],
        settled=settle,
    )


def _source(found: DatasetMerge) -> str:
    return f"{found.ours} merged with {found.theirs}"
