"""Metric points as bytes: rows in a tail, compressed columns in a block. Pure, and exact to the last bit.

A tail is what one call logged, 28 bytes a point, quick to append. A block holds many points of one metric: steps and times
as differences in as few bytes as they need (none where they are all alike), values in four bytes where that loses nothing,
each column with its bytes sorted by significance and then deflated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Columns: TypeAlias = "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]"
"""Steps, times in microseconds, values."""

_POINT = struct.Struct("<iqqd")
POINT_BYTES = _POINT.size  # of a tail
_HEAD = struct.Struct("<BI")
_COLUMN = struct.Struct("<BqI")  # bytes of an item, the first value, bytes that follow
_VERSION = 1
_LEVEL = 1  # of zlib: what more would save is little, and its price is paid on every fold


def to_tail(points: Iterable[tuple[int, int, int, float]]) -> bytes:
    """Points (number of the metric, step, time, value) as one tail."""
    pack = _POINT.pack
    return b"".join([pack(*point) for point in points])


def from_tails(tails: Sequence[bytes]) -> Any:
    """All points of some tails as one array with the fields `name`, `step`, `time`, `value`."""
    import numpy as np

    kind = np.dtype([("name", "<i4"), ("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
    return np.frombuffer(b"".join(tails), dtype=kind)


def to_block(columns: Columns) -> bytes:
    """The points of one metric as a block."""
    steps, times, values = columns
    parts = [_whole(steps), _whole(times), _figures(values)]
    return _HEAD.pack(_VERSION, len(steps)) + b"".join(parts)


def from_block(data: bytes) -> Columns:
    """The points of a block."""
    import numpy as np

    version, count = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise ValueError(f"a block of points has the layout {version}, which this version cannot read")
    at, columns = _HEAD.size, []
    for kind in ("i", "i", "f"):
        width, first, length = _COLUMN.unpack_from(data, at)
        at += _COLUMN.size
        packed = data[at : at + length]
        at += length
        if kind == "f":
            columns.append(_unshuffled(packed, "f", width).astype("<f8"))
        elif width == 0:
            columns.append(first + np.frombuffer(packed, "<i8")[0] * np.arange(count, dtype="<i8"))
        else:
            steps = np.empty(count, dtype="<i8")
            steps[0] = first
            steps[1:] = _unshuffled(packed, "i", width)
            columns.append(np.cumsum(steps, dtype="<i8"))
    return columns[0], columns[1], columns[2]


def merged(parts: Sequence[Columns]) -> Columns:
    """Several columns as one, in order of time, then step, then value; of points that are alike in all, one."""
    import numpy as np

    if len(parts) == 1:
        steps, times, values = parts[0]
    else:
        steps, times, values = (np.concatenate([part[i] for part in parts]) for i in range(3))
    if (times[1:] > times[:-1]).all():
        return steps, times, values  # as a training run logs them: in order, and no two are alike
    order = np.lexsort((values, steps, times))
    steps, times, values = steps[order], times[order], values[order]
    bits = values.view("<i8")
    fresh = np.ones(len(steps), dtype=bool)
    fresh[1:] = (np.diff(steps) != 0) | (np.diff(times) != 0) | (bits[1:] != bits[:-1])
    return (steps, times, values) if fresh.all() else (steps[fresh], times[fresh], values[fresh])


def by_step(columns: Columns) -> Columns:
    """The same in order of step, then time, then value."""
    import numpy as np

    steps, times, values = columns
    order = np.lexsort((values, times, steps))
    return steps[order], times[order], values[order]


def by_metric(points: Any) -> dict[int, Columns]:
    """The points of `from_tails` by the number of their metric, each merged."""
    import numpy as np

    order = np.argsort(points["name"], kind="stable")
    points = points[order]
    numbers, starts = np.unique(points["name"], return_index=True)
    ends = [*starts, len(points)][1:]  # of no points, none
    return {
        int(number): merged([tuple(np.ascontiguousarray(points[start:end][field]) for field in ("step", "time", "value"))])  # type: ignore[list-item]
        for number, start, end in zip(numbers, starts, ends, strict=True)
    }


def _whole(column: Any) -> bytes:
    import numpy as np

    first = int(column[0])
    differences = np.diff(column)
    if len(differences) == 0 or (differences == differences[0]).all():
        even = int(differences[0]) if len(differences) else 0
        return _COLUMN.pack(0, first, 8) + struct.pack("<q", even)
    low, high = int(differences.min()), int(differences.max())
    width = next(width for width in (1, 2, 4, 8) if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)
    packed = _shuffled(differences.astype(f"<i{width}"), width)
    return _COLUMN.pack(width, first, len(packed)) + packed


def _figures(column: Any) -> bytes:
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        short = column.astype("<f4")
        exact = (short.astype("<f8").view("<i8") == column.view("<i8")).all()
    width = 4 if exact else 8
    packed = _shuffled(short if exact else column, width)
    return _COLUMN.pack(width, 0, len(packed)) + packed


def _shuffled(column: Any, width: int) -> bytes:
    """Bytes of like significance together: those of the exponent, say, repeat, and deflate well."""
    return zlib.compress(column.view("u1").reshape(-1, width).T.tobytes(), _LEVEL)


def _unshuffled(packed: bytes, kind: str, width: int) -> Any:
    import numpy as np

    planes = np.frombuffer(zlib.decompress(packed), "u1").reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(f"<{kind}{width}").reshape(-1)
