"""What changed between two versions: columns, rows, distributions, times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelwright.datasets import distances
from modelwright.datasets.engine import connect, identifier, row
from modelwright.datasets.kinds import finite, is_number, present
from modelwright.datasets.records import ColumnChange, DatasetColumn, DatasetDiff, DatasetVersion, DistributionChange
from modelwright.datasets.rowdiff import compare_rows
from modelwright.datasets.scans import Rows


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
        distributions=_distributions(connection, shared, after.key),
        time_before=before.time_range,
        time_after=after.time_range,
    )


def _distributions(
    connection: Any, shared: Sequence[tuple[DatasetColumn, DatasetColumn]], key: list[str]
) -> list[DistributionChange]:
    """Of every column of numbers or categories that both have; a column that names the rows has no distribution."""
    found = [
        _distribution(connection, a, b)
        for a, b in shared
        if [a.name] != key and ((is_number(a.type) and is_number(b.type)) or a.type == b.type in ("string", "bool"))
    ]
    changes = [change for change in found if change is not None]
    return sorted(changes, key=lambda change: (-change.psi, change.name))


def _distribution(connection: Any, a: DatasetColumn, b: DatasetColumn) -> DistributionChange | None:
    number = is_number(a.type)
    before, after = _counts(connection, a, b)
    if not (before.sum() and after.sum()):
        return None  # nothing but missing values on one side: their shares are in the profiles
    together = distances.into_deciles if number else distances.into_categories
    measure = distances.kolmogorov_smirnov if number else distances.total_variation
    bins = together(before, after)
    index = distances.noise_free_psi(*bins)
    sides = _sides(connection, a, b)
    return DistributionChange(
        name=a.name,
        psi=index,
        psi_raw=distances.psi(*bins),
        distance=measure(before, after),
        measure="ks" if number else "tv",
        level=distances.level(index),
        **sides,
    )


def _counts(connection: Any, a: DatasetColumn, b: DatasetColumn) -> tuple[Any, Any]:
    """How often each value occurs before and after, in order of the values."""
    value = finite if is_number(a.type) else present
    found = connection.sql(f"""
        SELECT count(*) FILTER (WHERE side = 0) AS before, count(*) FILTER (WHERE side = 1) AS after
        FROM (SELECT {value(a)} AS value, 0 AS side FROM before
              UNION ALL SELECT {value(b)} AS value, 1 AS side FROM after)
        WHERE value IS NOT NULL GROUP BY value ORDER BY value""").to_arrow_table()
    return found["before"].to_numpy().astype(np.float64), found["after"].to_numpy().astype(np.float64)


def _sides(connection: Any, a: DatasetColumn, b: DatasetColumn) -> dict[str, Any]:
    """Shares of missing values, and means of numbers, on both sides."""
    found: dict[str, Any] = {}
    for side, column in (("before", a), ("after", b)):
        mean = f"avg({finite(column)})" if is_number(column.type) else "NULL::DOUBLE"
        figures = row(
            connection,
            f"SELECT count(*) AS rows, count({present(column)}) AS filled, {mean} AS mean FROM {identifier(side)}",
        )
        found[f"missing_{side}"] = 1 - figures["filled"] / figures["rows"] if figures["rows"] else 0.0
        found[f"mean_{side}"] = figures["mean"]
    return found
