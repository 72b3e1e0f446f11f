"""How a row of features is read from what the online store holds of one entity, and how pushed rows come into it. Pure.

The store keeps rows of the source and not answers: the answer at a time is computed when it is asked for, by the same rules
as in `sql`, so it is right at every time the rows cover, and windows slide and rows go stale between two materialisations.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from modelwright.core.clock import isoformat
from modelwright.core.signature import DataType
from modelwright.features.definitions import Aggregation, Feature, FeatureView, Value
from modelwright.features.durations import from_epoch
from modelwright.features.packing import NOTHING, Plain, Timeline, head_size, newest, pack, single, unpack
from modelwright.features.records import FeatureColumn


class Reading:
    """A view made ready to be read: what does not depend on the entity is looked up once."""

    def __init__(self, view: FeatureView, columns: Sequence[FeatureColumn]) -> None:
        self.names = view.stored
        self.lifetime = view.lifetime
        self.windowed = view.windowed
        self._moments = [
            i
            for i, each in enumerate(columns[: len(self.names)])
            if each.dtype is DataType.DATETIME and each.length is None
        ]
        place = {sql: i for i, sql in enumerate(view.inputs)}
        self._windows = [(each, place.get(each.sql), each.span) for each in view.features] if self.windowed else []
        self._head = head_size(len(view.inputs))
        self.plain = None if self.windowed or self._moments else Plain(self._head, self.lifetime)

    def newest(self, row: bytes | None, at: int) -> list[Any]:
        """The same as `packed` of one row."""
        if row is not None and self.plain is not None:
            found = single(row, self._head, at, self.lifetime)
            if found is not None:
                return found
        return self.packed([row], [at])[0]

    def packed(self, rows: Sequence[bytes | None], times: Sequence[int]) -> list[list[Any]]:
        """The same as `values` from packed rows, or none, each at its time; of the newest row, nothing else is unpacked."""
        if self.windowed:
            return [self.values(NOTHING if row is None else unpack(row), at) for row, at in zip(rows, times, strict=True)]
        found = newest(rows, self._head, times, self.lifetime)
        if self._moments:
            found = [each and self._told(each) for each in found]
        if None in found:
            return [[None] * len(self.names) if each is None else each for each in found]
        return cast("list[list[Any]]", found)

    def values(self, timeline: Timeline, at: int) -> list[Any]:
        """The features at a time, in order, exactly as a point-in-time join gives them, but moments as text."""
        known = bisect_right(timeline.visible, at)
        found: list[Any]
        if self.windowed:
            found = self._aggregates(timeline, known, at)
        elif known == 0 or (self.lifetime is not None and at - timeline.event[known - 1] >= self.lifetime):
            return [None] * len(self.names)
        else:
            last = known - 1
            found = [values[last] for values in timeline.values]
        return self._told(found)

    def _told(self, found: list[Any]) -> list[Any]:
        for i in self._moments:
            if found[i] is not None:
                found[i] = isoformat(from_epoch(found[i]))
        return found

    def _aggregates(self, timeline: Timeline, known: int, at: int) -> list[Any]:
        inside: dict[tuple[int, int], list[int]] = {}
        event, row = timeline.event, []
        for feature, place, span in self._windows:
            end = feature.end(at)
            held = inside.get((end, span))
            if held is None:
                begin = end - span
                held = inside[end, span] = [i for i in range(known) if begin < event[i] <= end]
            if place is None:
                row.append(len(held))
            elif feature.aggregation is Aggregation.LAST:
                row.append(_last(timeline, place, held))
            else:
                values = timeline.values[place] if timeline.values else []
                row.append(_aggregate(feature, [values[i] for i in held if values[i] is not None]))
        return row


def read(view: FeatureView, columns: Sequence[FeatureColumn], timeline: Timeline, at: int) -> dict[str, Value]:
    """The features at a time by name."""
    return dict(zip(view.stored, Reading(view, columns).values(timeline, at), strict=True))


def _last(timeline: Timeline, place: int, held: Iterable[int]) -> Any:
    """The latest value that is there: by event time, then created time, then the greater."""
    values = timeline.values[place] if timeline.values else []
    there = [i for i in held if values[i] is not None]
    if not there:
        return None
    known = timeline.known or timeline.event
    return values[max(there, key=lambda i: (timeline.event[i], known[i], values[i]))]


def _aggregate(feature: Feature, values: list[Any]) -> Any:
    match feature.aggregation:
        case Aggregation.COUNT:
            return len(values)
        case Aggregation.DISTINCT:
            return len(set(values))
        case Aggregation.DEVIATION if len(values) < 2:
            return None
        case Aggregation.DEVIATION:
            return _deviation(values)
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


def _deviation(values: list[float]) -> float:
    """The standard deviation of a sample. Numbers whose sum, or whose squares, no float holds are made smaller first."""
    try:
        mean = math.fsum(values) / len(values)
        return math.sqrt(math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1))
    except OverflowError:
        return _deviation([each / 2.0**600 for each in values]) * 2.0**600


# Pushed rows


Arrival = tuple[int, list[Any]]  # the number of the push, and [visible, event, known, x...]


def merge(view: FeatureView, base: int, since: int) -> Callable[[bytes | None, Sequence[Arrival]], bytes]:
    """What puts pushed rows into a packed row: each once, however often it comes.

    `base` is the last push that is in the materialisation, and so in a row that is not there. What no read from `since` on
    can need is left out.
    """
    created, windowed, reach = view.created_time is not None, view.windowed, view.reach if view.windowed else 0

    def rows(packed: bytes | None, arrivals: Sequence[Arrival]) -> bytes:
        held = NOTHING if packed is None else unpack(packed)
        mark = base if packed is None else held.mark
        known = held.known or held.event
        old = [
            [visible, event, learned, *values]
            for visible, event, learned, *values in zip(held.visible, held.event, known, *held.values, strict=True)
        ]
        every = old + [row for number, row in arrivals if number > mark]
        if windowed:
            kept = [row for row in every if row[1] > since - reach]
            kept.sort(key=lambda row: (row[0], row[1]))
        else:
            kept = _records(every, since)
        columns = [list(each) for each in zip(*kept, strict=True)] or [[] for _ in range(3 + len(view.inputs))]
        newest = max(mark, *(number for number, _ in arrivals)) if arrivals else mark
        return pack(Timeline(columns[0], columns[1], columns[3:], columns[2] if created else [], newest))

    return rows


def _records(rows: list[list[Any]], since: int) -> list[list[Any]]:
    """Of the rows of an entity, those that became the newest at some moment, from the one at `since` on."""
    rows.sort(key=lambda row: (row[0], _rank(row)))
    kept: list[list[Any]] = []
    for row in rows:
        if kept and _rank(row) <= _rank(kept[-1]):
            continue
        if kept and (row[0] == kept[-1][0] or row[0] <= since):
            kept.pop()
        kept.append(row)
    return kept


def _rank(row: list[Any]) -> tuple[Any, ...]:
    return (row[1], row[2], *((value is not None, value) if value is not None else (False,) for value in row[3:]))
