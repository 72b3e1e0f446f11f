"""From a source to what the online store holds: one packed row for each entity, in batches. At the caller's side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.signature import DataType
from modelwright.features import engine
from modelwright.features.definitions import FeatureView
from modelwright.features.keys import Key, key_text
from modelwright.features.packing import FLOAT, INTEGER, MISSING, OTHER, Timeline, head, pack_others, unpack
from modelwright.features.records import OnlineRows
from modelwright.features.timeline import Arrival

TOGETHER = 1 << 17  # rows that are packed at once, but for a single larger entity
_SLOTS = {DataType.FP64: FLOAT, DataType.INT64: INTEGER, DataType.DATETIME: INTEGER}


def timelines(view: FeatureView, source: pa.Table, since: int, until: int) -> Iterator[tuple[Key, Timeline]]:
    """The timeline of each entity: enough to answer at every time from `since` to `until`. See `engine.kept`."""
    for key, row in _packed(view, source, since, until):
        yield key, unpack(row)


def batches(
    view: FeatureView,
    source: pa.Table,
    since: int,
    until: int,
    *,
    rows: int,
    size: int,
    after: int | None = None,
    added: int = 0,
    mark: int = 0,
) -> Iterator[OnlineRows]:
    """Packed rows, always in the same order, in batches of at most so many rows and (but for one row) so many bytes.

    With `after`, only of the entities that have changed since then: see `engine.kept`. `mark` is the last push in `source`.
    """
    keys, packed, held = list[str](), list[bytes](), 0
    for key, row in _packed(view, source, since, until, after=after, added=added, mark=mark):
        if keys and (len(keys) >= rows or held + len(row) > size):
            yield _together(keys, packed)
            keys, packed, held = [], [], 0
        keys.append(key_text(key))
        packed.append(row)
        held += len(row)
    if keys:
        yield _together(keys, packed)


def _together(keys: list[str], packed: list[bytes]) -> OnlineRows:
    return OnlineRows(keys=keys, sizes=[*map(len, packed)], packed=b64encode(b"".join(packed)).decode())


def _packed(
    view: FeatureView,
    source: pa.Table,
    since: int,
    until: int,
    *,
    after: int | None = None,
    added: int = 0,
    mark: int = 0,
) -> Iterator[tuple[Key, bytes]]:
    """The packed row of each entity. Where it is empty, there is none."""
    kept, inputs = engine.kept(view, source, since, until, after=after, added=added)
    ends = np.cumsum(kept.counts)
    begin = row = 0
    while begin < len(ends):
        end = max(begin + 1, int(np.searchsorted(ends, row + TOGETHER, side="right")))
        last = int(ends[end - 1])
        part = kept.rows.slice(row, last - row)
        keys = zip(*(column.to_pylist() for column in kept.keys.slice(begin, end - begin).columns), strict=True)
        made = _written(view, inputs, kept.counts[begin:end], kept.visible[row:last], part, mark)
        yield from zip(keys, made, strict=True)
        begin, row = end, last


def _written(
    view: FeatureView, inputs: Sequence[str], counts: Any, visible: Any, rows: pa.Table, mark: int
) -> Iterator[bytes]:
    """The rows of some entities, so many of each, as `packing` lays them out: each column is put in its place at once."""
    times = [visible, rows.column("event").to_numpy()]
    if view.created_time is not None:
        times.append(rows.column("known").to_numpy())
    columns = [_slots(rows.column(f"x{i}"), kind) for i, kind in enumerate(inputs)]
    kinds = "".join(OTHER if column is None else FLOAT if column.dtype == np.float64 else INTEGER for column in columns)
    first = np.frombuffer(head(0, kinds, created=view.created_time is not None), "<i8")
    placed = [*times, *(column.view("<i8") for column in columns if column is not None)]
    lengths = len(first) + 1 + counts * len(placed)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    out = np.empty(int(ends[-1]), "<i8")
    for i, number in enumerate(first):
        out[begins + i] = number + counts if i == 0 else number  # the count is the lowest of its bytes
    out[begins + len(first)] = mark
    rows_before = np.cumsum(counts) - counts
    place = np.repeat(begins + len(first) + 1 - rows_before, counts) + np.arange(len(visible))
    step = np.repeat(counts, counts)
    for column in placed:
        out[place] = column
        place += step
    content, edges = out.tobytes(), [0, *(ends * 8).tolist()]
    others = [rows.column(f"x{i}").to_pylist() for i, column in enumerate(columns) if column is None]
    if not others:
        return (content[begin:end] for begin, end in pairwise(edges))
    within = pairwise([0, *np.cumsum(counts).tolist()])
    tails = (pack_others([values[begin:end] for values in others]) for begin, end in within)
    return (content[begin:end] + tail for (begin, end), tail in zip(pairwise(edges), tails, strict=True))


def _slots(column: Any, kind: str) -> Any:
    """The values of an input as eight bytes each, or None where that cannot be."""
    slot = next((letter for dtype, letter in _SLOTS.items() if dtype == kind), OTHER)
    if slot == OTHER:
        return None
    if slot == FLOAT:
        return pc.fill_null(column, float("nan")).to_numpy().astype("<f8", copy=False)
    numbers = pc.fill_null(column, MISSING).to_numpy().astype("<i8", copy=False)
    taken = int((numbers == MISSING).sum()) != column.null_count  # the least number is one of the values
    return None if taken else numbers


def arrivals(
    view: FeatureView, pushes: Sequence[tuple[int, pa.Table]], opened: Callable[[], Any]
) -> dict[str, list[Arrival]]:
    """The rows of pushes by the key they belong to, each with the number of its push; see `engine.arrived`."""
    found: dict[str, list[Arrival]] = {}
    for number, rows in pushes:
        for key, row in engine.arrived(opened, view, rows):
            found.setdefault(key_text(key), []).append((number, row))
    return found
