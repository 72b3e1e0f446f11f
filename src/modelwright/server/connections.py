"""One connection: uvicorn's, with limits on a request's head, which its parser has none of.

The parser is httptools (the one of Node.js): several times faster than one in Python, and as strict about what two parties
could read differently. It keeps a head of any size in memory and waits for its end for ever; here it may be `HEADERS` bytes
long and has to be whole within `LATE` seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelwright.server.joining import JoinedTransport

HEADERS = 32 * 2**10  # bytes of a request's head
LATE = 30.0  # seconds from a connection, or from the first byte of a further request on it, to the end of the head
_REFUSED = "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection and the requests on it, one after another."""

    late = LATE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heading = True  # a head is awaited, or has begun and is not whole
        self._length = 0  # bytes since it was first awaited
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedTransport(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._length += len(data)
        super().data_received(data)
        if self._heading:
            if self._length > HEADERS:
                self._refuse("431 Request Header Fields Too Large")
            elif self._timer is None:
                self._wait()
        elif self.cycle is not None and self.cycle.response_complete and self.timeout_keep_alive_task is None:
            self._wait()  # something came, and it began no request
        else:
            self._length = 0
            if self._timer is not None:
                self._rest()

    def on_message_begin(self) -> None:
        self._heading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._length > HEADERS and len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > HEADERS:
            self._refuse("431 Request Header Fields Too Large")
            return
        self._heading = False
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.transport.is_closing():
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        if not self._heading:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._heading:
            super().on_message_complete()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.late, self._refuse, "408 Request Timeout")

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: str) -> None:
        """Say why, and close: what else comes on this connection cannot be told apart."""
        if not self.transport.is_closing():
            self.transport.write(_REFUSED.format(status=status).encode())
            self.transport.close()
