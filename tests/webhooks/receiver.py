"""A real receiver of webhooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import LONG


class Receiver:
    """Answers what it is told to, in order (then 200), and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.arrived:
                    status, headers, answer = receiver.answers.pop(0) if receiver.answers else (200, {}, b"taken")
                    receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    receiver.arrived.notify_all()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Keeps quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"localhost:{self.server.server_address[1]}"
        self.url = f"http://{self.host}/hook"

    def wait(self, count: int, timeout: float = LONG) -> list[tuple[str, dict[str, str], bytes]]:
        """What arrived, once there is so much of it."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= count, timeout), f"{len(self.got)} of {count} arrived"
            return list(self.got)

    def clear(self) -> None:
        """Forget everything."""
        with self.arrived:
            self.got.clear()
            self.answers.clear()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens while the block runs."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
