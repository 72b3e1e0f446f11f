"""What changed between two versions: columns, rows, distributions, times."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from modelwright.datasets import distances
from modelwright.datasets.engine import connect, identifier, row
from modelwright.datasets.kinds import finite, is_number, present
from modelwright.datasets.records import (
    ColumnChange,
    DatasetColumn,
    DatasetDiff,
    DatasetVersion,
    DistributionChange,
    SaidChange,
)
from modelwright.datasets.rowdiff import compare_rows
from modelwright.datasets.scans import Rows

SIDES = ("before", "after")
TOGETHER = 2_000_000  # values that are counted in one query, of as many columns as have no more
COLUMNS = 50  # at most


def compare(before: DatasetVersion, old: Rows, after: DatasetVersion, new: Rows) -> DatasetDiff:
    """Compare two versions by their records and by the files of their parts."""
    connection = connect({"before": old, "after": new}, guarded=False)
    shared = [(before.column(name), after.column(name)) for name in before.names if name in after.names]
    return DatasetDiff(
        before=before.ref,
        after=after.ref,
        rows_before=before.rows,
        rows_after=after.rows,
        columns_added=[column for column in after.columns if column.name not in before.names],
        columns_removed=[column for column in before.columns if column.name not in after.names],
        columns_changed=[ColumnChange(name=a.name, before=a.type, after=b.type) for a, b in shared if a.type != b.type],
        rows=compare_rows(connection, before, after),
        distributions=_distributions(connection, shared, after.key, before.rows + after.rows),
        time_before=before.time_range,
        time_after=after.time_range,
        said=_said(before, after),
    )


def _said(before: DatasetVersion, after: DatasetVersion) -> list[SaidChange]:
    changes = [
        SaidChange(what="key", before=before.key, after=after.key),
        SaidChange(what="time column", before=_given(before.time_column), after=_given(after.time_column)),
    ]
    return [each for each in changes if each.before != each.after]


def _given(column: str | None) -> list[str]:
    return [] if column is None else [column]


def _distributions(
    connection: Any, shared: Sequence[tuple[DatasetColumn, DatasetColumn]], key: list[str], rows: int
) -> list[DistributionChange]:
    """Of every column of numbers or categories that both have; a column that names the rows has no distribution.

    `rows` are those of both sides: of few rows, many columns are looked at in one query.
    """
    numbers = [(a, b) for a, b in shared if is_number(a.type) and is_number(b.type) and [a.name] != key]
    found: list[DistributionChange] = []
    together = min(max(TOGETHER // max(rows, 1), 1), COLUMNS)
    for kind in ("string", "bool", ""):
        some = [(a, b) for a, b in shared if a.type == b.type == kind and [a.name] != key] if kind else numbers
        for start in range(0, len(some), together):
            columns = some[start : start + together]
            sides = [_figures(connection, side, each) for side, each in zip(SIDES, zip(*columns, strict=True), strict=True)]
            for at, counts in enumerate(_counts(connection, columns)):
                made = _distribution(columns[at][0], *counts, *(side[at] for side in sides))
                found += [] if made is None else [made]
    return sorted(found, key=lambda change: (-change.psi, change.name))


def _distribution(
    column: DatasetColumn, before: Any, after: Any, was: tuple[float, float | None], now: tuple[float, float | None]
) -> DistributionChange | None:
    if not (before.sum() and after.sum()):
        return None  # nothing but missing values on one side: their shares are in the profiles
    number = is_number(column.type)
    together = distances.into_deciles if number else distances.into_categories
    measure = distances.kolmogorov_smirnov if number else distances.total_variation
    bins = together(before, after)
    index = distances.noise_free_psi(*bins)
    return DistributionChange(
        name=column.name,
        psi=index,
        psi_raw=distances.psi(*bins),
        distance=measure(before, after),
        measure="ks" if number else "tv",
        level=distances.level(index),
        missing_before=was[0],
        missing_after=now[0],
        mean_before=was[1],
        mean_after=now[1],
    )


def _counts(connection: Any, columns: Sequence[tuple[DatasetColumn, DatasetColumn]]) -> list[tuple[Any, Any]]:
    """How often each value of each column occurs before and after, in order of the values. The columns are of one kind."""
    value = finite if is_number(columns[0][0].type) else present
    each = " UNION ALL ".join(
        f"""(SELECT {at} AS place, value,
            count(*) FILTER (WHERE side = 0) AS before, count(*) FILTER (WHERE side = 1) AS after
        FROM (SELECT {value(a)} AS value, 0 AS side FROM before UNION ALL SELECT {value(b)} AS value, 1 AS side FROM after)
        WHERE value IS NOT NULL GROUP BY value)"""
        for at, (a, b) in enumerate(columns)
    )
    found = connection.sql(f"SELECT place, before, after FROM ({each}) ORDER BY place, value").to_arrow_table()
    ends = np.searchsorted(found["place"].to_numpy(), np.arange(len(columns) + 1))
    counts = [found[side].to_numpy().astype(np.float64) for side in SIDES]
    return [(counts[0][begin:end], counts[1][begin:end]) for begin, end in pairwise(ends)]


def _figures(connection: Any, side: str, columns: Sequence[DatasetColumn]) -> list[tuple[float, float | None]]:
    """The share of missing values of each column, and the mean of numbers, on one side."""
    means = [f"avg({finite(column)})" if is_number(column.type) else "NULL::DOUBLE" for column in columns]
    asked = ", ".join(f"count({present(column)}) AS f{at}, {means[at]} AS m{at}" for at, column in enumerate(columns))
    found = row(connection, f"SELECT count(*) AS rows, {asked} FROM {identifier(side)}")
    whole = found["rows"]
    return [(1 - found[f"f{at}"] / whole if whole else 0.0, found[f"m{at}"]) for at in range(len(columns))]
