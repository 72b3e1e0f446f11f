"""The newest row known at each request: an ASOF join over arrays of whole numbers. Pure; the rules are those of `sql`.

The rows of the source are put in order of entity and time (see `ordering`), and a request finds the last of its entity's
that is visible. What the data do not need costs nothing: rows that come late and rows that tie are looked for, and gone
into only where there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modelwright.features.ordering import ordered, placed

SLICE = 1 << 20  # requests that are looked up together, so that what is made for them stays small

Best = Callable[[Any, Any], Any]  # (rows, group of each) -> the place of each group's newest row among them


class Newest:
    """The rows of a source, ready to be asked which was the newest known of an entity at a time.

    `code` is the entity of each row, from 0 to below `number`, and `visible` and `event` are its times; int64 all of them.
    Which of rows that became visible at once is the newest is for `best` to say, where some request depends on it.
    """

    def __init__(self, code: Any, number: int, visible: Any, event: Any, best: Best) -> None:
        self._places = placed(code, number, visible)
        self._order = self._places.order
        self._records = None if event is visible else self._recorded(code, number, event)
        self._best = best

    def rows(self, code: Any, moment: Any) -> Any:
        """The row of each request, or -1 where nothing is known then; `code` is -1 for an entity without rows."""
        if not len(self._order):
            return np.full(len(code), -1)
        found, turns, tied = np.empty(len(code), np.int64), np.empty(len(code), np.int64), []
        for begin in range(0, len(code), SLICE):
            part = slice(begin, begin + SLICE)
            place, turn = self._places.last(code[part], moment[part])
            if self._records is not None:
                place = np.where(place >= 0, self._records[place], -1)
            found[part], turns[part] = place, turn + begin
            tied.append(self._tied(place) + begin)
        self._untie(found, np.concatenate(tied or [found]))
        rows = np.empty(len(code), np.int64)
        for begin in range(0, len(code), SLICE):
            place = found[begin : begin + SLICE]
            rows[turns[begin : begin + SLICE]] = np.where(place >= 0, self._order[place], -1)
        return rows

    def timeline(self) -> Any:
        """The rows that were the newest of their entity at some moment, in order of entity and of when that was."""
        last = np.ones(len(self._order), np.bool_)  # of those that became visible at once
        last[:-1] = ~self._places.same(slice(1, None), slice(None, -1))
        found = np.flatnonzero(last)
        if self._records is not None:
            records = self._records[found]
            found = records[self._places.same(records, found)]
        self._untie(found, self._tied(found))
        return self._order[found]

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
        rank[ordered(entity, number, happened)] = np.arange(len(code))
        places = np.where(rank == np.maximum.accumulate(rank), np.arange(len(code)), 0)
        return np.maximum.accumulate(places)

    def _tied(self, place: Any) -> Any:
        """The requests whose row became visible together with another one of its entity."""
        before = place - 1
        return np.flatnonzero(self._places.same(place, np.maximum(before, 0)) & (before >= 0))

    def _untie(self, found: Any, tied: Any) -> None:
        """Where several rows became visible at once, the newest of them in place of the last."""
        if not len(tied):
            return
        places, again = np.unique(found[tied], return_inverse=True)
        first = self._places.first(places)
        lengths = places - first + 1
        group = np.repeat(np.arange(len(places)), lengths)
        inside = np.arange(len(group)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        candidates = first[group] + inside
        found[tied] = candidates[self._best(self._order[candidates], group)][again]
