"""Splitting rows by time: train on the past, judge on what came after, with a gap where the two could touch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwright.core.clock import utc
from modelwright.core.errors import Invalid
from modelwright.evaluation.records import SplitPart, SplitRecord

Rows = npt.NDArray[np.intp]
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, in the order of the data, and the record of how they came about."""

    train: Rows
    validation: Rows
    test: Rows
    record: SplitRecord


def split_by_time(
    times: Any,
    *,
    test_from: datetime,
    validation_from: datetime | None = None,
    until: datetime | None = None,
    gap: timedelta = timedelta(0),
    known_at: Any = None,
) -> Split:
    """Train before `validation_from`, validate until `test_from`, test from there (before `until`, if given).

    Rows in the `gap` before a boundary are left out, and so is every row whose outcome became known (`known_at`) only after
    the next part began: at that moment nobody could have trained on it. `Invalid` where a part would be empty or boundaries
    are out of order.
    """
    moments = as_times(times)
    boundaries = [utc(each) for each in (validation_from, test_from) if each is not None]
    fences = boundaries if until is None else [*boundaries, utc(until)]
    ends: list[datetime | None] = [*boundaries, None if until is None else utc(until)]
    if gap < timedelta(0) or any(later <= earlier for earlier, later in pairwise(fences)):
        raise Invalid("The boundaries of a split must follow one another, and its gap cannot be negative.")
    known = moments if known_at is None else as_times(known_at)
    names = ["train", "validation", "test"] if validation_from is not None else ["train", "test"]
    chosen: dict[str, Rows] = {}
    start: np.datetime64 | None = None
    for name, end in zip(names, ends, strict=True):
        last = name == names[-1]
        inside = np.ones(len(moments), dtype=bool) if start is None else moments >= start
        if end is not None:
            stop = _stamp(end)
            inside &= (moments < stop) if last else (moments < stop - np.timedelta64(gap)) & (known < stop)
            start = stop
        chosen[name] = np.flatnonzero(inside)
        if not chosen[name].size:
            raise Invalid(f"No row falls into the {name} part.", mend=_span(moments))
    return Split(
        train=chosen["train"],
        validation=chosen.get("validation", np.array([], dtype=np.intp)),
        test=chosen["test"],
        record=_record(moments, chosen, boundaries, gap, until),
    )


def split_by_share(
    times: Any,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    gap: timedelta = timedelta(0),
    known_at: Any = None,
) -> Split:
    """Split by time into shares of all rows: the latest are for the test, those before them for validation."""
    if not (0 <= validation < 1 and 0 < test < 1 and validation + test < 1):
        raise Invalid(f"The shares {validation:g} and {test:g} leave nothing to train on, or nothing to test.")
    ordered = np.sort(as_times(times))
    if not len(ordered):
        raise Invalid("There are no rows to split.")

    def at(share: float) -> datetime:
        return _moment(ordered[min(len(ordered) - 1, round(len(ordered) * share))])

    earlier = at(1 - validation - test) if validation else None
    return split_by_time(times, validation_from=earlier, test_from=at(1 - test), gap=gap, known_at=known_at)


def as_times(values: Any) -> Times:
    """A column of times (Arrow, pandas, NumPy, or datetimes; without a zone they are in UTC) in microseconds."""
    if hasattr(values, "to_pylist"):
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pc.cast(values, pa.timestamp("us")) if pa.types.is_temporal(values.type) else values.to_pylist()
        values = values.to_numpy() if hasattr(values, "to_numpy") else values
    if not hasattr(values, "dtype"):
        values = [v.astimezone(UTC).replace(tzinfo=None) if isinstance(v, datetime) and v.tzinfo else v for v in values]
    try:
        times = np.asarray(values, dtype="datetime64[us]")
    except (TypeError, ValueError) as error:
        raise Invalid(f"The time column does not hold times: {error}.") from None
    if np.isnat(times).any():
        raise Invalid(f"The time column misses {int(np.isnat(times).sum())} values; a row without a time has no part.")
    return times


def _stamp(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _moment(stamp: np.datetime64) -> datetime:
    found: datetime = stamp.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def _span(moments: Times) -> str:
    return (
        f"The rows run from {_moment(moments.min())} to {_moment(moments.max())}." if len(moments) else "There are no rows."
    )


def _record(
    moments: Times, chosen: dict[str, Rows], boundaries: list[datetime], gap: timedelta, until: datetime | None
) -> SplitRecord:
    parts = [
        SplitPart(name=name, rows=len(rows), first=_moment(moments[rows].min()), last=_moment(moments[rows].max()))
        for name, rows in chosen.items()
    ]
    for earlier, later in pairwise(parts):
        assert earlier.last is not None and later.first is not None and earlier.last < later.first, "parts overlap"
    considered = len(moments) if until is None else int(np.sum(moments < _stamp(utc(until))))
    return SplitRecord(
        parts=parts,
        boundaries=boundaries,
        gap_seconds=gap.total_seconds(),
        dropped=considered - sum(part.rows for part in parts),
    )
