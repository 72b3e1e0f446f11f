"""Which endpoint answers: one look into a table for a plain path, a short walk for one with parts to fill in.

Every endpoint says what it needs, like every other route of the server; `check_routes` sees them all. MLflow's classic
paths exist twice, below `/api` and, for its browser pages, below `/ajax-api`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from modelwright.core.errors import ModelwrightError, Unauthenticated
from modelwright.core.principals import Principal
from modelwright.server.mlflow.errors import NO_ENDPOINT, MlflowError, invalid, told
from modelwright.server.mlflow.messages import Message, encode, read_body, read_query
from modelwright.server.requests import Doorkeeper
from modelwright.server.routing import PUBLIC
from modelwright.server.security import Guard
from modelwright.server.shortcuts import Line, Shortcut

logger = logging.getLogger("modelwright.server")

PREFIXES = ("/api", "/ajax-api")
ROOTS = ("/2.0/mlflow", "/2.0/mlflow-artifacts", "/3.0/mlflow", "/3.0/jobs")
PLAIN = frozenset(
    {"/health", "/version", "/get-artifact", "/model-versions/get-artifact", "/v1/traces", "/v1/metrics", "/graphql"}
)
GATEWAY = "/gateway/"  # below no prefix either
STREAMED = tuple(  # bodies of any size, in pieces
    f"{prefix}/2.0/mlflow-artifacts/{below}/" for prefix in PREFIXES for below in ("artifacts", "mpu/part")
)
REALM = b'Basic realm="modelwright"'
M = TypeVar("M", bound=Message)
T = TypeVar("T")


class Call:
    """One request to an endpoint."""

    def __init__(self, scope: Any, receive: Any, send: Any, door: Doorkeeper, parts: Mapping[str, str]) -> None:
        self.scope = scope
        self.send = send
        self.parts = parts  # what the path's `{name}`s stand for, decoded once
        self.method: str = scope["method"]
        self._receive = receive
        self._door = door
        self._principal: Principal | None = None
        self._body: bytes | None = None

    @classmethod
    def read(cls, scope: Any, door: Doorkeeper, principal: Principal, body: bytes) -> Call:
        """One whose body is there and whose sender is known; nothing can be sent but what is answered."""
        call = cls(scope, None, None, door, {})
        call._principal, call._body = principal, body
        return call

    @cached_property
    def request(self) -> Request:
        """The request as Starlette tells of it."""
        return Request(self.scope, self._receive)

    async def principal(self) -> Principal:
        """Who asks."""
        if self._principal is None:
            self._principal = await self._door.principal(self.request)
        return self._principal

    async def body(self) -> bytes:
        """The whole body."""
        if self._body is None:
            parts = []
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    break
            self._body = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._body

    def stream(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        return self.request.stream()

    async def message(self, wanted: type[M]) -> M:
        """The request as a message: of a GET its query, of anything else its JSON body; the path's parts fill fields.

        A DELETE may say it either way, as MLflow's own client does.
        """
        body = b"" if self.method == "GET" else await self.body()
        query: bytes = self.scope["query_string"]
        if not self.parts:
            return read_body(body, wanted) if body or not query else read_query(query, wanted)
        return self._filled(body, query, wanted)

    def _filled(self, body: bytes, query: bytes, wanted: type[M]) -> M:
        found: dict[str, Any] = {}
        if body:
            found = msgspec.to_builtins(read_body(body, _loose(wanted)))
        elif query:
            found = msgspec.to_builtins(read_query(query, _loose(wanted)))
        found |= {name: value for name, value in self.parts.items() if name in wanted.__struct_encode_fields__}
        return read_body(msgspec.json.encode(found), wanted)

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread, as whoever asks."""
        return await self._door.run(await self.principal(), work)


_LOOSE: dict[type[Message], type[Message]] = {}


def _loose(wanted: type[M]) -> type[M]:
    """The same message, needing nothing yet: the path fills in the rest."""
    if wanted not in _LOOSE:
        _LOOSE[wanted] = type(wanted.__name__, (wanted,), {"needs": (), "__annotations__": {}}, kw_only=True)
    return _LOOSE[wanted]  # type: ignore[return-value]


Answer = Callable[[Call], Awaitable[Any]]


class Endpoint:
    """A method and a path with what it needs, and what answers.

    `below` begins with `/2.0/` or `/3.0/` and is offered below both prefixes, or is one of the plain ones. A segment
    `{name}` stands for any one segment, a last segment `{name*}` for all that is left. `answer` returns a message, a dict
    or None (an empty object), or a Starlette response; for the hottest paths, bytes that are JSON already. What is asked
    for thousands of times is `hot`: it is a POST without parts that answers with no response, from its body alone.
    """

    def __init__(self, method: str, below: str, answer: Answer, *, needs: str, hot: bool = False) -> None:
        self.method = method
        self.below = below
        self.path = below if below in PLAIN or below.startswith(GATEWAY) else PREFIXES[0] + below
        self.answer = answer
        self.needs = needs
        self.hot = hot
        self.methods = [method]
        self.segments = below.strip("/").split("/")

    @property
    def is_plain(self) -> bool:
        """Whether the path has no parts to fill in."""
        return "{" not in self.below


class Mlflow:
    """The ASGI application of MLflow's protocol."""

    def __init__(self, endpoints: Iterable[Endpoint], door: Doorkeeper) -> None:
        self.endpoints: Sequence[Endpoint] = list(endpoints)
        self._door = door
        self._plain: dict[tuple[str, str], Endpoint] = {}
        self._others: dict[str, list[Endpoint]] = {}
        for each in self.endpoints:
            if each.is_plain:
                self._plain[each.method, each.below] = each
            else:
                self._others.setdefault(each.method, []).append(each)

    def answers(self, path: str) -> bool:
        """Whether a path belongs to this protocol."""
        return path in PLAIN or _below(path) is not None

    def shortcut(self, scope: Any, guard: Guard) -> Shortcut | None:
        """See `shortcuts.Offering`: for the hot endpoints."""
        below = _below(scope["path"])
        endpoint = None if below is None else self._plain.get((scope["method"], below))
        if endpoint is None or not endpoint.hot or scope["query_string"]:
            return None
        return Hurry(endpoint, scope, self._door, guard)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            endpoint, parts = self._find(scope)
            call = Call(scope, receive, send, self._door, parts)
            if endpoint.needs != PUBLIC:
                await call.principal()  # before anything else: a stranger is not even told what is wrong
            reply = await endpoint.answer(call)
        except ModelwrightError as error:
            await _send_error(send, error)
            return
        except ClientDisconnect:
            return
        if isinstance(reply, Response):
            await reply(scope, receive, send)
        else:
            await send_json(send, reply if isinstance(reply, bytes) else encode(reply))

    def _find(self, scope: Any) -> tuple[Endpoint, Mapping[str, str]]:
        method, path = scope["method"], scope["path"]
        below = path if path in PLAIN else _below(path)
        if below is None:
            raise _unknown(method, path)
        found = self._plain.get((method, below))
        if found is not None:
            return found, {}
        segments = _segments(scope, below)
        for each in self._others.get(method, ()):
            parts = _match(each.segments, segments)
            if parts is not None:
                return each, parts
        raise _unknown(method, path)


def _below(path: str) -> str | None:
    """The path without its prefix, if it is one of this protocol's."""
    if path.startswith(GATEWAY):
        return path
    for prefix in PREFIXES:
        if path.startswith(prefix):
            rest = path[len(prefix) :]
            if any(rest == root or rest.startswith(root + "/") for root in ROOTS):
                return rest
    return None


def _segments(scope: Any, below: str) -> list[str]:
    """The segments of the path, each decoded by itself, so that an encoded slash does not make two of one."""
    raw = scope.get("raw_path")
    if not raw:
        return below.strip("/").split("/")
    text = raw.decode("latin-1").partition("?")[0]
    rest = _below(text)
    try:
        return [unquote(each, errors="strict") for each in (rest if rest is not None else text).strip("/").split("/")]
    except UnicodeDecodeError:
        raise invalid("Invalid path: it is not UTF-8.") from None


def _match(pattern: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    for at, wanted in enumerate(pattern):
        if wanted.endswith("*}"):
            parts[wanted[1:-2]] = "/".join(segments[at:])
            return parts if len(segments) > at else None
        if at >= len(segments):
            return None
        if wanted.startswith("{"):
            parts[wanted[1:-1]] = segments[at]
        elif wanted != segments[at]:
            return None
    return parts if len(pattern) == len(segments) else None


def _unknown(method: str, path: str) -> MlflowError:
    return MlflowError(NO_ENDPOINT, f"There is no endpoint {method} {path[:200]}.")


class Hurry:
    """A hot endpoint for whoever sends the same head as before (`shortcuts.Shortcut`): what differs is the body."""

    def __init__(self, endpoint: Endpoint, scope: Any, door: Doorkeeper, guard: Guard) -> None:
        headers, client = dict(scope["headers"]), scope["client"]
        self._endpoint, self._scope, self._door, self._guard = endpoint, scope, door, guard
        self._who = door.recognising(client[0] if client else "", headers.get(b"authorization", b"").decode("latin-1"))

    def take(self, body: bytes, line: Line) -> bool:
        """Answer by a task, if it is remembered who this is."""
        principal = self._who()
        if principal is None:
            return False
        call = Call.read(self._scope, self._door, principal, body)
        line.work(asyncio.get_running_loop().create_task(self._answer(call, line)))
        return True

    async def _answer(self, call: Call, line: Line) -> None:
        request_id, status = self._guard.number(), 200
        try:
            reply = await self._endpoint.answer(call)
            content = reply if isinstance(reply, bytes) else encode(reply)
        except ModelwrightError as error:
            status, content = _told(error)
        except Exception:  # noqa: BLE001 - the guard logs it
            status, content = self._guard.failed(request_id, self._endpoint.method, self._endpoint.path)
        line.answer(_JSON % len(content) + self._guard.headers(request_id), content, status)


_JSON = b"content-type: application/json\r\ncontent-length: %d\r\n"


async def send_json(send: Any, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer with JSON, head and body one after the other without a pause."""
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Any, error: ModelwrightError) -> None:
    status, body = _told(error)
    await send_json(send, body, status, [(b"www-authenticate", REALM)] if isinstance(error, Unauthenticated) else ())


def _told(error: ModelwrightError) -> tuple[int, bytes]:
    """The status and the JSON of an error; what the server is to blame for is logged."""
    status, body = told(error)
    if status >= 500 and not isinstance(error, MlflowError):
        logger.error("mlflow: %s", error)
    return status, body
