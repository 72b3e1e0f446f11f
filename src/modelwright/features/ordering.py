"""Rows in order of entity and time, and where in it a request falls: sorting and searching whole numbers. Pure.

The rows are put in order by sorting 64-bit numbers, at which NumPy is quick: as many bits of entity and time as fit stand
above the row's own number. Where not all fit, the highest do, and the rows that are alike in them are sorted again; where
these are many, all are sorted in turns, as one sorts by digits. Entity and time as one number are searched by it, all
requests at once; where they do not fit into one, a request halves its entity's rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

UNITS = (1_000_000, 1_000)  # of microseconds: times are often whole seconds, and a shorter number is sorted in fewer turns
FEW = 8  # rows of which one may have to be sorted again
SAMPLE = 4096  # times that are looked at before all are
WIDEST = 63  # bits of an entity and its time that are searched as one number


class Places(Protocol):
    """Rows in order. A place is where in it one stands."""

    order: Any  # the row at each place

    def last(self, code: Any, moment: Any) -> Any:
        """The place of an entity's last row at a moment or before; -1 where there is none. A code of -1 has no rows."""
        ...

    def first(self, place: Any) -> Any:
        """The first place with the entity and the time of another."""
        ...

    def same(self, one: Any, other: Any) -> Any:
        """Whether the rows at two places, or in two slices of them, have the same entity and the same time."""
        ...

    def entity(self, place: Any) -> Any:
        """Whose rows they are."""
        ...


def placed(code: Any, number: int, time: Any) -> Places:
    """The rows in order of entity (from 0 to below `number`), then of time, then as they stand; int64 all of them."""
    high, bits = (number - 1).bit_length(), len(code).bit_length()
    if not len(code):
        return Halved(code, number, time)
    base = time.min()
    short, low, unit = _shortened(time.view(np.uint64) - base.view(np.uint64), high, 64 - bits)
    if low + high > WIDEST:
        return Halved(code, number, time)
    key = code << low
    key |= short.view(np.int64)
    if low + high + bits > 64:
        order = ordered(code, number, time)
        return Keyed(order, key[order], int(base), unit, low)
    digit = key.view(np.uint64)
    digit <<= np.uint64(bits)
    digit |= np.arange(len(code), dtype=np.uint64)
    digit.sort()
    order = (digit & np.uint64((1 << bits) - 1)).view(np.int64)
    digit >>= np.uint64(bits)
    return Keyed(order, digit.view(np.int64), int(base), unit, low)


class Keyed:
    """See `Places`: each row has a number that is its entity's above its time's, in order."""

    def __init__(self, order: Any, keys: Any, base: int, unit: int, low: int) -> None:
        """Of a key the lowest `low` bits are the time, in so many microseconds, since `base`."""
        self.order = order
        self._keys = keys
        self._base = np.int64(base)
        self._unit = np.uint64(unit)
        self._low = low

    def last(self, code: Any, moment: Any) -> Any:
        """See `Places`. Requests in order find their places side by side, and in memory that is near."""
        time = moment.view(np.uint64) - self._base.view(np.uint64)
        if self._unit > 1:
            time //= self._unit
        np.minimum(time, np.uint64((1 << self._low) - 1), out=time)
        asked = code << self._low
        asked |= time.view(np.int64)
        turn = np.argsort(asked)
        asked = asked[turn]
        place = np.searchsorted(self._keys, asked, side="right") - 1
        place[self._keys[place] >> self._low != asked >> self._low] = -1
        found = np.empty_like(place)
        found[turn] = place
        found[(moment < self._base) | (code < 0)] = -1
        return found

    def first(self, place: Any) -> Any:
        """See `Places`."""
        return np.searchsorted(self._keys, self._keys[place], side="left")

    def same(self, one: Any, other: Any) -> Any:
        """See `Places`."""
        return self._keys[one] == self._keys[other]

    def entity(self, place: Any) -> Any:
        """See `Places`."""
        return self._keys[place] >> self._low


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

    def last(self, code: Any, moment: Any) -> Any:
        """See `Places`."""
        begin, after = self._half(np.maximum(code, 0), moment, later=True)
        return np.where((code >= 0) & (after > begin), after - 1, -1)

    def first(self, place: Any) -> Any:
        """See `Places`."""
        return self._half(self._entity[place], self._times[place], later=False)[1]

    def same(self, one: Any, other: Any) -> Any:
        """See `Places`."""
        return (self._times[one] == self._times[other]) & (self._entity[one] == self._entity[other])

    def entity(self, place: Any) -> Any:
        """See `Places`."""
        return self._entity[place]

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
        shifted, low, _ = _shortened(shifted, high, room)
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


def _shortened(time: Any, high: int, room: int) -> tuple[Any, int, int]:
    """Times, how many bits they take, and their unit: a coarser one where all are whole ones of it.

    That is looked for where it saves a turn, or has entity and time fit into one number.
    """
    low = int(time.max()).bit_length()
    for unit in UNITS:
        fewer = max(0, low - unit.bit_length() + 1)
        saves = -(-(fewer + high) // room) < -(-(low + high) // room)
        if (saves or fewer + high <= WIDEST < low + high) and not (time[:SAMPLE] % np.uint64(unit)).any():
            shorter = time // np.uint64(unit)
            if (shorter * np.uint64(unit) == time).all():
                return shorter, int(shorter.max()).bit_length(), unit
    return time, low, 1
