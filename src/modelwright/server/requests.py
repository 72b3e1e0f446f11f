"""From a request to a principal, and from a principal to a result, off the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response

from modelwright.core.errors import Unauthenticated
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind
from modelwright.core.wire import encode
from modelwright.store import acting_as
from modelwright.workspace import Home

T = TypeVar("T")
SESSION_COOKIE = "modelwright_session"


class Authenticates(Protocol):
    """Turns what a request carries into a principal, or None where it is not valid."""

    def token(self, text: str, ip: str) -> Principal: ...
    def session(self, text: str, ip: str) -> Principal: ...
    def basic(self, name: str, secret: str, ip: str) -> Principal: ...


class Doorkeeper:
    """Finds out who asks, and runs what they ask in a worker thread as them."""

    def __init__(self, home: Home, *, required: bool) -> None:
        self.home = home
        self.required = required
        self._threads = anyio.CapacityLimiter(16)

    async def principal(self, request: Request) -> Principal:
        """Who asks; `Unauthenticated` where nobody can tell and the server requires to know."""
        ip = request.client.host if request.client else ""
        header = request.headers.get("authorization", "")
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() == "bearer" and credentials:
            return await self._thread(lambda: self.home.authenticator.token(credentials.strip(), ip))
        if scheme.lower() == "basic" and credentials:
            name, secret = _basic(credentials)
            return await self._thread(lambda: self.home.authenticator.basic(name, secret, ip))
        if header:
            raise Unauthenticated(f"The authorization scheme {scheme!r} is not known.", mend="Use Bearer or Basic.")
        cookie = request.cookies.get(SESSION_COOKIE)
        if cookie:
            return await self._thread(lambda: self.home.authenticator.session(cookie, ip))
        if self.required:
            raise Unauthenticated(
                "This server wants to know who is asking.", mend="Sign in with `mw login`, or send a token."
            )
        return self.home.principal

    async def run(self, principal: Principal, work: Callable[[], T]) -> T:
        """Run blocking work as a principal."""

        def as_them() -> T:
            with acting_as(principal):
                return work()

        return await self._thread(as_them)

    async def require(self, principal: Principal, kind: Kind, *verbs: str) -> None:
        """Raise unless the principal may do one of these to things of a kind: for the routes that are no operations."""
        await self.run(principal, lambda: self.home.require(Resource(kind), *verbs))

    async def _thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def _basic(credentials: str) -> tuple[str, str]:
    import base64
    import binascii

    try:
        name, colon, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, colon, secret = "", "", ""
    if not colon:
        raise Unauthenticated("The Basic credentials are not of the form name:secret in base 64.")
    return name, secret


def json_response(value: Any, *, status: int = 200) -> Response:
    """A record as JSON."""
    return Response(encode(value), status_code=status, media_type="application/json")
