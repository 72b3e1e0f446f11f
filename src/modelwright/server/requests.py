"""From a request to a principal, and from a principal to a result, off the event loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response

from modelwright.core.errors import Invalid, Unauthenticated
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind
from modelwright.core.wire import decode, encode
from modelwright.store import acting_as
from modelwright.workspace import Home

T = TypeVar("T")
SESSION_COOKIE = "modelwright_session"


class WrongMediaType(Invalid):
    code = "wrong-media-type"
    status = 415


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


def speaks(request: Request, wanted: str) -> None:
    """Raise unless the body is declared as what is wanted.

    A form of another site can send text, form fields and nothing else without asking first: this keeps it out even where
    a browser is too old to say where the form is from.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise WrongMediaType(f"The content is {given or 'of no type'}.", mend=f"Send it with Content-Type: {wanted}.")


async def json_body(request: Request) -> bytes:
    """The body, declared as JSON; there may be none."""
    body = await request.body()
    if body or "content-type" in request.headers:
        speaks(request, "application/json")
    return body


def json_arguments(body: bytes) -> dict[str, Any]:
    """An operation's arguments by name. No body stands for none; a name that occurs twice, at any depth, is refused."""
    if not body:
        return {}
    arguments = decode(body, dict[str, Any])
    json.loads(body, object_pairs_hook=_each_once)
    return arguments


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"The name {twice[:80]!r} occurs twice in one object.")


def json_response(value: Any, *, status: int = 200) -> Response:
    """A record as JSON."""
    return Response(encode(value), status_code=status, media_type="application/json")
