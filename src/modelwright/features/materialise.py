"""From a source to what the online store holds: one timeline for each entity, in batches. At the caller's side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence

import pyarrow as pa

from modelwright.features import engine
from modelwright.features.keys import Key, key_text
from modelwright.features.records import FeatureView, OnlineRow
from modelwright.features.timeline import Timeline, pack


def timelines(view: FeatureView, source: pa.Table, since: int, until: int) -> Iterator[tuple[Key, Timeline]]:
    """The timeline of each entity, in order of the key: enough to answer at every time from `since` to `until`."""
    keys, inputs = len(view.entity), len(view.inputs)
    for batch in engine.kept(view, source, since, until):
        rows = [batch.column(i).to_pylist() for i in range(keys + 2 + inputs)]
        values = zip(*rows[keys + 2 :], strict=True) if inputs else [()] * batch.num_rows
        named = zip(*rows[:keys], strict=True)
        for key, visible, event, held in zip(named, rows[keys], rows[keys + 1], values, strict=True):
            yield key, Timeline(visible, event, list(held))


def batches(
    view: FeatureView, source: pa.Table, since: int, until: int, *, rows: int, size: int
) -> Iterator[Sequence[OnlineRow]]:
    """Packed rows, always in the same order, in batches of at most so many rows and (but for one row) so many bytes."""
    batch: list[OnlineRow] = []
    held = 0
    for key, timeline in timelines(view, source, since, until):
        row = OnlineRow(key=key_text(key), packed=b64encode(pack(timeline)).decode())
        if batch and (len(batch) >= rows or held + len(row.packed) > size):
            yield batch
            batch, held = [], 0
        batch.append(row)
        held += len(row.packed)
    if batch:
        yield batch
