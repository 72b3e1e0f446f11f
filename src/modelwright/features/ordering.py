"""Rows in order of entity and time, and where in it a request falls: sorting and searching whole numbers. Pure.

The rows are put in order by sorting 64-bit numbers, at which NumPy is quick: as many bits of entity and time as fit stand
above the row's own number. Where not all fit, the highest do, and the rows that are alike in them are sorted again; where
these are many, all are sorted in turns, as one sorts by digits. Entity and time as one number are searched by it, all
requests at once; where they do not fit into one, a request halves its entity's rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

UNITS = (1_000_000, 1_000)  # of microseconds: times are often whole seconds, and a shorter number is sorted in fewer turns
FEW = 8  # rows of which one may have to be sorted again
SAMPLE = 4096  # times that are looked at before all are
BLOCK = 1 << 15  # rows whose keys are made together: what lies between stays in the processor's cache
WIDEST = 64  # bits of an entity and its time that are searched as one number


class Places(Protocol):
    """Rows in order. A place is where in it one stands."""

    order: Any  # the row at each place

    def last(self, code: Any, moment: Any) -> tuple[Any, Any]:
        """The place of an entity's last row at a moment or before; -1 where there is none. A code of -1 has no rows.

        In an order of its own; which request each is for stands beside it.
        """
        ...

    def first(self, place: Any) -> Any:
        """The first place with the entity and the time of another."""
        ...

    def same(self, one: Any, other: Any) -> Any:
        """Whether the rows at two places, or in two slices of them, have the same entity and the same time."""
        ...


def placed(code: Any, number: int, time: Any) -> Places:
    """The rows in order of entity (from 0 to below `number`), then of time, then as they stand; int64 all of them."""
    if not len(code):
        return Halved(code, number, time)
    scale = _scale(time, (number - 1).bit_length(), len(code).bit_length())
    if scale is None:
        return Halved(code, number, time)
    if scale.low + scale.high + scale.bits > 64:
        order = ordered(code, number, time)
        return Keyed(order, _keys(scale, code, time)[order], scale)
    digit = _keys(scale, code, time, numbered=True)
    digit.sort()
    order = (digit & np.uint64((1 << scale.bits) - 1)).view(np.int64)
    digit >>= np.uint64(scale.bits)
    return Keyed(order, digit, scale)


class Scale(NamedTuple):
    """How an entity and a time become one number: the entity's in the highest bits, and the time in the `low` lowest."""

    base: Any  # the least of all times, int64
    unit: Any  # microseconds, uint64
    low: int
    high: int  # bits of an entity
    bits: int  # bits of a row's number


def _scale(time: Any, high: int, bits: int) -> Scale | None:
    """The scale of some times; None where they are too wide. In a coarser unit where that is needed, or saves turns."""
    base, last = time.min(), time.max()
    span, room = int(last) - int(base), 64 - bits
    low, unit = span.bit_length(), 1
    for coarser in UNITS:
        fewer = (span // coarser).bit_length()
        saves = -(-(fewer + high) // room) < -(-(low + high) // room) or fewer + high <= WIDEST < low + high
        if saves and _whole(time, base, coarser):
            low, unit = fewer, coarser
            break
    return None if low + high > WIDEST else Scale(base, np.uint64(unit), low, high, bits)


def _whole(time: Any, base: Any, unit: int) -> bool:
    """Whether all times are whole units after the first."""
    for begin in range(0, len(time), BLOCK):
        since = time[begin : begin + BLOCK].view(np.uint64) - base.view(np.uint64)
        if (since // np.uint64(unit) * np.uint64(unit) != since).any():
            return False
    return True


def _keys(scale: Scale, code: Any, time: Any, *, numbered: bool = False) -> Any:
    """Entity and time of each row as one number, uint64; with the row's own number below if so wanted.

    Made block by block, so that what lies between is not written to memory.
    """
    made = np.empty(len(code), np.uint64)
    shift = scale.bits if numbered else 0
    rows = np.arange(min(BLOCK, len(code)), dtype=np.uint64)
    for begin in range(0, len(code), BLOCK):
        part = slice(begin, begin + BLOCK)
        key = code[part].view(np.uint64) << np.uint64(scale.low)
        key |= _since(scale, time[part])
        if numbered:
            key <<= np.uint64(shift)
            key |= rows[: len(key)] + np.uint64(begin)
        made[part] = key
    return made


def _since(scale: Scale, time: Any) -> Any:
    """Times on a scale, the last of it for all later ones; for those before its base anything."""
    since = time.view(np.uint64) - scale.base.view(np.uint64)
    if scale.unit > 1:
        since //= scale.unit
    return np.minimum(since, np.uint64((1 << scale.low) - 1), out=since)


class Keyed:
    """See `Places`: each row has a number that is its entity's above its time's, in order."""

    def __init__(self, order: Any, keys: Any, scale: Scale) -> None:
        self.order = order
        self._keys = keys
        self._scale = scale

    def last(self, code: Any, moment: Any) -> tuple[Any, Any]:
        """See `Places`. Requests in order find their places side by side, and in memory that is near."""
        low, nobody = np.uint64(self._scale.low), (moment < self._scale.base) | (code < 0)
        asked = np.where(code < 0, 0, code).view(np.uint64) << low
        asked |= _since(self._scale, moment)
        bits = len(asked).bit_length()
        if self._scale.low + self._scale.high + bits <= 64:
            asked <<= np.uint64(bits)
            asked |= np.arange(len(asked), dtype=np.uint64)
            asked.sort()
            turn = (asked & np.uint64((1 << bits) - 1)).view(np.int64)
            asked >>= np.uint64(bits)
        else:
            turn = np.argsort(asked)
            asked = asked[turn]
        place = np.searchsorted(self._keys, asked, side="right") - 1
        place[(self._keys[place] >> low != asked >> low) | nobody[turn]] = -1
        return place, turn

    def first(self, place: Any) -> Any:
        """See `Places`."""
        return np.searchsorted(self._keys, self._keys[place], side="left")

    def same(self, one: Any, other: Any) -> Any:
        """See `Places`."""
        return self._keys[one] == self._keys[other]


class Halved:
    """See `Places`: for times and entities that are too wide for one number."""

    def __init__(self, code: Any, number: int, time: Any) -> None:
        self.order = ordered(code, number, time)
        self._times = time[self.order]
        counts = np.bincount(code, minlength=number)
        self._starts = np.zeros(number + 1, np.int64)
        np.cumsum(counts, out=self._starts[1:])
        self._entity = np.repeat(np.arange(number), counts)
        self._turns = int(counts.max(initial=0)).bit_length()

    def last(self, code: Any, moment: Any) -> tuple[Any, Any]:
        """See `Places`."""
        begin, after = self._half(np.maximum(code, 0), moment, later=True)
        return np.where((code >= 0) & (after > begin), after - 1, -1), np.arange(len(code))

    def first(self, place: Any) -> Any:
        """See `Places`."""
        return self._half(self._entity[place], self._times[place], later=False)[1]

    def same(self, one: Any, other: Any) -> Any:
        """See `Places`."""
        return (self._times[one] == self._times[other]) & (self._entity[one] == self._entity[other])

    def _half(self, code: Any, moment: Any, *, later: bool) -> tuple[Any, Any]:
        """Where the rows of an entity begin, and the first of them after a moment (without `later`: at it, or after)."""
        begin, end, times = self._starts[code], self._starts[code + 1], self._times
        place = begin.copy()
        for turn in reversed(range(self._turns)):
            further = place + (1 << turn)
            inside = further <= end
            further -= 1
            np.minimum(further, len(times) - 1, out=further)
            inside &= times[further] <= moment if later else times[further] < moment
            place += inside.astype(np.int64) << turn
        return begin, place


def in_order(code: Any, number: int, visible: Any, event: Any) -> Any:
    """All rows in order of entity, then of when they became visible, then of when they happened."""
    if event is visible:
        return ordered(code, number, visible)
    first = ordered(np.zeros(len(code), np.int64), 1, event)
    return first[ordered(code[first], number, visible[first])]


def ordered(code: Any, number: int, time: Any) -> Any:
    """The rows in order of entity, then time, then as they stand."""
    count, high = len(code), (number - 1).bit_length()
    room = 64 - count.bit_length()
    if not count or bool((time[1:] >= time[:-1]).all()):
        shifted, low = np.zeros(count, np.uint64), 0
    else:
        shifted = time.view(np.uint64) - time.min().view(np.uint64)
        shifted, low = _shortened(shifted, high, room)
    names = code.view(np.uint64)
    found = _roughly(names, high, shifted, low) if high <= room < low + high else None
    return _by_digits(names, high, shifted, low) if found is None else found


def _roughly(names: Any, high: int, time: Any, low: int) -> Any:
    """The order in one turn by the bits that fit, and in further ones those rows alone that are alike in them.

    None where these are many.
    """
    count = len(names)
    bits = count.bit_length()
    left = low + high + bits - 64
    digit = time >> np.uint64(left)
    digit |= names << np.uint64(low - left)
    digit <<= np.uint64(bits)
    digit |= np.arange(count, dtype=np.uint64)
    digit.sort()
    found = (digit & np.uint64((1 << bits) - 1)).view(np.int64)
    digit >>= np.uint64(bits)
    alike = np.zeros(count + 1, np.bool_)
    np.equal(digit[1:], digit[:-1], out=alike[1:-1])
    places = np.flatnonzero(alike[1:] | alike[:-1])
    if len(places) > count // FEW:
        return None
    rows = found[places]
    found[places] = rows[_by_digits(names[rows], high, time[rows], low)]
    return found


def _by_digits(names: Any, high: int, time: Any, low: int) -> Any:
    """The order in as many turns as the bits need, the lowest first."""
    count = len(names)
    room = 64 - count.bit_length()
    index = np.arange(count, dtype=np.uint64)
    found = None
    for done in range(0, max(1, low + high), room):
        digit = names >> np.uint64(done - low) if done >= low else time >> np.uint64(done)
        if done < low and low - done < room:
            digit |= names << np.uint64(low - done)
        digit = digit if found is None else digit[found]
        digit <<= np.uint64(64 - room)  # what is above falls out
        digit |= index
        digit.sort()
        digit &= np.uint64((1 << (64 - room)) - 1)
        place = digit.view(np.int64)
        found = place if found is None else found[place]
    return found


def _shortened(time: Any, high: int, room: int) -> tuple[Any, int]:
    """Times and how many bits they take; in a coarser unit where all are whole ones of it and that saves a turn."""
    low = int(time.max()).bit_length()
    for unit in UNITS:
        fewer = max(0, low - unit.bit_length() + 1)
        saves = -(-(fewer + high) // room) < -(-(low + high) // room)
        if saves and not (time[:SAMPLE] % np.uint64(unit)).any() and not (time % np.uint64(unit)).any():
            shorter = time // np.uint64(unit)
            return shorter, int(shorter.max()).bit_length()
    return time, low
