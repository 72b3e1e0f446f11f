"""A number of 64 bits for each value, many at a time: equal values have equal ones, on every machine and in every version.

They are stored with sketches, so how they are made never changes; it is part of the format. Nobody's secrets depend on
them: somebody who chooses the values can make two agree.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from blake3 import blake3

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)
_LONG: Final = 512  # bytes; longer texts are hashed one by one


def hash_numbers(values: Any) -> Any:
    """Of an array of whole numbers or floats (-0.0 is 0.0), in any width: int8 and int64 of one value agree."""
    if values.dtype.kind == "f":
        words = (values.astype(np.float64) + 0.0).view(np.uint64)
    else:
        words = values.astype(np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64)
    return _mixed(words * _MULTIPLIER)


def hash_texts(values: Any) -> Any:
    """Of an Arrow array of texts without nulls, read eight bytes at a time."""
    values = values.cast(pa.large_string())
    _, offsets, content = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    if not len(values):
        return np.zeros(0, np.uint64)
    first, last = int(bounds[0]), int(bounds[-1])
    data = np.zeros(last - first + 8, np.uint8)
    if last > first:
        data[:-8] = np.frombuffer(content, np.uint8)[first:last]
    words = np.ndarray((len(data) - 7,), "<u8", buffer=data, strides=(1,))
    starts, left = bounds[:-1] - first, np.diff(bounds)
    found = left.astype(np.uint64) * _MULTIPLIER
    rows = np.flatnonzero((left > 0) & (left <= _LONG))
    starts_left, lengths = starts[rows], left[rows]
    while len(rows):
        word = words[starts_left]
        short = lengths < 8
        if short.any():
            bits = (lengths[short] * 8).astype(np.uint64)
            word[short] &= (np.uint64(1) << bits) - np.uint64(1)
        found[rows] = _mixed((found[rows] ^ word) * _MULTIPLIER)
        more = lengths > 8
        rows, starts_left, lengths = rows[more], starts_left[more] + 8, lengths[more] - 8
    for row in np.flatnonzero(left > _LONG):
        text = data[starts[row] : starts[row] + left[row]].tobytes()
        found[row] = int.from_bytes(blake3(text).digest()[:8], "little")
    return _mixed(found)


def _mixed(words: Any) -> Any:
    words ^= words >> np.uint64(29)
    words *= _MIX
    words ^= words >> np.uint64(32)
    return words
