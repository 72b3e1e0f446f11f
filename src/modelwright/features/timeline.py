"""What the online store holds of one entity, and how a row of features is read from it. Pure.

The store keeps rows of the source and not answers: the answer at a time is computed when it is asked for, by the same rules
as in `sql`, so it is right at every time the rows cover, and windows slide and rows go stale between two materialisations.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Any

import msgspec

from modelwright.core.clock import isoformat
from modelwright.core.signature import Column, DataType
from modelwright.features.durations import from_epoch
from modelwright.features.records import Aggregation, Feature, FeatureView, Value


class Timeline(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one entity in the order in which they became known; times in microseconds since 1970, values by input."""

    visible: list[int]
    event: list[int]
    values: list[list[Any]]


NOTHING = Timeline([], [], [])
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Timeline).decode


def pack(timeline: Timeline) -> bytes:
    """The timeline as MessagePack."""
    return _pack(timeline)


def unpack(packed: bytes) -> Timeline:
    """Read what `pack` wrote; `msgspec.ValidationError` for anything else."""
    return _unpack(packed)


def check(timeline: Timeline, inputs: int) -> None:
    """Raise `ValueError` unless the parts fit each other and the view: as many values as times, in order of time."""
    visible, rows = timeline.visible, len(timeline.visible)
    if len(timeline.values) != inputs or any(len(each) != rows for each in (timeline.event, *timeline.values)):
        raise ValueError(f"it does not hold {inputs} values for each of {rows} times")
    if any(later < earlier for earlier, later in pairwise(visible)):
        raise ValueError("its times are not in order")


def read(view: FeatureView, columns: list[Column], timeline: Timeline, at: int) -> dict[str, Value]:
    """The features at a time, exactly as a point-in-time join gives them, but moments as text."""
    known = bisect_right(timeline.visible, at)
    if view.windowed:
        return _aggregates(view, timeline, known, at)
    if known == 0 or (view.lifetime is not None and at - timeline.event[known - 1] >= view.lifetime):
        return dict.fromkeys(view.names)
    found = (values[known - 1] for values in timeline.values)
    return {column.name: _value(column, value) for column, value in zip(columns, found, strict=True)}


def _value(column: Column, value: Any) -> Value:
    if column.dtype is DataType.DATETIME and value is not None:
        return isoformat(from_epoch(value))
    return value  # type: ignore[no-any-return]


def _aggregates(view: FeatureView, timeline: Timeline, known: int, at: int) -> dict[str, Value]:
    position = {sql: i for i, sql in enumerate(view.inputs)}
    inside: dict[int, list[int]] = {}
    row: dict[str, Value] = {}
    for feature in view.features:
        span = feature.span
        if span not in inside:
            inside[span] = [i for i in range(known) if timeline.event[i] > at - span]
        held = inside[span]
        if feature.sql:
            values = timeline.values[position[feature.sql]] if timeline.values else []
            row[feature.name] = _aggregate(feature, [values[i] for i in held if values[i] is not None])
        else:
            row[feature.name] = len(held)
    return row


def _aggregate(feature: Feature, values: list[float]) -> Value:
    match feature.aggregation:
        case Aggregation.COUNT:
            return len(values)
        case _ if not values:
            return None
        case Aggregation.MEAN:
            return sum(values) / len(values)
        case Aggregation.TOTAL:
            return sum(values)
        case Aggregation.MINIMUM:
            return min(values)
        case _:
            return max(values)
