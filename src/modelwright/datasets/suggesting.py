"""Checks that a profile suggests: what holds of this version and would be worth knowing if it ceased to.

They are a beginning to read and prune. Bounds have room (`SLACK` of the spread on either side), and nothing is proposed
from few rows that would fail by chance on the next file.
"""

from __future__ import annotations

import math

from modelwright.datasets.checks import (
    Check,
    Distribution,
    Expression,
    Measure,
    Nulls,
    Range,
    RowCount,
    Severity,
    Types,
    Unique,
    Values,
)
from modelwright.datasets.distances import LARGE
from modelwright.datasets.kinds import is_number
from modelwright.datasets.profile import is_discrete
from modelwright.datasets.records import ColumnProfile, DatasetVersion, Profile
from modelwright.datasets.segments import TableSketch
from modelwright.datasets.shifts import shift

MANY_ROWS = 100  # fewer rows say nothing about bounds and allowed values
LONGEST = 100  # characters of a value that names something; longer ones are text
FEW_VALUES = 20  # a text column with at most so many values is taken for a category
FEWEST, MOST = 0.5, 2.0  # rows of the next version, for each of this one
SLACK = 0.5  # of the distance between the extremes


def suggest_checks(version: DatasetVersion, profile: Profile, before: int | None) -> list[Check]:
    """Types of all columns, key, no missing values where there are none, categories, ranges with slack, row count.

    `before` are the rows of the version before, None without one. Where they were far fewer or more, their number is not
    steady, and none is asked for.
    """
    found: list[Check] = [Types(columns={column.name: column.type for column in version.columns})]
    if version.key:
        found.append(Unique())
    if profile.rows >= MANY_ROWS:
        if before is None or FEWEST * before <= profile.rows <= MOST * before:
            found.append(RowCount(min_ratio=FEWEST, max_ratio=MOST, severity=Severity.WARNING))
        for column in profile.columns:
            found += _of_column(column, profile.rows)
    return found


def suggest_distributions(
    version: DatasetVersion, profile: Profile, now: TableSketch, before: TableSketch | None
) -> list[Check]:
    """That columns are distributed as in the version before: numbers and categories that repeat, no keys and times.

    The bound is the rule of thumb for a large change. A column that moved further with the last step is not steady, and has
    none.
    """
    if profile.rows < MANY_ROWS:
        return []
    found: list[Check] = []
    for column in version.columns:
        if not _is_distributed(profile.column(column.name), column.name in (*version.key, version.time_column)):
            continue
        moved = 0.0
        if before is not None and column.name in before.columns:
            moved = shift(column, before.columns[column.name], now.columns[column.name], Measure.PSI) or 0.0
        if moved <= LARGE:
            found.append(Distribution(column=column.name, max_distance=LARGE, severity=Severity.WARNING))
    return found


def _is_distributed(column: ColumnProfile, counts_up: bool) -> bool:
    different = column.distinct or 0
    if counts_up or different < 2:
        return False
    if is_number(column.type):  # whole numbers that are all unlike are numbers of something
        return different < column.count or not column.type.startswith(("int", "uint"))
    return column.type in ("string", "bool") and bool(column.top) and not column.personal and different <= column.count / 2


def _of_column(column: ColumnProfile, rows: int) -> list[Check]:
    found: list[Check] = []
    most = _room_for_missing(column.missing / rows)
    if most < 1:
        found.append(Nulls(column=column.name, max_share=most))
    words = [str(value.value) for value in column.top]
    named = 0 < len(words) <= FEW_VALUES and max(map(len, words)) <= LONGEST
    if column.type == "string" and is_discrete(column) and named:
        found.append(Values(column=column.name, allowed=sorted(words)))
    if is_number(column.type) and not column.personal:
        found += _bounds(column)
    return found


def _room_for_missing(share: float) -> float:
    """None where there is none, else half as many again, to the next whole percent."""
    return 0.0 if share == 0 else min(1.0, (int(share * 150) + 1) / 100)


def _bounds(column: ColumnProfile) -> list[Check]:
    low, high = column.minimum, column.maximum
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return []
    name = column.name
    if column.infinite:
        return [Expression(sql=f'isfinite("{name}")', severity=Severity.WARNING)]
    room = (high - low) * SLACK
    if room == 0:
        return [Range(column=name, minimum=low, maximum=high, severity=Severity.WARNING)]
    step = 10 ** math.floor(math.log10(room))  # bounds with slack need no more digits than the slack has
    bottom = 0 if low >= 0 and low - room < 0 else _neat(math.floor((low - room) / step) * step)
    top = _neat(math.ceil((high + room) / step) * step)
    return [Range(column=name, minimum=bottom, maximum=top, severity=Severity.WARNING)]


def _neat(bound: float) -> float | int:
    """Whole numbers as such, others without the tail that binary fractions leave."""
    rounded = float(f"{bound:.12g}")
    return int(rounded) if rounded.is_integer() else rounded
