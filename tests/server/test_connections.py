"""What a connection may be kept busy with: heads of requests have an end, in length and in time."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from modelwright.server.connections import HEADERS, Connection
from modelwright.server.joining import JoinedTransport
from modelwright.server.listening import take
from modelwright.server.security import Guard
from tests.waiting import LONG, eventually


class Hasty(Connection):
    late = 0.3


class Patient(Connection):
    late = 600.0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(by: type[Connection]) -> Iterator[Any]:
    guard = Guard(echo, hosts=frozenset({"localhost"}), max_body=2**20)
    with take("127.0.0.1", 0) as listener:
        server = uvicorn.Server(
            uvicorn.Config(guard, http=by, lifespan="off", log_level="critical", timeout_keep_alive=600)
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield listener.getsockname()
        server.should_exit = True
        thread.join(LONG)


@pytest.fixture(scope="module")
def address() -> Iterator[Any]:
    with served(Patient) as found:
        yield found


@pytest.fixture(scope="module")
def hasty() -> Iterator[Any]:
    with served(Hasty) as found:
        yield found


@contextmanager
def connected(address: Any) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=LONG) as made:
        yield made


def status(connection: socket.socket) -> bytes:
    """The status line of what comes next; empty if the connection is closed instead."""
    return connection.recv(65536).split(b"\r\n")[0]


def test_a_head_that_never_ends_is_cut_off(hasty: Any) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert status(connection).startswith(b"HTTP/1.1 408")
        assert connection.recv(10) == b""


def test_a_head_that_dribbles_is_cut_off_though_something_always_comes(hasty: Any) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nx-slow: ")
        for _ in range(20):
            try:
                connection.sendall(b"a")
            except OSError:
                break
            time.sleep(0.05)
        assert b"408" in status(connection)


def test_a_connection_that_says_nothing_is_closed(hasty: Any) -> None:
    with connected(hasty) as connection:
        assert b"408" in status(connection)


def test_a_second_request_has_to_end_as_well(hasty: Any) -> None:
    def ended() -> bool:
        with connected(hasty) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if b"200" not in status(connection):
                return False  # a busy machine was late with the first one already
            connection.sendall(b"\r\n")  # no request yet, and the keep-alive clock is stopped by it
            return b"408" in status(connection)

    eventually(ended, "An end of the second request")


@pytest.mark.parametrize("piece", [HEADERS + 1000, 1000], ids=["at once", "piece by piece"])
@pytest.mark.parametrize("where", [b"GET / HTTP/1.1\r\nHost: localhost\r\nx: ", b"GET /"], ids=["header", "target"])
def test_a_head_that_is_too_long_is_refused(address: Any, piece: int, where: bytes) -> None:
    with connected(address) as connection, suppress(ConnectionError):  # what is refused may be reset
        connection.sendall(where)
        for _ in range(HEADERS // piece + 2):
            connection.sendall(b"a" * piece)
        connection.sendall(b" HTTP/1.1\r\nHost: localhost\r\n\r\n" if where == b"GET /" else b"\r\n\r\n")
        assert status(connection)[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")


def test_a_long_body_behind_a_short_head_is_no_long_head(address: Any) -> None:
    body = b"b" * (4 * HEADERS)
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert b"200" in status(connection)


def test_requests_on_one_connection_are_answered_in_their_order(address: Any) -> None:
    one = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    with connected(address) as connection:
        connection.sendall(b"".join(one + b"%03d" % n for n in range(20)))
        got = b""
        while got.count(b"HTTP/1.1 200") < 20 or not got.endswith(b"019"):
            got += connection.recv(65536)
        assert [part[-3:] for part in got.split(b"HTTP/1.1 200")[1:]] == [b"%03d" % n for n in range(20)]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire(asyncio.Transport):
    """What was sent, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.sent.append(b"closed")


@pytest.mark.parametrize("body", [b"{}", b"x" * 100_000])
def test_the_head_of_an_answer_is_sent_with_its_body_where_that_is_not_large(body: bytes) -> None:
    async def main() -> list[bytes]:
        wire = Wire()
        joined = JoinedTransport(wire, asyncio.get_running_loop())
        joined.write(HEAD)
        joined.write(body)
        await asyncio.sleep(0)
        return wire.sent

    assert asyncio.run(main()) == ([HEAD + body] if len(body) < 1000 else [HEAD, body])


def test_a_head_does_not_wait_for_a_body_that_comes_later_or_never() -> None:
    async def main() -> list[bytes]:
        wire = Wire()
        joined = JoinedTransport(wire, asyncio.get_running_loop())
        joined.write(HEAD)
        await asyncio.sleep(0)
        joined.write(b"{}")
        joined.write(HEAD)
        joined.close()
        return wire.sent

    assert asyncio.run(main()) == [HEAD, b"{}", HEAD, b"closed"]


def test_a_body_that_dribbles_in_is_put_together(address: Any) -> None:
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        for letter in b"hello":
            time.sleep(0.02)
            connection.sendall(bytes([letter]))
        assert connection.recv(65536).endswith(b"hello")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length : 3\r\n",
        b"x y: z\r\n",
    ],
)
def test_what_two_parties_could_read_differently_is_refused(address: Any, head: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        )
        assert status(connection).startswith(b"HTTP/1.1 400")
