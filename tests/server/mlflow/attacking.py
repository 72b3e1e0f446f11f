"""The application itself, called without a connection, and what an answer to an attacker may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from modelwright.server.mlflow.application import mlflow_app
from modelwright.server.requests import Doorkeeper
from modelwright.workspace import Workspace

CODES = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
}
WRONG_TYPES: list[Any] = [None, 0, -1, 1.5, 10**40, True, "", [], [[]], {}, {"a": {"b": {}}}, [None], [1], ["x"] * 1000]
NESTED = '{"name": ' + "[" * 20_000 + "]" * 20_000 + "}"


class Answer(NamedTuple):
    """A status and what was said."""

    status: int
    told: Any


class Target:
    """The application itself, called without a connection: there are some thousand requests to make."""

    def __init__(self, here: Workspace) -> None:
        self.here = here
        self.known: dict[str, str] = {}  # what stands for an id in a request, and the id
        assert here.home is not None
        self.app = mlflow_app(here, Doorkeeper(here.home, required=False))

    def send(self, requests: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[Answer]:
        """The answers to requests, eight of them at a time."""
        return asyncio.run(self._send([(method, path, _body(method, fields)) for method, path, fields in requests]))

    def one(self, method: str, path: str, fields: Mapping[str, Any]) -> Answer:
        return self.send([(method, path, fields)])[0]

    def raw(self, requests: Sequence[tuple[str, str, bytes]]) -> list[Answer]:
        return asyncio.run(self._send([(method, path, (b"", body)) for method, path, body in requests]))

    async def _send(self, requests: Sequence[tuple[str, str, tuple[bytes, bytes]]]) -> list[Answer]:
        some = asyncio.Semaphore(8)

        async def one(method: str, path: str, query: bytes, body: bytes) -> Answer:
            for word, identity in self.known.items():
                path = path.replace(word, identity)
                query, body = (each.replace(word.encode(), identity.encode()) for each in (query, body))
            async with some:
                return await self._call(method, path if path.startswith("/") else f"/api/{path}", query, body)

        return await asyncio.gather(*(one(method, path, *content) for method, path, content in requests))

    async def _call(self, method: str, path: str, query: bytes, body: bytes) -> Answer:
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")], "client": ("127.0.0.1", 1),
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        content = b"".join(each.get("body", b"") for each in sent[1:])
        return Answer(sent[0]["status"], json.loads(content) if content[:1] == b"{" else content)


def _body(method: str, fields: Mapping[str, Any]) -> tuple[bytes, bytes]:
    if method == "GET":
        pairs = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
        return urlencode(pairs, errors="surrogatepass").encode(), b""
    return b"", json.dumps(fields).encode()


def check(answer: Answer, what: Any) -> None:
    """A good answer, or one of the refusals that MLflow's client knows."""
    assert answer.status < 500, (what, answer)
    if answer.status != 200:
        assert CODES.get(answer.told["error_code"]) == answer.status, (what, answer)
        assert len(answer.told["message"]) < 5000, what
