"""One connection: uvicorn's, with limits on a request's head, which its parser has none of.

The parser is httptools (the one of Node.js): several times faster than one in Python, and as strict about what two parties
could read differently. It keeps a head of any size in memory and waits for its end for ever; here it may be `HEADERS` bytes
long and has to be whole within `LATE` seconds. A head that came before on the same connection is not parsed again where
there is a shortcut.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from modelwright.server.joining import JoinedTransport
from modelwright.server.shortcuts import HEAD_END, MOST_HEADS, Offering, Shortcut, fit

HEADERS = 32 * 2**10  # bytes of a request's head
LATE = 30.0  # seconds from a connection, or from the first byte of a further request on it, to the end of the head
SOON = 0.1  # seconds that a body may take after its head to be answered by a shortcut
MOST_BODY = 256 * 2**10  # bytes of a body that are taken in before the last were looked at: as many as one read brings
MOST_LEARNED = 256 * 2**10  # bytes of a request from whose head something is learned, though it comes in pieces
MOST_HELD = 64 * 2**10  # bytes of further requests that are taken in before the one at work is answered
_REFUSED = "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection and the requests on it, one after another."""

    late = LATE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heading = True  # a head is awaited, or has begun and is not whole
        self._length = 0  # bytes since it was first awaited
        self._timer: asyncio.TimerHandle | None = None
        self._offering: Offering | None = self.config.app if hasattr(self.config.app, "shortcut") else None  # type: ignore[assignment]
        self._shortcuts: dict[bytes, tuple[int, Shortcut | None]] = {}  # by head, with the length of the body
        self._begun: tuple[bytes, asyncio.TimerHandle] | None = None  # a request of which there is the head
        self._unlearned: tuple[bytes, Any] | None = None  # one on the long way, to be learned from; and the cycle before it
        self._short: bytes | None = None  # the request that is on its way by a shortcut
        self._at_work = False  # that one is being worked on, and has to be answered before anything else
        self._held = b""  # what came meanwhile
        self._leaving = False  # the server stops, and waits for that answer alone
        self._last = 0.0  # when one came last, on the loop's clock
        self._default: tuple[Any, bytes] = None, b""  # the headers of every answer, and how they are sent

    def connection_made(self, transport: Any) -> None:
        super().connection_made(JoinedTransport(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._at_work:
            self._held += data
            if len(self._held) > MOST_HELD:
                self.flow.pause_reading()
            return
        if self._unlearned is not None:
            (first, before), self._unlearned = self._unlearned, None
            self._receive(data)
            self._learn(first + data, before)
            return
        begun = self._begun
        if begun is not None:
            data = self._let_go() + data
        if self._short is not None:
            self.detour()  # more came before the answer: they keep their order the long way
        if self._offering is None or not data.startswith(b"POST ") or not self._between():
            self._receive(data)
        elif begun is None and self._begins(data):
            self._begun = data, self.loop.call_later(SOON, self._give_up)
        elif not self._took(data):
            before = self.cycle
            self._receive(data)
            self._learn(data, before)

    def _receive(self, data: bytes) -> None:
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
        if self._heading or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > MOST_BODY:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._heading:
            super().on_message_complete()

    def shutdown(self) -> None:
        if self._at_work:
            self._leaving = True
            return
        self._give_up()
        self.detour()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        left = self.timeout_keep_alive if self._at_work else self._last + self.timeout_keep_alive - self.loop.time()
        if self._last and left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def answer(self, head: bytes, content: bytes, status: int = 200) -> None:
        """See `shortcuts.Line`."""
        short, self._short = self._short, None
        if short is not None and not self.transport.is_closing():  # else it went the long way meanwhile
            self.server_state.total_requests += 1
            self.transport.write(b"".join((STATUS_LINE[status], self._dated(), head, b"\r\n", content)))
        if self._at_work:
            self._go_on()

    def work(self, task: asyncio.Task[None]) -> None:
        """See `shortcuts.Line`."""
        self._at_work = True
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def detour(self) -> None:
        """See `shortcuts.Line`."""
        data, self._short = self._short, None
        if data is not None and not self.transport.is_closing():
            self._receive(data)

    def _between(self) -> bool:
        """Whether what comes begins a request, and nothing speaks against answering it at once."""
        cycle: Any = self.cycle
        if cycle is None:
            return not self._length
        return (
            cycle.response_complete
            and not cycle.more_body
            and not self._heading
            and self._timer is None
            and self.timeout_keep_alive_task is not None  # the connection is kept
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def _begins(self, data: bytes) -> bool:
        """Whether a request came without its body, which many clients send right behind."""
        length, shortcut = self._shortcuts.get(data, (0, None))
        return shortcut is not None and length > 0

    def _go_on(self) -> None:
        """Take in what came while a task was at work."""
        self._at_work, self._last = False, self.loop.time()
        data, self._held = self._held, b""
        if self._leaving:
            self.shutdown()
        elif data and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(data)

    def _let_go(self) -> bytes:
        """What was held of a request."""
        if self._begun is None:
            return b""
        (data, timer), self._begun = self._begun, None
        timer.cancel()
        return data

    def _give_up(self) -> None:
        """The body takes its time: so it takes the long way, where that is measured."""
        if data := self._let_go():
            self._receive(data)

    def _took(self, data: bytes) -> bool:
        """Whether a request took a shortcut."""
        end = data.find(HEAD_END) + len(HEAD_END)
        length, shortcut = self._shortcuts.get(data[:end], (0, None))
        if shortcut is None or len(data) != end + length:
            return False
        self._short, self._last = data, self.loop.time()
        if shortcut.take(data[end:], self):
            return True
        self._short = None
        return False

    def _learn(self, data: bytes, before: Any) -> None:
        """Remember the head of the one request that came, if there is a shortcut for those that begin with it.

        Where its body is still to come, which most clients send by itself, that is waited for.
        """
        end = data.find(HEAD_END) + len(HEAD_END)
        head, cycle, scope = data[:end], self.cycle, dict[str, Any](self.scope)
        if cycle is None or cycle is before or self._heading or self.pipeline or head in self._shortcuts:
            return
        if self._offering is None or not fit(head, scope):
            return
        length = int(dict(scope["headers"])[b"content-length"])
        if cycle.more_body and len(data) < end + length <= MOST_LEARNED:
            self._unlearned = data, before
        elif not cycle.more_body and len(data) == end + length:
            if len(self._shortcuts) >= MOST_HEADS:
                self._shortcuts.clear()
            self._shortcuts[head] = length, self._offering.shortcut(scope)

    def _dated(self) -> bytes:
        """The headers that every answer has."""
        headers = self.server_state.default_headers  # another list every second
        if self._default[0] is not headers:
            self._default = headers, b"".join([b"%b: %b\r\n" % each for each in headers])
        return self._default[1]

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
