"""A plain HTTP server that is not ours, with an answer of one's choice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.waiting import LONG

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def _stranger(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _all(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer(self)

        do_GET = do_POST = do_HEAD = _all

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LONG)


@pytest.fixture
def stranger() -> Any:
    """`with stranger(answer) as url`: a server that answers every request by calling `answer(handler)`."""
    return _stranger
