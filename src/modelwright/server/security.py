"""What stands before every request: Host and Origin checks, limits, security headers, a request id, one error shape."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelwright.core.errors import Denied, Invalid, ModelwrightError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Guard:
    """ASGI middleware in front of everything.

    `hosts` are the names this server answers to (a request for another is DNS rebinding or a mistake); a state-changing
    request that a browser sends must come from one of them. `max_body` is in bytes; object uploads (`streamed` paths)
    have no limit, since they are written piece by piece.
    """

    def __init__(self, app: Any, *, hosts: frozenset[str], max_body: int, streamed: tuple[str, ...] = ()) -> None:
        self.app = app
        self.hosts = hosts
        self.max_body = max_body
        self.streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, nonce = secrets.token_hex(8), secrets.token_urlsafe(12)
        scope.setdefault("state", {}).update(request_id=request_id, nonce=nonce)
        started = False

        async def guarded_send(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                policy = (b"content-security-policy", _POLICY.format(nonce=nonce).encode())
                present = {name for name, _ in message.get("headers", ())}
                added = [h for h in (*_HEADERS, policy) if h[0] not in present]
                if b"x-request-id" not in present:
                    added.append((b"x-request-id", request_id.encode()))
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self._check(scope, headers)
            limited = receive if scope["path"].startswith(self.streamed) else _limited(receive, self.max_body)
            await self.app(scope, limited, guarded_send)
        except ModelwrightError as error:
            if started:
                raise
            await send_error(guarded_send, error)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        host = _hostname("//" + headers.get("host", ""))
        if host not in self.hosts:
            raise Denied(
                f"This server does not answer to the name {host!r}.",
                mend="Add it to [server] hosts in modelwright.toml if it is meant to.",
            )
        if scope["method"] not in SAFE_METHODS:
            origin = headers.get("origin")
            if headers.get("sec-fetch-site") == "cross-site" or (
                origin is not None and (origin == "null" or urlsplit(origin).netloc != headers.get("host"))
            ):
                raise Denied("A page of another site may not change anything here.")
        length = headers.get("content-length", "0")
        if not length.isdigit():
            raise Invalid("The Content-Length is not a number.")
        if int(length) > self.max_body and not scope["path"].startswith(self.streamed):
            raise _too_large(self.max_body)


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(netloc).hostname or ""
    except ValueError:
        return ""


def _limited(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return counted


class TooLarge(Invalid):
    code = "too-large"
    status = 413


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request is larger than {limit // 2**20} MiB.", mend="Store large content as an object first.")


def error_body(error: ModelwrightError) -> bytes:
    """The one JSON shape of an error."""
    told = {"code": error.code, "message": error.message, "mend": error.mend, "details": error.details}
    return msgspec.json.encode({"error": told}, enc_hook=str)


async def send_error(send: Send, error: ModelwrightError) -> None:
    """Answer with an error as JSON."""
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="modelwright"'))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": error_body(error)})
