"""How a server listens: where, its limits against slow and numerous clients, and what it keeps to itself."""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn

from modelwright.core.errors import Conflict, Invalid
from modelwright.server.connections import Connection
from modelwright.server.security import LOOPBACK, Guard

KEEP_ALIVE = 15  # seconds that an idle connection is kept
CONNECTIONS = 1000  # at once; further ones are told 503
BACKLOG = 2048  # connections that wait to be accepted
COLLECTS = (20_000, 20, 50)  # objects before the youngest are looked through, and how often the older ones are
TURNS = 0.0005  # seconds that a thread keeps the interpreter while others wait for it
FAREWELL = 20  # seconds that requests under way have to finish when the server stops


def check_address(host: str, *, authentication: bool) -> None:
    """Raise `Conflict` where a server would let in whoever reaches it over the network."""
    if host not in LOOPBACK and not authentication:
        raise Conflict(
            f"Listening on {host} would let anybody in: this workspace does not ask who is there.",
            mend='Set authentication = "required" under [server] in modelwright.toml, then start again.',
        )


def take(host: str, port: int) -> socket.socket:
    """The socket to listen on; port 0 takes a free one. Taken first of all, so that nothing has begun if it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is said, not left to the system: only then does asyncio switch Nagle's algorithm off on what is accepted,
    # without which every answer on a kept connection waits 40 ms for the other side's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
        return listener
    except OverflowError:
        listener.close()
        raise Invalid(f"{port} is not a port.", mend="Ports are 0 to 65535.") from None
    except OSError as error:
        listener.close()
        raise Conflict(
            f"{host}:{port} cannot be listened on: {error.strerror or error}.",
            mend="Stop the other process, or choose another port with --port (0 takes a free one).",
        ) from None


def address_of(listener: socket.socket) -> str:
    """The URL under which a socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def untroubled() -> None:
    """Have the collector of cycles leave alone what is there, and come less often; have threads take turns more often.

    A server's modules and routes are hundreds of thousands of objects that never go; to look through them again costs a
    request tenths of a second now and then, and one that answers with thousands of values a quarter of its time.

    A write passes from the loop to a thread and back. While another thread computes (a search, the operator's turn), each
    time it waits for the interpreter, which Python by itself takes from whoever has it only after five milliseconds.
    """
    sys.setswitchinterval(TURNS)
    gc.freeze()
    gc.set_threshold(*COLLECTS)
    gc.enable()


def listening(application: Guard) -> uvicorn.Config:
    """The configuration of a server of this application. No web sockets, no access log, no server header.

    On uvloop where that is installed (it is, but on Windows).
    """
    return uvicorn.Config(
        application,
        http=Connection,
        lifespan="on",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=FAREWELL,
    )
