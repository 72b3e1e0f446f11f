"""A real HTTP server over a workspace, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from modelwright.core.errors import Unavailable
from modelwright.workspace import Workspace


@contextmanager
def serving(workspace: Workspace) -> Iterator[str]:
    """Serve a workspace on a free port of the loopback address while the block runs; yields the address."""
    import uvicorn

    from modelwright.server.app import create_app
    from modelwright.server.listening import listening

    server = uvicorn.Server(listening(create_app(workspace), host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, name="modelwright-server", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise Unavailable("The server did not start; its log says why.")
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
