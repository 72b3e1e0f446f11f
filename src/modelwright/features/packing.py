"""The packed row: a timeline as bytes, of which a read takes the one row that it wants. Pure.

All numbers are little-endian and eight bytes wide after the first eight bytes:

    count of rows (4 bytes), whether there are created times (1), 0 (1), number of inputs (2)
    the kind of each input, a letter each, zeros up to a whole number of eight bytes
    mark | visible of each row | event of each row | created of each row, if any | the values of each input of `d`, `i`
    a MessagePack array with an array for each other input

Kinds: `d` a float, NaN where it is missing; `i` an integer, the least of all where it is missing; `m` anything else.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, cast

import msgspec

FLOAT, INTEGER, OTHER = "d", "i", "m"
MISSING: Final = -(1 << 63)
_MOST = 1 << 63
_HEAD: Final = struct.Struct("<IBBH")
_KEPT = 4096  # layouts that are remembered
Rows = list[list[Any]]
MANY = 24  # rows that are read all at once where they are alike

pack_others = msgspec.msgpack.Encoder().encode
_unpack_others = msgspec.msgpack.Decoder(list[list[Any]]).decode


class Timeline(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one entity in the order in which they became known; times in microseconds since 1970, values by input."""

    visible: list[int]
    event: list[int]
    values: list[list[Any]]
    known: list[int] = []  # the created times, where the view has them: they decide ties
    mark: int = 0  # the last push that is in it


NOTHING = Timeline([], [], [])


class Layout:
    """Where things lie in a packed row, as its first bytes say."""

    def __init__(self, head: bytes) -> None:
        self.count, created, _, inputs = _HEAD.unpack_from(head)
        if created > 1 or len(head) != head_size(inputs):
            raise ValueError("its head is not one")
        self.created = bool(created)
        self.kinds = head[_HEAD.size : _HEAD.size + inputs].decode()
        if set(self.kinds) - {FLOAT, INTEGER, OTHER}:
            raise ValueError(f"its kinds are {self.kinds!r}")
        self.begin = len(head)
        self.slots = [kind for kind in self.kinds if kind != OTHER]
        self.plain = len(self.slots) == len(self.kinds)
        self.end = self.begin + 8 * (1 + self.count * (2 + created + len(self.slots)))
        self.first = 2 + created  # the columns before those of the inputs
        self.floats = set(self.kinds) == {FLOAT}
        letters = "".join("d" if kind == FLOAT else "q" for kind in self.slots)
        self.single = (
            struct.Struct(f"<{self.begin + 8}x{'q' * self.first}{letters}").unpack_from if self.count == 1 else None
        )
        self.nothing = b""  # of a single row, one that is seen at no time
        if self.single is not None:
            self.nothing = head + struct.pack("<qq", 0, _MOST - 1) + bytes(self.end - self.begin - 16)

    def check(self, packed: bytes) -> None:
        """Raise `ValueError` unless the bytes are as long as the head says."""
        if len(packed) < self.end or (self.plain and len(packed) != self.end):
            raise ValueError(f"{len(packed)} bytes cannot hold {self.count} rows of {len(self.kinds)} inputs")


_layouts: dict[bytes, Layout] = {}


def head_size(inputs: int) -> int:
    """How many bytes say what the others are, for so many inputs."""
    return int(_HEAD.size) + (inputs + 7) // 8 * 8


def head(count: int, kinds: str, *, created: bool) -> bytes:
    """The first bytes of a packed row."""
    return _HEAD.pack(count, created, 0, len(kinds)) + kinds.encode().ljust(head_size(len(kinds)) - _HEAD.size, b"\0")


def layout_of(first: bytes) -> Layout:
    """What the first bytes of a packed row say of the others; `ValueError` where they are none."""
    found = _layouts.get(first)
    if found is None:
        if len(_layouts) >= _KEPT:
            _layouts.clear()
        found = _layouts[first] = Layout(first)
    return found


def _laid_out(packed: bytes) -> Layout:
    if len(packed) < _HEAD.size:
        raise ValueError("it is too short")
    layout = layout_of(packed[: head_size(int.from_bytes(packed[6:8], "little"))])
    layout.check(packed)
    return layout


def pack(timeline: Timeline) -> bytes:
    """A timeline as a packed row."""
    kinds = "".join(map(_kind, timeline.values))
    columns: list[Sequence[Any]] = [timeline.visible, timeline.event, timeline.known]
    letters = "q" * (1 + len(timeline.visible) + len(timeline.event) + len(timeline.known))
    others = []
    for kind, values in zip(kinds, timeline.values, strict=True):
        if kind == OTHER:
            others.append(values)
            continue
        missing = float("nan") if kind == FLOAT else MISSING
        columns.append([missing if each is None else each for each in values])
        letters += ("d" if kind == FLOAT else "q") * len(values)
    numbers = struct.pack(f"<{letters}", timeline.mark, *(each for column in columns for each in column))
    first = head(len(timeline.visible), kinds, created=bool(timeline.known))
    return first + numbers + (pack_others(others) if others else b"")


def _kind(values: Sequence[Any]) -> str:
    """Floats and missing ones alone, or integers; else others."""
    kinds = {type(each) for each in values} - {type(None)}
    if kinds <= {float}:
        return FLOAT
    fits = kinds == {int} and all(each is None or MISSING < each < _MOST for each in values)
    return INTEGER if fits else OTHER


def unpack(packed: bytes) -> Timeline:
    """Read what `pack` wrote; `ValueError` for anything else."""
    layout = _laid_out(packed)
    numbers = memoryview(packed)[layout.begin : layout.end].cast("q")
    floats, count, others = numbers.cast("B").cast("d"), layout.count, iter(_others(layout, packed))
    place, values = 1 + layout.first * count, list[list[Any]]()
    for kind in layout.kinds:
        if kind == OTHER:
            values.append(next(others))
            continue
        part = (floats if kind == FLOAT else numbers)[place : place + count].tolist()
        missing = MISSING if kind == INTEGER else None
        values.append([None if each != each or each == missing else each for each in part])
        place += count
    times = [numbers[1 + at * count : 1 + (at + 1) * count].tolist() for at in range(layout.first)]
    return Timeline(times[0], times[1], values, times[2] if layout.created else [], numbers[0])


def _others(layout: Layout, packed: bytes) -> list[list[Any]]:
    if layout.plain:
        return []
    try:
        found: list[list[Any]] = _unpack_others(packed[layout.end :])
    except msgspec.MsgspecError as error:
        raise ValueError(f"its last part does not read: {error}") from None
    if [len(each) for each in found] != [layout.count] * (len(layout.kinds) - len(layout.slots)):
        raise ValueError("its last part does not hold as many values as there are times")
    return found


def check(packed: bytes, inputs: int, *, created: bool) -> bool:
    """Raise `ValueError` unless these are the rows of a view of so many inputs, with or without created times.

    There are as many values as times, and the rows are in order of the times at which they became visible. Whether the same
    holds of all bytes that begin like these, up to `head_size`, and are as many.
    """
    layout = _laid_out(packed)
    if len(layout.kinds) != inputs:
        raise ValueError(f"it does not hold {inputs} values for each of its times")
    if layout.count and layout.created != created:
        raise ValueError("its created times are not as many as its rows")
    if not layout.plain:
        _others(layout, packed)
    if layout.count > 1:
        visible = memoryview(packed)[layout.begin + 8 : layout.begin + 8 + 8 * layout.count].cast("q").tolist()
        if any(later < earlier for earlier, later in pairwise(visible)):
            raise ValueError("its times are not in order")
    return layout.plain and layout.count == 1


def newest(
    rows: Sequence[bytes | None], head_bytes: int, times: Sequence[int], lifetime: int | None
) -> list[list[Any] | None]:
    """Of each packed row, the values of what was visible last at a time, while it holds; None where there is nothing.

    `head_bytes` is the `head_size` of the view. `ValueError` or `struct.error` where these are no packed rows.
    """
    if len(rows) >= MANY and times.count(times[0]) == len(rows) == len(times):
        together = _alike([each for each in rows if each is not None], head_bytes, times[0], lifetime)
        if together is not None:
            each_found = iter(together)
            return [None if each is None else next(each_found) for each in rows]
    made: list[list[Any] | None] = []
    for packed, at in zip(rows, times, strict=True):
        if packed is None:
            made.append(None)
            continue
        found = single(packed, head_bytes, at, lifetime)  # most often
        if found is None:
            found = _newest(_layouts.get(packed[:head_bytes]) or layout_of(packed[:head_bytes]), packed, at, lifetime)
        made.append(found)
    return made


def single(packed: bytes, head_bytes: int, at: int, lifetime: int | None) -> list[Any] | None:
    """`newest` of a row that is the only one of its entity, of floats, and holds; None where it is anything else."""
    layout = _layouts.get(packed[:head_bytes])
    if layout is None or layout.single is None or not layout.floats:
        return None
    found = layout.single(packed)
    if found[0] > at or (lifetime is not None and at - found[1] >= lifetime):
        return None
    values = list(found[layout.first :])
    total = sum(values)  # not a number where one of them is none, and seldom else
    return [None if each != each else each for each in values] if total != total else values


class Plain(NamedTuple):
    """Of a view whose features are what is packed of it: what `side_by_side` must know."""

    head_bytes: int
    lifetime: int | None


class Wide:
    """Floats of some entities, a row each, by feature; NaN where one is missing."""

    def __init__(self, values: Any) -> None:
        import numpy as np

        self._values = values
        missing = np.isnan(values)
        self._missing = np.argwhere(missing).tolist() if _some(missing) else []

    def row(self, place: int) -> list[float | None]:
        """The features of one entity."""
        return [None if each != each else each for each in self._values[place].tolist()]

    def rows(self) -> Rows:
        """The features of each entity."""
        made: Rows = self._values.tolist()
        for row, column in self._missing:
            made[row][column] = None
        return made

    def columns(self) -> Rows:
        """Each feature of all entities."""
        made: Rows = self._values.T.tolist()
        for row, column in self._missing:
            made[column][row] = None
        return made


def side_by_side(views: Sequence[Plain], columns: Sequence[Sequence[bytes | None]], times: Sequence[int]) -> Wide | None:
    """The newest values of some views of the same entities, one view's behind the other's; each view has its time.

    None unless every row is the only one of its entity and holds nothing but floats: then it is done all at once.
    """
    import numpy as np

    parts, gone = [], []
    for (head_bytes, lifetime), rows, at in zip(views, columns, times, strict=True):
        first = next((each for each in rows if each is not None), b"")[:head_bytes]
        layout = layout_of(first) if first else None
        if layout is None or not layout.floats or layout.single is None:
            return None
        together = b"".join([layout.nothing if each is None else each for each in rows] if None in rows else rows)  # type: ignore[arg-type]
        if len(together) != layout.end * len(rows):
            return None
        numbers = np.frombuffer(together, "<i8").reshape(len(rows), layout.end // 8)
        place = head_bytes // 8
        if _some(numbers[:, :place] != numbers[0, :place]):  # where all heads are alike, the rows are as long
            return None
        late = numbers[:, place + 1] > at
        if lifetime is not None:
            late |= numbers[:, place + 2] <= at - lifetime
        parts.append(numbers[:, place + 1 + layout.first :].view("<f8"))
        gone.append(late)
    values, begin = np.concatenate(parts, axis=1), 0
    for part, late in zip(parts, gone, strict=True):
        end = begin + part.shape[1]
        if _some(late):
            values[late, begin:end] = np.nan
        begin = end
    return Wide(values)


def _some(mask: Any) -> bool:
    """Whether any of a few is true: a tenth of the time of NumPy's own."""
    return b"\1" in mask.tobytes()


def _alike(rows: Sequence[bytes], head_bytes: int, at: int, lifetime: int | None) -> list[list[Any] | None] | None:
    """`newest` of many rows at one time, all at once: None unless each is a single row and they hold the same numbers."""
    if not rows:
        return []
    first = rows[0][:head_bytes]
    layout = _layouts.get(first) or layout_of(first)
    if layout.single is None or not layout.slots or not layout.plain or {len(each) for each in rows} != {layout.end}:
        return None
    import numpy as np

    numbers = np.frombuffer(b"".join(rows), "<i8").reshape(len(rows), layout.end // 8)
    if (numbers[:, : head_bytes // 8] != numbers[0, : head_bytes // 8]).any():
        return None
    place = head_bytes // 8 + 1
    gone = numbers[:, place] > at
    if lifetime is not None:
        gone |= numbers[:, place + 1] <= at - lifetime
    place += layout.first
    floats = numbers[:, place:].view("<f8")
    if layout.floats:
        made = floats.tolist()
    else:
        whole = [kind == INTEGER for kind in layout.kinds]
        columns = [(numbers[:, place + i] if each else floats[:, i]).tolist() for i, each in enumerate(whole)]
        made = [list(row) for row in zip(*columns, strict=True)]
    missing = np.isnan(floats) if layout.floats else _missing(layout, numbers[:, place:], floats)
    if missing.any():
        for row, column in np.argwhere(missing).tolist():
            made[row][column] = None
    if gone.any():
        for row in np.flatnonzero(gone).tolist():
            made[row] = None
    return cast("list[list[Any] | None]", made)


def _missing(layout: Layout, numbers: Any, floats: Any) -> Any:
    """Which values of some columns are missing, in the way of each column's kind."""
    import numpy as np

    whole = np.array([kind == INTEGER for kind in layout.kinds], np.bool_)
    return np.where(whole, numbers == MISSING, np.isnan(floats))


def _newest(layout: Layout, packed: bytes, at: int, lifetime: int | None) -> list[Any] | None:
    layout.check(packed)
    numbers, count = memoryview(packed)[layout.begin : layout.end].cast("q"), layout.count
    last = bisect_right(numbers, at, 1, 1 + count) - 2
    if last < 0 or (lifetime is not None and at - numbers[1 + count + last] >= lifetime):
        return None
    floats, place = numbers.cast("B").cast("d"), 1 + layout.first * count + last
    slots = iter(
        [_value(kind, (floats if kind == FLOAT else numbers)[place + i * count]) for i, kind in enumerate(layout.slots)]
    )
    if layout.plain:
        return list(slots)
    others = iter(_others(layout, packed))
    return [next(others)[last] if kind == OTHER else next(slots) for kind in layout.kinds]


def _value(kind: str, each: Any) -> Any:
    return None if each != each or (kind == INTEGER and each == MISSING) else each
