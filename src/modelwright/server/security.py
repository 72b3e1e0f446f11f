"""What stands before every request: Host and Origin checks, limits, security headers, a request id, one error shape."""

from __future__ import annotations

import functools
import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
from starlette.requests import ClientDisconnect

from modelwright.core.errors import Denied, Invalid, ModelwrightError
from modelwright.server.shortcuts import Shortcut

logger = logging.getLogger("modelwright.server")

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_HOSTS = 100  # spellings of its names that are remembered
PATIENCE = 30.0  # seconds between two pieces of a body; who takes longer is cut off

REQUEST_IDS = secrets.token_hex(4)  # of this process; a request has them and its number

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CSP = b"content-security-policy"
_PLAIN = [*_HEADERS, (_CSP, _POLICY.format(style="'self'").encode())]  # of whatever is no page
_SENT = b"".join(b"%b: %b\r\n" % header for header in _PLAIN)
_OURS = frozenset({name for name, _ in _PLAIN} | {b"x-request-id"})
_LOOKED_AT = frozenset({b"host", b"origin", b"content-length", b"authorization", b"sec-fetch-site"})
_ONCE = _LOOKED_AT - {b"sec-fetch-site"}


class TooLarge(Invalid):
    code = "too-large"
    status = 413


class TooSlow(Invalid):
    code = "too-slow"
    status = 408


class Guard:
    """ASGI middleware in front of everything.

    `hosts` are the names this server answers to (a request for another is DNS rebinding or a mistake); a state-changing
    request that a browser sends must come from one of them. `max_body` is in bytes; the paths that begin with one of
    `streamed`, whose content is written piece by piece, have no limit. `patience` is in seconds. A failure of the program
    is logged under its request id and told without a word of its cause.
    """

    def __init__(
        self,
        app: Any,
        *,
        hosts: frozenset[str],
        max_body: int,
        streamed: tuple[str, ...] = (),
        patience: float = PATIENCE,
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.max_body = max_body
        self.streamed = streamed
        self.patience = patience
        self._ours: set[bytes] = set()  # Host headers that were found to name this server
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = self.number()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        answer = _Answer(send, request_id, state)
        try:
            self._check(scope)
            limit = None if scope["path"].startswith(self.streamed) else self.max_body
            await self.app(scope, _bounded(receive, limit, self.patience), answer)
        except ModelwrightError as error:
            if answer.started:
                raise
            await send_error(answer, error)
        except ClientDisconnect:
            logger.info("request %s: its sender went away", request_id)
        except Exception:
            logger.exception("request %s failed: %s %r", request_id, scope["method"], scope["path"])
            if not answer.started:
                await send_error(answer, failure(request_id))
            elif not answer.complete:
                raise

    def shortcut(self, scope: Scope) -> Shortcut | None:
        """See `shortcuts.Offering`: what it was checked for here depends on its head alone."""
        try:
            self._check(scope)
        except ModelwrightError:
            return None
        offered: Shortcut | None = self.app.shortcut(scope, self) if hasattr(self.app, "shortcut") else None
        return offered

    def number(self) -> str:
        """The id of another request."""
        return f"{REQUEST_IDS}{next(self._numbers):08x}"

    def failed(self, request_id: str, method: str, path: str) -> tuple[int, bytes]:
        """The status and body of an answer for a failure of the program, which is being handled and is logged here."""
        logger.exception("request %s failed: %s %r", request_id, method, path)
        error = failure(request_id)
        return error.status, error_body(error)

    def headers(self, request_id: str = "") -> bytes:
        """What goes with every answer that is no page, as it is sent; each has an id of its own."""
        return b"%bx-request-id: %b\r\n" % (_SENT, (request_id or self.number()).encode())

    def _check(self, scope: Scope) -> None:
        headers = _headers(scope)
        host = headers.get(b"host", b"")
        if host not in self._ours:
            self._named(host)
        if scope["method"] not in SAFE_METHODS and not _own(headers):
            raise Denied("A page of another site may not change anything here.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise Invalid("The Content-Length is not a number.")
        if int(length) > self.max_body and not scope["path"].startswith(self.streamed):
            raise _too_large(self.max_body)

    def _named(self, host: bytes) -> None:
        """Raise unless a Host header names this server; one that does is known from then on."""
        name = _hostname(host.decode("latin-1"))
        if name not in self.hosts:
            raise Denied(
                f"This server does not answer to the name {name!r}.",
                mend="Add it to [server] hosts in modelwright.toml if it is meant to.",
            )
        if len(self._ours) < MOST_HOSTS:
            self._ours.add(host)


class _Answer:
    """The sending half of a request: adds the headers, and knows how far the answer has come."""

    def __init__(self, send: Send, request_id: str, state: MutableMapping[str, Any]) -> None:
        self._send = send
        self._request_id = request_id
        self._state = state
        self.started = False
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = self._with_ours(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)

    def _with_ours(self, headers: Any) -> list[tuple[bytes, bytes]]:
        given = list(headers)
        nonce = self._state.get("nonce")
        if nonce is None:
            ours = [*_PLAIN, (b"x-request-id", self._request_id.encode())]
        else:
            policy = _POLICY.format(style=f"'self' 'nonce-{nonce}'").encode()
            ours = [*_HEADERS, (_CSP, policy), (b"x-request-id", self._request_id.encode())]
        if _OURS.isdisjoint([name for name, _ in given]):
            return given + ours
        present = {name for name, _ in given}
        return [*given, *(header for header in ours if header[0] not in present)]


def nonce_of(state: Any) -> str:
    """What the inline styles of a page must carry to be let through: made for this answer, and named in its policy."""
    state.nonce = secrets.token_urlsafe(12)
    return str(state.nonce)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers looked at here, by name; those that two parties could read differently may occur only once."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _LOOKED_AT:
            if name in found and name in _ONCE:
                raise Invalid(f"The header {name.decode()} occurs twice.")
            found[name] = value
    return found


def _hostname(host: str) -> str:
    """The name in a Host header, without its port; empty where it is malformed."""
    found = _HOST.fullmatch(host)
    return (found["v6"] or found["name"]).lower() if found else ""


def _own(headers: dict[bytes, bytes]) -> bool:
    """Whether no browser says that another site's page sends this. A page on another port is another site."""
    if headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        return False
    origin = headers.get(b"origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower() == headers[b"host"].decode("latin-1").lower()
    except ValueError:
        return False


def _bounded(receive: Receive, limit: int | None, patience: float) -> Receive:
    """A body of at most `limit` bytes (None: of any size) whose pieces are never more than `patience` seconds apart."""
    seen, complete = 0, False

    async def bounded() -> Message:
        nonlocal seen, complete
        if complete:  # what is awaited now is that the sender goes away, and that may take its time
            return await receive()
        message = await _within(receive, patience)
        seen += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if limit is not None and seen > limit:
            raise _too_large(limit)
        return message

    return bounded


async def _within(receive: Receive, patience: float) -> Message:
    """The next message. Most are there already, and then no clock is set: that would cost more than all the rest."""
    message: Message
    steps: Any = receive().__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        message = done.value
        return message
    with anyio.move_on_after(patience):
        message = await _Begun(steps, waits_for)
        return message
    raise TooSlow(f"Nothing came for {patience:g} seconds, and the request is not whole.")


class _Begun:
    """An awaitable that has taken its first step already: goes on from what that one waits for."""

    def __init__(self, steps: Any, waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - handed to whom it is for
                step = functools.partial(self._steps.throw, error)
            else:
                step = functools.partial(self._steps.send, sent)
            try:
                waits_for = step()
            except StopIteration as done:
                return done.value


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request is larger than {limit / 2**20:g} MiB.", mend="Store large content as an object first.")


def failure(request_id: str) -> ModelwrightError:
    """What is told of a mistake in the program."""
    return ModelwrightError(
        "The server failed to answer.",
        mend=f"Its log says why, at request {request_id}.",
        details={"request_id": request_id},
    )


def error_body(error: ModelwrightError) -> bytes:
    """The one JSON shape of an error."""
    told = {"code": error.code, "message": error.message, "mend": error.mend, "details": error.details}
    return msgspec.json.encode({"error": told}, enc_hook=str)


def error_headers(error: ModelwrightError) -> dict[str, str]:
    """What goes with it."""
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="modelwright"'
    return headers


async def send_error(send: Send, error: ModelwrightError) -> None:
    """Answer with an error as JSON."""
    body = error_body(error)
    headers = {**error_headers(error), "content-length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
