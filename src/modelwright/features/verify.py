"""Holding online rows against offline rows. At the caller's side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from modelwright.core.clock import isoformat
from modelwright.core.refs import Ref
from modelwright.features.definitions import FeatureView, Value
from modelwright.features.durations import from_epoch, since_epoch
from modelwright.features.engine import BROUGHT, arrow_type_of, moments_of
from modelwright.features.materialise import timelines
from modelwright.features.packing import Timeline
from modelwright.features.records import Comparison, LoggedRead, Mismatch, OnlineState, ViewRecord

TIMESTAMP = "event_timestamp"
TOLERANCE = 1e-9  # relative, and near zero absolute: a sum of floats depends on their order
EXAMPLES = 20
# Values such as requests bring, that roots, logarithms and casts bear. What form a text has, nobody knows here.
_BROUGHT: dict[str, list[Any]] = {
    "bool": [True, False, None],
    "int": [1, 2, 30, 4, None],
    "float": [1.5, 0.25, 100.0, 3.0, None],
    "text": [None],
}
_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples, modulo 1, fill an interval evenly


def draw(view: FeatureView, source: pa.Table, state: OnlineState, number: int, timestamp: str) -> pa.Table:
    """Up to `number` requests the online store covers: entities evenly over their order, and times of two kinds.

    Every other time is spread over the whole interval; the rest lie on the edges where errors would be, the moment a row
    becomes known, goes stale or leaves a window, or a microsecond before it. What requests bring is made up, as it is not
    known what they will. The same call draws the same requests.
    """
    since, until = since_epoch(state.since), since_epoch(state.until)
    held = list(timelines(view, source, since, until))
    drawn = []
    for i in range(number if held else 0):
        key, timeline = held[i * len(held) // number]
        at = since + int((i * _GOLDEN) % 1 * (until - since))
        edges = [edge for edge in _edges(view, timeline) if since <= edge <= until]
        drawn.append((*key, from_epoch(edges[i % len(edges)] if i % 2 and edges else at)))
    names = [*view.entity, timestamp]
    columns = list(zip(*drawn, strict=True)) or [()] * len(names)
    moments = pa.array(columns[-1], pa.timestamp("us", tz="UTC"))
    table = pa.table([*(pa.array(column) for column in columns[:-1]), moments], names=names)
    for place, (name, kind) in enumerate(view.request.items()):
        if kind == "time":
            brought = [None if i % 5 == 4 else at for i, at in enumerate(columns[-1])]
        else:
            brought = [_BROUGHT[kind][(i + place) % len(_BROUGHT[kind])] for i in range(table.num_rows)]
        table = table.append_column(name, pa.array(brought, arrow_type_of(BROUGHT[kind])))
    return table


def _edges(view: FeatureView, timeline: Timeline) -> list[int]:
    ends = {feature.span for feature in view.features if feature.span} | ({view.lifetime} if view.lifetime else set())
    found = set(timeline.visible) | {event + end for event in timeline.event for end in ends}
    return sorted(found | {edge - 1 for edge in found})


def unquoted(found: Comparison, people: set[str]) -> Comparison:
    """The same without a value of what is about people: the report is kept, and others read it."""
    examples = [
        replace(
            each,
            entity={name: None if name in people else value for name, value in each.entity.items()},
            online=None if each.feature in people else each.online,
            offline=None if each.feature in people else each.offline,
        )
        for each in found.examples
    ]
    return replace(found, examples=examples)


def compare(
    view: FeatureView, state: OnlineState, offline: pa.Table, online: Sequence[Mapping[str, Value]], timestamp: str
) -> Comparison:
    """Every value of every row: numbers equal to nine places, all else exactly."""
    found = list(_mismatches(view, offline, online, timestamp))
    return Comparison(
        view=state.view,
        source=state.source,
        rows=offline.num_rows,
        values=offline.num_rows * len(view.names),
        mismatches=len(found),
        examples=found[:EXAMPLES],
    )


def asked_again(version: ViewRecord, reads: Sequence[LoggedRead]) -> pa.Table:
    """The requests of logged reads."""
    view, kinds = version.view, {column.name: column for column in version.keys}
    columns: dict[str, Any] = {
        name: pa.array([read.key.get(name) for read in reads], arrow_type_of(kinds[name].dtype)) for name in view.entity
    }
    for name, kind in view.request.items():
        brought = [read.key.get(name) for read in reads]
        columns[name] = pa.array(moments_of(brought) if kind == "time" else brought, arrow_type_of(BROUGHT[kind]))
    return pa.table({**columns, TIMESTAMP: pa.array([read.at for read in reads], pa.timestamp("us", tz="UTC"))})


def compare_reads(
    view: FeatureView, source: Ref, offline: pa.Table, reads: Sequence[LoggedRead], timestamp: str
) -> Comparison:
    """Logged answers held against a training set of the same requests."""
    online = [dict(zip(view.names, read.values, strict=True)) for read in reads]
    found = list(_mismatches(view, offline, online, timestamp))
    fresh = {(read.at, *(read.key.get(name) for name in view.entity)): read.fresh for read in reads}
    stale = sum(each.at > fresh[(each.at, *(each.entity[name] for name in view.entity))] for each in found)
    return Comparison(
        view=view.ref,
        source=source,
        rows=len(reads),
        values=len(reads) * len(view.names),
        mismatches=len(found),
        examples=found[:EXAMPLES],
        stale=stale,
        replayed_until=max(read.at for read in reads),
    )


def _mismatches(
    view: FeatureView, offline: pa.Table, online: Sequence[Mapping[str, Value]], timestamp: str
) -> Iterator[Mismatch]:
    for row, read in zip(offline.to_pylist(), online, strict=True):
        for name in view.names:
            expected = plain(row[name])
            if not same(read[name], expected):
                yield Mismatch(
                    entity={key: row[key] for key in view.entity},
                    at=row[timestamp],
                    feature=name,
                    online=read[name],
                    offline=expected,
                )


def plain(value: Any) -> Value:
    """A value of a table as it travels."""
    return isoformat(value) if isinstance(value, datetime) else value


def same(one: Value, other: Value) -> bool:
    """Whether two values are the same feature."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (isinstance(one, bool) == isinstance(other, bool))
