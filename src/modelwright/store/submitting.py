"""Work that is submitted to the writer thread, and how whoever waits for it is told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

from modelwright.core.principals import Principal
from modelwright.store.commits import Group


class Ends:
    """What to call when a transaction has ended, the write lock already given back: either may open another."""

    def __init__(self) -> None:
        self.committed: list[Callable[[], None]] = []
        self.rolled_back: list[Callable[[], None]] = []

    def done(self) -> None:
        """It is on the disk."""
        for callback in self.committed:
            callback()

    def undone(self) -> None:
        """Nothing of it is kept."""
        for callback in self.rolled_back:
            callback()


class Job(NamedTuple):
    """Work that was submitted, and who waits for it: a thread, or a coroutine of the loop `told_in`."""

    work: Callable[[Any], Any]  # of the transaction
    principal: Principal
    request_id: str
    future: Future[Any] | asyncio.Future[Any]
    told_in: asyncio.AbstractEventLoop | None

    def begin(self) -> bool:
        """Whether it is still wanted."""
        if isinstance(self.future, Future):
            return self.future.set_running_or_notify_cancel()
        return not self.future.cancelled()


class Answer:
    """What came of submitted work, to be told when its commit is settled."""

    def __init__(
        self, job: Job, ends: Ends, *, result: Any = None, error: BaseException | None = None, group: Group | None = None
    ) -> None:
        self.job = job
        self._ends = ends
        self._result = result
        self._error = error
        self._group = group

    def settle(self) -> None:
        """Wait for the commit, and run the callbacks."""
        try:
            if self._group is not None:
                self._group.wait()
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            self._error = error
        try:
            if self._error is None:
                self._ends.done()
            else:
                self._ends.undone()
        except Exception as error:  # noqa: BLE001 - a callback's, told as `transaction` tells it
            self._error = error

    def tell(self) -> None:
        """Resolve the future, in the thread where that may be done."""
        future = self.job.future
        if isinstance(future, asyncio.Future) and future.done():
            return  # its coroutine was cancelled
        if self._error is None:
            future.set_result(self._result)
        else:
            future.set_exception(self._error)


def tell(answers: Iterable[Answer]) -> None:
    """Settle and tell; the coroutines of one loop are all woken at once."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        answer.settle()
        loop = answer.job.told_in
        if loop is None:
            answer.tell()
        else:
            loops.setdefault(loop, []).append(answer)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_all, theirs)


def _tell_all(answers: list[Answer]) -> None:
    for answer in answers:
        answer.tell()
