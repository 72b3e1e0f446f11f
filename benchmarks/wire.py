"""The client of the benchmarks: raw HTTP on kept connections, the same bytes to every server.

It does as little as an honest client can, so that what is timed is the server: requests are prepared beforehand, Nagle's
algorithm is off, an answer is read to its last byte and its status checked. Several clients are several processes; they
are started once, and told by pipe what to send and how often. Only the standard library is imported, so they start fast.
Where the answers come so quickly that such clients would take the server's cores from it, one process has all connections.
"""

from __future__ import annotations

import json
import multiprocessing
import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple

HEAD_END = b"\r\n\r\n"
PATIENCE = 600.0  # seconds
PIECE = 1 << 18
ATTEMPTS = 3  # of one of many connections at a request


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


def request(method: str, path: str, body: Any = None, headers: Sequence[str] = ()) -> bytes:
    """The bytes of a request; a body that is not bytes goes as JSON."""
    if body is None:
        content = b""
    else:
        content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", *headers]
    if body is not None or method != "GET":
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + HEAD_END + content


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    size: int  # of the body, kept or not

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body or b"{}")


class Connection:
    """One kept connection. A server that closes it is asked anew; what it did not answer is sent again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._held = bytearray()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._held = None, bytearray()

    def ask(self, sent: bytes) -> Answer:
        """Send a request and read its answer; an answer that is not 2xx is an error."""
        return self._answered(lambda opened: opened.sendall(sent), f"{sent[:120]!r}")

    def send_file(self, path: str, pieces: Callable[[], Any], size: int) -> None:
        """PUT a body that is made piece by piece."""
        head = [f"PUT {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/octet-stream"]

        def send(opened: socket.socket) -> None:
            opened.sendall("\r\n".join([*head, f"Content-Length: {size}"]).encode() + HEAD_END)
            for piece in pieces():
                opened.sendall(piece)

        self._answered(send, f"PUT {path}")

    def drain(self, sent: bytes) -> int:
        """Send a request and read its answer without keeping it; how many bytes it had."""
        return self._answered(lambda opened: opened.sendall(sent), f"{sent[:120]!r}", keep=False).size

    def _answered(self, send: Callable[[socket.socket], None], what: str, *, keep: bool = True) -> Answer:
        """Send, and read the answer; once more where a server had hung up on a connection that lay idle."""
        for attempt in (0, 1):
            fresh = self._socket is None
            try:
                send(self._open())
                answer = self._read(keep=keep)
                break
            except (ConnectionError, EOFError):
                self.close()
                if fresh or attempt:
                    raise
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{what} was answered with {answer.status}: {answer.body[:500]!r}")
        return answer

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _more(self, size: int = PIECE) -> bytes:
        assert self._socket is not None
        piece = self._socket.recv(size)
        if not piece:
            raise EOFError("the server hung up")
        return piece

    def _read(self, *, keep: bool = True) -> Answer:
        held = self._held
        while (end := held.find(HEAD_END)) < 0:
            held += self._more()
        head = bytes(held[:end]).lower().split(b"\r\n")
        del held[: end + len(HEAD_END)]
        status = int(head[0].split(b" ", 2)[1])
        fields = dict(line.split(b":", 1) for line in head[1:])
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            body, count = self._chunks(keep=keep)
        else:
            count = int(fields.get(b"content-length", b"0"))
            body = self._exactly(count, keep=keep)
        if b"close" in fields.get(b"connection", b""):
            self.close()
        return Answer(status, body, count)

    def _exactly(self, count: int, *, keep: bool) -> bytes:
        held = self._held
        if keep:
            while len(held) < count:
                held += self._more()
            body = bytes(held[:count])
            del held[:count]
            return body
        count -= len(held)
        held.clear()
        while count > 0:
            count -= len(self._more(min(PIECE, count)))
        return b""

    def _chunks(self, *, keep: bool) -> tuple[bytes, int]:
        held, count = self._held, 0
        parts: list[bytes] = []
        while True:
            while (end := held.find(b"\r\n")) < 0:
                held += self._more()
            size = int(bytes(held[:end]).split(b";")[0], 16)
            del held[: end + 2]
            part = self._exactly(size + 2, keep=True)
            count += size
            if size == 0:
                return b"".join(parts), count
            if keep:
                parts.append(part[:-2])


class Told(NamedTuple):
    """What some clients measured: from the first request sent to the last answer read, and each call by itself."""

    seconds: float
    each: list[float]


def timed(connection: Connection, requests: Sequence[bytes]) -> Told:
    """Send requests one after the other, each when the one before it has been answered."""
    each, ask = [], connection.ask
    began = last = perf_counter()
    for sent in requests:
        ask(sent)
        now = perf_counter()
        each.append(now - last)
        last = now
    return Told(last - began, each)


class Crowd:
    """So many clients, each a process with a connection of its own to every server."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_client, args=(theirs,), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send(None)
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()

    def send(self, address: Address, requests: Sequence[Sequence[bytes]]) -> Told:
        """Each client its own requests, all at once; they begin together when all have theirs in hand."""
        pipes = self._pipes[: len(requests)]
        for pipe, mine in zip(pipes, requests, strict=True):
            pipe.send((address, mine))
        for pipe in pipes:
            pipe.recv()  # ready
        for pipe in pipes:
            pipe.send("go")
        began, each, ended = float("inf"), [], 0.0
        for pipe in pipes:
            found = pipe.recv()
            if isinstance(found, str):
                raise RuntimeError(found)
            began, ended = min(began, found[0]), max(ended, found[1])
            each += found[2]
        return Told(ended - began, each)


def _client(pipe: Any) -> None:
    """What a client's process does until it is told to stop."""
    connections: dict[Address, Connection] = {}
    while (told := pipe.recv()) is not None:
        address, requests = told
        connection = connections.setdefault(address, Connection(address))
        pipe.send("ready")
        pipe.recv()
        try:
            began = perf_counter()  # of the system's monotonic clock: alike in all processes
            found = timed(connection, requests)
            pipe.send((began, perf_counter(), found.each))
        except Exception as error:
            connection.close()
            pipe.send(f"{type(error).__name__}: {error}")


def together(address: Address, requests: Sequence[Sequence[bytes]]) -> Told:
    """So many connections of this process, each with its own requests, one after the other as each is answered.

    A fiftieth of what as many processes take: an answer is looked at for its status and its length, and no further.
    """
    told: list[float] = []
    with selectors.DefaultSelector() as waiting:
        lines = [_Line(address, mine, waiting, told) for mine in requests]
        began = perf_counter()
        for line in lines:
            line.send()
        while not all(line.over for line in lines):
            for key, _ in waiting.select(PATIENCE):
                key.data.hear()
        return Told(perf_counter() - began, told)


class _Line:
    """One of many connections, and what is still to be sent on it. What a server leaves unanswered is sent anew."""

    def __init__(
        self, address: Address, requests: Sequence[bytes], waiting: selectors.BaseSelector, told: list[float]
    ) -> None:
        self._address = address
        self._requests = iter(requests)
        self._waiting = waiting
        self._told = told
        self._request = next(self._requests, None)
        self._attempts = 0  # at this request
        self._open()

    @property
    def over(self) -> bool:
        """Whether all of it was answered."""
        return self._request is None

    def send(self) -> None:
        """Send the next request; without one, hang up."""
        self._held, self._whole, self._sent = b"", 0, perf_counter()
        if self._request is None:
            self._close()
        else:
            self._socket.sendall(self._request)

    def hear(self) -> None:
        """Read what came; where the answer is whole, note how long it took and send the next request."""
        try:
            piece = self._socket.recv(PIECE)
        except ConnectionError:
            piece = b""
        if not piece:
            if self._attempts == ATTEMPTS:
                raise EOFError("the server hung up")
            self._close()
            self._open()
            self.send()
            return
        held = self._held = self._held + piece if self._held else piece
        if not self._whole:
            end = held.find(HEAD_END)
            if end < 0:
                return
            head = held[:end].lower()
            if not head.startswith(b"http/1.1 2") or b"content-length:" not in head:
                raise RuntimeError(f"answered with {held[:500]!r}")
            self._whole = end + len(HEAD_END) + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(held) >= self._whole:
            self._told.append(perf_counter() - self._sent)
            self._request, self._attempts = next(self._requests, None), 0
            self.send()

    def _open(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting.register(self._socket, selectors.EVENT_READ, self)
        self._attempts += 1

    def _close(self) -> None:
        self._waiting.unregister(self._socket)
        self._socket.close()
