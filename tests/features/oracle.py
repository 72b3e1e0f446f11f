"""Point-in-time truth by brute force: every rule of docs/features.md in plain loops, slow and obvious."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A row of a source: times in microseconds, None where missing."""

    key: str | None
    event: int | None
    created: int | None
    values: tuple[float | None, float | None]


def usable(row: Row) -> bool:
    return row.key is not None and row.event is not None and row.created is not None


def known(rows: list[Row], key: str | None, at: int) -> list[Row]:
    return [r for r in rows if usable(r) and r.key == key and r.event <= at and r.created <= at]  # type: ignore[operator]


def newest(rows: list[Row], key: str | None, at: int, ttl: int | None) -> tuple[Any, ...]:
    """The values of the newest known row, while it holds."""

    def age_order(row: Row) -> Any:
        return (row.event, row.created, tuple((v is not None, v or 0) for v in row.values))

    candidates = known(rows, key, at)
    if not candidates:
        return (None, None)
    best = max(candidates, key=age_order)
    assert best.event is not None
    return best.values if ttl is None or at - best.event < ttl else (None, None)


def window(
    rows: list[Row], key: str | None, at: int, length: int, position: int, *, tumbling: bool = False
) -> dict[str, Any]:
    """All aggregates of one value over (at - length, at], or over the last whole piece of time of that length."""
    end = at
    while tumbling and end % length:
        end -= 1_000_000
    held = [r for r in known(rows, key, at) if end - length < r.event <= end]  # type: ignore[operator]
    latest = None
    for r in sorted((r for r in held if r.values[position] is not None), key=lambda r: (r.event, r.created)):
        same = latest is not None and (latest.event, latest.created) == (r.event, r.created)
        if not same or latest.values[position] < r.values[position]:  # type: ignore[union-attr, operator]
            latest = r
    values = [r.values[position] for r in held if r.values[position] is not None]
    return {
        "events": len(held),
        "count": len(values),
        "mean": sum(values) / len(values) if values else None,  # type: ignore[arg-type]
        "total": sum(values) if values else None,  # type: ignore[arg-type]
        "minimum": min(values) if values else None,  # type: ignore[type-var]
        "maximum": max(values) if values else None,  # type: ignore[type-var]
        "deviation": statistics.stdev(values) if len(values) > 1 else None,  # type: ignore[type-var]
        "distinct": len(set(values)),
        "last": latest.values[position] if latest else None,
    }
