"""Requests that go past parser and layers, since what there is to know of them was found out a moment ago.

A client of a hot path sends the same head over and over: the parser has taken these very bytes on this connection, the
guard has let them in, and all that differs is the body. Whoever offers a shortcut answers from the body alone, or says that
it cannot, and then the request takes the long way like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final, Protocol

HEAD_END: Final = b"\r\n\r\n"
MOST_HEADS: Final = 64  # that a connection remembers: they differ by the length of what follows
# A head with any other header takes the long way. The values of these are looked at there too, once.
PLAIN: Final = frozenset(
    {
        b"host",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"user-agent",
        b"x-mlflow-client-version",
    }
)


class Line(Protocol):
    """A connection with a request on it that took the shortcut: it is answered or takes a detour, once."""

    def answer(self, head: bytes, content: bytes, status: int = 200) -> None:
        """Send an answer: its own headers as they are sent, each with its line's end, and its content."""
        ...

    def detour(self) -> None:
        """Have the request take the long way after all."""
        ...

    def work(self, task: asyncio.Task[None]) -> None:
        """Say that a task is at work on it, which will answer whatever comes: there is no detour from here on.

        What else comes on the connection waits for the answer, and a server that stops waits for the task.
        """
        ...


class Shortcut(Protocol):
    """What was found out of a head."""

    def take(self, body: bytes, line: Line) -> bool:
        """Answer: now, at the end of this turn of the loop, or by a task; False (and nothing happens) if it cannot."""
        ...


class Offering(Protocol):
    """An application that has shortcuts."""

    def shortcut(self, scope: MutableMapping[str, Any]) -> Shortcut | None:
        """The one for requests with the head of a request that was just answered, if there is any."""
        ...


def fit(head: bytes, scope: MutableMapping[str, Any]) -> bool:
    """Whether a head that the parser took may be known again by its bytes, up to the empty line: it has one meaning.

    Every line ends as it should, the body has a length, and nothing in it asks for anything that only the long way does.
    """
    names = [name for name, _ in scope["headers"]]
    return (
        scope["http_version"] == "1.1"
        and scope["method"] == "POST"
        and head.count(b"\n") == head.count(b"\r\n") == len(names) + 2
        and head.count(b"\r") == head.count(b"\n")
        and len(set(names)) == len(names)
        and PLAIN.issuperset(names)
        and b"content-length" in names
        and dict(scope["headers"]).get(b"connection", b"keep-alive").lower() == b"keep-alive"
    )
