"""Waiting for a thing itself, however long a busy machine takes; and a port that is nobody else's meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG = 120.0  # seconds, which no machine takes for what tests wait for


def eventually(holds: Callable[[], object], what: str = "It", within: float = LONG, pause: float = 0.01) -> None:
    """Wait until something holds, asked every `pause` seconds; AssertionError if it does not `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come true in {within:g} seconds."
        time.sleep(pause)


@contextmanager
def kept_port() -> Iterator[int]:
    """A port of the loopback address at which nobody listens, and which the system gives to nobody while the block runs.

    A server that asks for it by its number, as one does that may be started again at once, can have it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
