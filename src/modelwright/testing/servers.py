"""A real HTTP server over a workspace, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from modelwright.core.errors import Unavailable
from modelwright.workspace import Workspace


@contextmanager
def serving(workspace: Workspace, *, port: int = 0) -> Iterator[str]:
    """Serve a workspace on the loopback address while the block runs, by default on a free port; yields the address."""
    from modelwright.server.app import create_app
    from modelwright.server.listening import address_of, listening, take
    from modelwright.testing.prompt import PromptServer

    with take("127.0.0.1", port) as listener:
        server = PromptServer(listening(create_app(workspace)))
        thread = threading.Thread(target=server.run, args=([listener],), name="modelwright-server", daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise Unavailable("The server did not start; its log says why.")
            time.sleep(0.005)
        try:
            yield address_of(listener)
        finally:
            server.stop()
            thread.join(60)
