"""Reads that come in the same turn of the loop are read together: one trip to the store for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from modelwright.core.wire import encode
from modelwright.features.reading import OnlineReader
from modelwright.server.security import Guard
from modelwright.server.shortcuts import Line

MOST: Final = 200  # keys in one trip
JSON: Final = b"content-type: application/json\r\ncontent-length: %d\r\n"


class Answers:
    """A reader, and what is the same in all its answers."""

    def __init__(self, reader: OnlineReader) -> None:
        self.reader = reader
        names, views = encode(reader.names), encode(reader.views)
        self._begin, self._end = b'{"names":' + names + b',"rows":', b',"views":' + views + b"}"

    def of(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """The body of an answer."""
        return b"".join((self._begin, encode(rows), self._end))


class Read(NamedTuple):
    """What is asked, and where the answer goes."""

    answers: Answers
    keys: Sequence[Mapping[str, Any]]
    line: Line


class Gathering:
    """The reads of one turn of the event loop; used from there only."""

    def __init__(self) -> None:
        self._waiting: list[Read] = []

    def add(self, read: Read, guard: Guard) -> None:
        """Answer it when this turn is over."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer, guard)
        self._waiting.append(read)

    def _answer(self, guard: Guard) -> None:
        waiting, self._waiting = self._waiting, []
        together: dict[int, list[Read]] = {}
        for each in waiting:
            together.setdefault(id(each.answers), []).append(each)
        for reads in together.values():
            held: list[Read] = []
            for each in reads:
                if held and sum(len(other.keys) for other in held) + len(each.keys) > MOST:
                    _answered(held, guard)
                    held = []
                held.append(each)
            _answered(held, guard)


def _answered(reads: Sequence[Read], guard: Guard) -> None:
    """Read for some who want the same of different keys. Where that fails for one of them, each goes its own way."""
    answers, keys = reads[0].answers, [key for each in reads for key in each.keys]
    try:
        rows = answers.reader.values(keys)
    except Exception:  # noqa: BLE001 - which of them it is, and what it is to be told, is found on the long way
        for each in reads:
            each.line.detour()
        return
    begin = 0
    for each in reads:
        content = answers.of(rows[begin : begin + len(each.keys)])
        begin += len(each.keys)
        each.line.answer(JSON % len(content) + guard.headers(), content)
