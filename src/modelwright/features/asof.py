"""The newest row known at each request: an ASOF join over arrays of whole numbers. Pure; the rules are those of `sql`.

The rows of the source are put in order of entity and time by sorting 64-bit numbers, at which NumPy is quick: as many bits
of entity and time as fit stand above the row's own number. Where not all fit, the highest do, and the rows that are alike
in them are sorted again; where these are many, all are sorted in turns, as one sorts by digits. A request then finds the
last row that is visible by halving within its entity's rows, all requests at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SLICE = 1 << 20  # requests that are looked up together, so that what is made for them stays small
UNITS = (1_000_000, 1_000)  # of microseconds: times are often whole seconds, and a shorter number is sorted in fewer turns
FEW = 8  # rows of which one may have to be sorted again
SAMPLE = 4096  # times that are looked at before all are

Best = Callable[[Any, Any], Any]  # (rows, group of each) -> the place of each group's newest row among them


class Newest:
    """The rows of a source, ready to be asked which was the newest known of an entity at a time.

    `code` is the entity of each row, from 0 to below `number`, and `visible` and `event` are its times; int64 all of them.
    Which of rows that became visible at once is the newest is for `best` to say, where some request depends on it.
    """

    def __init__(self, code: Any, number: int, visible: Any, event: Any, best: Best) -> None:
        self._order = _ordered(code, number, visible)
        self._times = visible[self._order]
        counts = np.bincount(code, minlength=number)
        self._starts = np.zeros(number + 1, np.int64)
        np.cumsum(counts, out=self._starts[1:])
        self._turns = int(counts.max(initial=0)).bit_length()
        self._records = None if event is visible else self._recorded(code, number, event)
        self._best = best

    def rows(self, code: Any, moment: Any) -> Any:
        """The row of each request, or -1 where nothing is known then; `code` is -1 for an entity without rows."""
        if not len(self._order):
            return np.full(len(code), -1)
        found, tied = np.empty(len(code), np.int64), []
        for begin in range(0, len(code), SLICE):
            part = slice(begin, begin + SLICE)
            found[part] = self._places(code[part], moment[part])
            tied.append(self._tied(found[part], code[part]) + begin)
        self._untie(found, code, np.concatenate(tied or [found]))
        for begin in range(0, len(code), SLICE):
            place = found[begin : begin + SLICE]
            np.copyto(place, self._order[place], where=place >= 0)
        return found

    def timeline(self) -> Any:
        """The rows that were the newest of their entity at some moment, in order of entity and of when that was."""
        times, starts = self._times, self._starts
        last = np.ones(len(times), np.bool_)  # of those that became visible at once
        last[:-1] = times[1:] != times[:-1]
        last[starts[1:][starts[1:] > 0] - 1] = True
        found = np.flatnonzero(last)
        if self._records is not None:
            records = self._records[found]
            found = records[times[records] == times[found]]
        code = np.searchsorted(starts, found, side="right") - 1
        self._untie(found, code, self._tied(found, code))
        return self._order[found]

    def _places(self, code: Any, moment: Any) -> Any:
        """Where in order the last record lies that is visible."""
        known = np.maximum(code, 0)
        begin, after = self._halved(known, moment, later=True)
        found = np.where((code >= 0) & (after > begin), after - 1, -1)
        return found if self._records is None else np.where(found >= 0, self._records[found], -1)

    def _halved(self, code: Any, moment: Any, *, later: bool) -> tuple[Any, Any]:
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

    def _recorded(self, code: Any, number: int, event: Any) -> Any:
        """For each place, the last up to it that was the newest when it became visible; None where all of them were.

        A row with the same event time that becomes visible later was created later: it is newer.
        """
        happened = event[self._order]
        earlier = np.flatnonzero(happened[1:] < happened[:-1]) + 1
        entity = code[self._order]
        if not (entity[earlier] == entity[earlier - 1]).any():
            return None
        rank = np.empty(len(code), np.int64)  # by entity, event and place: one more sort
        rank[_ordered(entity, number, happened)] = np.arange(len(code))
        places = np.where(rank == np.maximum.accumulate(rank), np.arange(len(code)), 0)
        return np.maximum.accumulate(places)

    def _tied(self, place: Any, code: Any) -> Any:
        """The requests whose row became visible together with another one of its entity."""
        together = self._times[place] == self._times[np.maximum(place - 1, 0)]
        return np.flatnonzero(together & (place > self._starts[np.maximum(code, 0)]))

    def _untie(self, found: Any, code: Any, tied: Any) -> None:
        """Where several rows became visible at once, the newest of them in place of the last."""
        if not len(tied):
            return
        places, which, again = np.unique(found[tied], return_index=True, return_inverse=True)
        _, first = self._halved(code[tied[which]], self._times[places], later=False)
        lengths = places - first + 1
        group = np.repeat(np.arange(len(places)), lengths)
        inside = np.arange(len(group)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        candidates = first[group] + inside
        found[tied] = candidates[self._best(self._order[candidates], group)][again]


def in_order(code: Any, number: int, visible: Any, event: Any) -> Any:
    """All rows in order of entity, then of when they became visible, then of when they happened."""
    if event is visible:
        return _ordered(code, number, visible)
    first = _ordered(np.zeros(len(code), np.int64), 1, event)
    return first[_ordered(code[first], number, visible[first])]


def _ordered(code: Any, number: int, time: Any) -> Any:
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
