"""The head of an answer and its body leave in one write: two would be two packets, and wake whoever waits twice."""

from __future__ import annotations

import asyncio
from typing import Any

_LARGE = 64 * 1024  # bytes: a body that is copied behind its head only below this


class JoinedTransport:
    """A connection's transport that keeps the head of an answer for the body that follows in the same turn of the loop.

    A head that no body follows at once is sent at the end of the turn, so that a stream begins without waiting for its
    first piece. Everything else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, behind what was kept back."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) < _LARGE:
                self._transport.write(head + data)
                return
            self._transport.write(head)
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what was kept back, and hang up."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
