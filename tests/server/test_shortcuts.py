"""Requests whose head came before on the same connection: past the layers, and yet nothing is answered otherwise."""

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

from modelwright.server.connections import MOST_HELD, SOON, Connection
from modelwright.server.listening import take
from modelwright.server.security import Guard
from modelwright.server.shortcuts import Line
from tests.waiting import LONG, eventually

OPEN, AT_WORK = threading.Event(), threading.Event()


class Echo:
    """Says which way a body came; `no` is not taken by the short one, and `back` is found to be unfit for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"long ", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def shortcut(self, scope: Any, guard: Guard) -> Short | None:
        return Short(guard) if scope["path"] == "/" else None


class Short:
    """What begins with `work` is answered by a task, when `OPEN` says so; `work 404` with that status."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def work(self, body: bytes, line: Line) -> None:
        AT_WORK.set()
        while not OPEN.is_set():
            await asyncio.sleep(0.002)
        status = int(body[5:] or 200)
        line.answer(b"content-length: %d\r\n" % len(body) + self._guard.headers(), body, status)

    def take(self, body: bytes, line: Line) -> bool:
        if body == b"no":
            return False
        if body.startswith(b"work"):
            line.work(asyncio.get_running_loop().create_task(self.work(body, line)))
            return True
        if body == b"back":
            line.detour()
            return True
        content = b"short " + body
        head = b"content-type: text/plain\r\ncontent-length: %d\r\n" % len(content)
        line.answer(head + self._guard.headers(), content)
        return True


@contextmanager
def serving(kept: int = 600) -> Iterator[tuple[Any, uvicorn.Server]]:
    """An address, and the server there, which keeps an idle connection for so many seconds."""
    guard = Guard(Echo(), hosts=frozenset({"localhost"}), max_body=1000)
    with take("127.0.0.1", 0) as listener:
        config = uvicorn.Config(guard, http=Connection, lifespan="off", log_level="critical", timeout_keep_alive=kept)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield listener.getsockname(), server
        server.should_exit = True
        thread.join(LONG)


@pytest.fixture(scope="module")
def address() -> Iterator[Any]:
    with serving() as (found, _):
        yield found


class Client:
    """A connection that is kept."""

    def __init__(self, address: Any) -> None:
        self.socket = socket.create_connection(address, timeout=LONG)
        self._held = b""

    def ask(self, body: bytes, **head: str) -> bytes:
        self.socket.sendall(request(body, **head))
        return self.answer()

    def answer(self) -> bytes:
        self.headers, content = self._until(b"\r\n\r\n").split(b"\r\n"), b""
        length = int(next(each for each in self.headers if each.startswith(b"content-length")).split(b":")[1])
        while len(self._held) < length:
            self._held += self._more()
        content, self._held = self._held[:length], self._held[length:]
        return content if b" 200 " in self.headers[0] else self.headers[0].split(b" ")[1]

    def _until(self, end: bytes) -> bytes:
        while end not in self._held:
            self._held += self._more()
        found, _, self._held = self._held.partition(end)
        return found

    def _more(self) -> bytes:
        piece = self.socket.recv(65536)
        assert piece, "the server hung up"
        return piece


def request(body: bytes, path: str = "/", host: str = "localhost", more: str = "", end: str = "\r\n") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{more}{end}"
    return head.encode() + body


@pytest.fixture(scope="module")
def hasty() -> Iterator[Any]:
    """Where connections are kept for one second."""
    with serving(kept=1) as (found, _):
        yield found


@pytest.fixture
def client(address: Any) -> Iterator[Client]:
    OPEN.set()
    made = Client(address)
    yield made
    made.socket.close()
    OPEN.set()


def held(client: Client, body: bytes = b"work") -> None:
    """Have a task at work on a body, which answers when `OPEN` is set."""
    assert client.ask(body) == b"long " + body
    OPEN.clear()
    AT_WORK.clear()
    client.socket.sendall(request(body))
    assert AT_WORK.wait(LONG)


def test_a_head_that_came_before_takes_the_shortcut_and_the_answer_has_the_same_headers(client: Client) -> None:
    found, headers = [], []
    for body in (b"a", b"b", b"c", b"dd", b"ee", b"f"):
        found.append(client.ask(body))
        headers.append([each for each in client.headers if not each.startswith((b"date", b"x-request-id", b"content-l"))])
    assert found == [b"long a", b"short b", b"short c", b"long dd", b"short ee", b"short f"]
    assert all(each == headers[0] for each in headers) and len(headers[0]) > 8


def test_every_answer_has_a_request_id_of_its_own(client: Client) -> None:
    found = set()
    for _ in range(4):
        client.ask(b"a")
        found |= {each for each in client.headers if each.startswith(b"x-request-id")}
    assert len(found) == 4


@pytest.mark.parametrize("body", [b"no", b"back"])
def test_what_the_shortcut_does_not_answer_takes_the_long_way(client: Client, body: bytes) -> None:
    other = body[::-1]
    assert [client.ask(each) for each in (other, other, body, body, other)] == [
        b"long " + other, b"short " + other, b"long " + body, b"long " + body, b"short " + other,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more",
    ["Cookie: a=b\r\n", "Expect: 100-continue\r\n", "X-Forwarded-For: 1.2.3.4\r\n", "Accept: a\r\nAccept: b\r\n"],
)
def test_a_head_that_asks_for_more_takes_the_long_way_always(client: Client, more: str) -> None:
    for _ in range(3):
        client.socket.sendall(request(b"a", more=more))
        if more.startswith("Expect"):
            assert client._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        assert client.answer() == b"long a"


def test_nobody_comes_in_by_the_shortcut_whom_the_guard_keeps_out(client: Client) -> None:
    assert [client.ask(b"a") for _ in range(2)] == [b"long a", b"short a"]
    assert [client.ask(b"a", host="elsewhere") for _ in range(3)] == [b"403"] * 3
    assert [client.ask(b"a", path="/elsewhere") for _ in range(3)] == [b"long a"] * 3
    assert client.ask(b"a") == b"short a"


def test_requests_that_come_in_pieces_are_answered_as_they_always_were(client: Client) -> None:
    for _ in range(2):
        client.ask(b"a")
    whole = request(b"bb")
    assert [client.ask(b"bb") for _ in range(2)] == [b"long bb", b"short bb"]
    for cuts in ((1,), (20,), (len(whole) - 1,), (len(whole) - 2, len(whole) - 1)):
        begin = 0
        for cut in (*cuts, len(whole)):
            client.socket.sendall(whole[begin:cut])
            begin = cut
            time.sleep(0.02)
        assert client.answer().endswith(b" bb")


def test_a_body_right_behind_its_head_is_answered_by_the_shortcut_and_one_that_tarries_in_the_long_way(
    client: Client,
) -> None:
    assert [client.ask(b"a") for _ in range(2)] == [b"long a", b"short a"]
    whole = request(b"b")

    def after(pause: float) -> bytes:
        client.socket.sendall(whole[:-1])
        time.sleep(pause)
        client.socket.sendall(whole[-1:])
        return client.answer()

    for pause, way in ((0.02, b"short b"), (SOON * 3, b"long b"), (0.02, b"short b")):
        eventually(lambda: after(pause) == way, way.decode())  # noqa: B023 - a busy machine may tarry by itself


def test_heads_whose_bodies_come_by_themselves_are_known_again_too(client: Client) -> None:
    def sent(*pieces: bytes) -> bytes:
        for piece in pieces:
            client.socket.sendall(piece)
            time.sleep(0.02)
        return client.answer()

    whole = request(b"abc")
    assert sent(whole[:-3], whole[-3:-1], whole[-1:]) == b"long abc"
    for body in (b"def", b"ghi"):
        whole = request(body)
        eventually(lambda: sent(whole[:-3], whole[-3:]) == b"short " + body)  # noqa: B023 - a busy machine may tarry


def test_requests_that_come_together_are_answered_in_their_order(client: Client) -> None:
    for _ in range(2):
        client.ask(b"a")
    client.socket.sendall(request(b"c") + request(b"d") + request(b"e"))
    assert [client.answer() for _ in range(3)] == [b"long c", b"long d", b"long e"]
    assert client.ask(b"f") == b"short f"


def test_a_body_that_is_longer_than_it_says_begins_no_second_meaning(client: Client) -> None:
    for _ in range(2):
        client.ask(b"a")
    client.socket.sendall(request(b"b") + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert [client.answer(), client.answer()] == [b"long b", b"long "]


def test_a_connection_is_kept_for_its_time_after_the_last_request_and_no_longer(hasty: Any) -> None:
    OPEN.set()

    def kept() -> bool:
        """Whether it was asked for longer than it is kept, as no machine does that pauses for a second itself."""
        client = Client(hasty)
        with client.socket, suppress(AssertionError, OSError):
            client.ask(b"a")
            began = last = time.monotonic()
            while last - began < 1.5:
                time.sleep(0.1)
                last = time.monotonic()
                assert client.ask(b"a") == b"short a"
            assert client.socket.recv(10) == b""
            return time.monotonic() - last > 0.9
        return False

    eventually(kept, "A connection that is kept")


def test_a_task_answers_when_it_is_done_with_the_status_it_found(client: Client) -> None:
    bodies = (b"work", b"work 404", b"work", b"work 503")
    assert [client.ask(body) for body in bodies] == [b"long work", b"long work 404", b"work", b"503"]
    assert client.ask(b"work 404") == b"404"


def test_what_comes_while_a_task_is_at_work_waits_for_its_answer(client: Client) -> None:
    held(client)
    client.socket.sendall(request(b"cc") + request(b"work") + request(b"d"))
    client.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.answer()
    client.socket.settimeout(LONG)
    OPEN.set()
    assert [client.answer() for _ in range(4)] == [b"work", b"long cc", b"long work", b"long d"]


def test_more_than_is_held_back_stays_with_the_sender_and_is_answered_after_all(client: Client) -> None:
    held(client)
    many = request(b"x" * 900) * (8 * MOST_HELD // 900)
    sender = threading.Thread(target=client.socket.sendall, args=(many,))
    sender.start()
    sender.join(0.2)
    OPEN.set()
    assert client.answer() == b"work"
    assert {client.answer() for _ in range(8 * MOST_HELD // 900)} == {b"long " + b"x" * 900}
    sender.join(LONG)
    assert not sender.is_alive()


def test_a_client_that_hangs_up_while_a_task_is_at_work_troubles_nobody(client: Client, address: Any) -> None:
    held(client)
    client.socket.close()
    OPEN.set()
    other = Client(address)
    assert other.ask(b"a") == b"long a"
    other.socket.close()


def test_a_connection_is_not_closed_as_idle_while_a_task_is_at_work(hasty: Any) -> None:
    def answered() -> bool:
        """False where the machine paused for a second between the requests."""
        OPEN.set()
        client = Client(hasty)
        with client.socket:
            try:
                held(client)
            except (AssertionError, OSError):
                return False
            time.sleep(1.3)  # connections are kept for one second here
            OPEN.set()
            assert client.answer() == b"work"
            return client.socket.recv(10) == b""  # it is idle now

    eventually(answered, "A task at work")


def test_a_server_that_stops_answers_what_a_task_is_at_work_on() -> None:
    OPEN.set()
    with serving() as (address, server):
        client = Client(address)
        held(client)
        server.should_exit = True
        with pytest.raises(OSError):  # it takes in nobody else
            while True:
                Client(address).socket.close()
        OPEN.set()
        assert client.answer() == b"work"
        assert client.socket.recv(10) == b""
        client.socket.close()
