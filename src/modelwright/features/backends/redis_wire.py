"""What a read of Redis says and hears on the wire: redis-py opens its connections, and its layers are gone past.

A read is six commands in one transaction, written in one piece and answered in one; redis-py takes ten times as long to put
them together and to hand the answers on as the answers take to come.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import Any, Final

PIECE: Final = 1 << 16
MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
AWAKE: Final = 0.000_15  # seconds that a thread looks for its answer before it sleeps: to wake up takes it a third of that
TIRED: Final = 64  # reads that sleep at once after one whose answer took longer


def command(name: bytes, *arguments: str) -> bytes:
    """A command as Redis reads it (RESP)."""
    return b"*%d\r\n$%d\r\n%b\r\n" % (len(arguments) + 1, len(name), name) + texts(arguments)


def begun(name: bytes, first: str, further: int) -> bytes:
    """The beginning of one with an argument and so many further ones, to be followed by their `texts`."""
    return b"*%d\r\n$%d\r\n%b\r\n" % (further + 2, len(name), name) + texts([first])


def texts(arguments: Sequence[str]) -> bytes:
    """Arguments of a command; it says beforehand how many there are."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(each), each) for each in map(str.encode, arguments)])


class Wire:
    """Connections of a client's, each used by one thread at a time, with the parser in C that comes with the extra."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._idle: list[tuple[Any, Any, Any]] = []  # connection, socket, parser
        self._process = os.getpid()
        self._looking = False  # a thread stays awake
        self._tired = 0 if (os.cpu_count() or 1) > 1 else -1  # reads that go to sleep at once; with one processor, all

    def transaction(self, commands: Sequence[bytes]) -> list[Any] | None:
        """The answers of some commands that Redis runs as one; None where anything is amiss: then ask the client itself."""
        import redis

        try:
            import hiredis
        except ImportError:
            return None
        if self._process != os.getpid():
            self._idle, self._process, self._looking = [], os.getpid(), False
        try:
            connection, socket, parser = self._idle.pop()
        except IndexError:
            connection = self._client.connection_pool.get_connection()
            socket, parser = getattr(connection, "_sock", None), hiredis.Reader()
        left, last = len(commands) + 2, None
        try:
            socket.sendall(b"".join((MULTI, *commands, EXEC)))
            while left:
                self._await(socket)
                piece = socket.recv(PIECE)
                if not piece:
                    raise ConnectionError("the server hung up")
                parser.feed(piece)
                while left and (reply := parser.gets()) is not False:
                    if type(reply) is not hiredis.PushNotification:  # none of what was asked for
                        left, last = left - 1, reply
        except (OSError, AttributeError, redis.RedisError, hiredis.HiredisError):
            connection.disconnect()
            self._client.connection_pool.release(connection)
            return None
        self._idle.append((connection, socket, parser))
        if type(last) is not list or any(isinstance(each, Exception) for each in last):
            return None
        return last

    def _await(self, socket: Any) -> None:
        """Look for the answer for as long as it may take a Redis close by, instead of falling asleep at once.

        One thread at a time does: where several read, there is other work for the processors. A Redis that takes longer is
        not waited for in this way for a while.
        """
        if self._tired or self._looking:
            self._tired -= self._tired > 0
            return
        self._looking = True
        try:
            readable = select.poll()
            readable.register(socket, select.POLLIN)
            until = time.perf_counter() + AWAKE
            while time.perf_counter() < until:
                if readable.poll(0):
                    return
            self._tired = TIRED
        finally:
            self._looking = False
