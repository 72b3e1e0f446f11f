"""How a server listens: its limits against slow and numerous clients, and what it keeps to itself."""

from __future__ import annotations

import uvicorn

from modelwright.server.security import Guard

KEEP_ALIVE = 15  # seconds that an idle connection is kept
CONNECTIONS = 1000  # at once; further ones are told 503
HEADERS = 32 * 2**10  # bytes of a request's head
FAREWELL = 20  # seconds that requests under way have to finish when the server stops


def listening(application: Guard, *, host: str, port: int) -> uvicorn.Config:
    """The configuration of a server of this application; port 0 takes a free one. No web sockets, no server header."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        lifespan="on",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEADERS,
        timeout_graceful_shutdown=FAREWELL,
    )
