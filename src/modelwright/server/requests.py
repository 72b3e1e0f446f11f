"""From a request to a principal, and from a principal to a result, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

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
THREADS = 16  # requests that are worked on at once
FRESH = 0.5  # seconds that an answer is remembered, so that a revoked token is of no use a second later
MOST = 10_000  # answers remembered


class WrongMediaType(Invalid):
    code = "wrong-media-type"
    status = 415


class Doorkeeper:
    """Finds out who asks, and runs what they ask in a worker thread as them.

    Who a credential is, and what they may do where `allowed` is asked, is remembered for half a second: hot routes need no
    thread and no database for it. A change of accounts, credentials or rights in this process counts at once; one in
    another process when that half second is over.
    """

    def __init__(self, home: Home, *, required: bool) -> None:
        self.home = home
        self.required = required
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="modelwright-request")
        self._known: Remembered[Principal] = Remembered()
        self._allowed: Remembered[bool] = Remembered()

    async def principal(self, request: Request) -> Principal:
        """Who asks; `Unauthenticated` where nobody can tell and the server requires to know."""
        header = request.headers.get("authorization", "")
        cookie = "" if header else request.cookies.get(SESSION_COOKIE, "")
        if not header and not cookie:
            if self.required:
                raise Unauthenticated(
                    "This server wants to know who is asking.", mend="Sign in with `mw login`, or send a token."
                )
            return self.home.principal
        ip = request.client.host if request.client else ""
        key = _credential(ip, header, cookie)
        version = self.home.rights.version
        known = self._known.get(key, version)
        if known is None:
            known = await self._thread(self._asking(header, cookie, ip))
            self._known.put(key, version, known)
        return known

    def recognising(self, ip: str, header: str) -> Callable[[], Principal | None]:
        """What says at any time who sends this Authorization header (or none) from an address; None: `principal` knows."""
        if not header:
            return lambda: None if self.required else self.home.principal
        key, rights = _credential(ip, header, ""), self.home.rights
        return lambda: self._known.get(key, rights.version)

    def may(self, principal: Principal, verb: str, resource: Resource) -> bool:
        """Whether it is remembered that the principal may do this; what is not has to be asked with `allowed`."""
        return principal.trusted or self._allowed.get((principal, verb, resource), self.home.rights.version) is not None

    def lets(self, principal: Principal, verb: str, resource: Resource) -> bool:
        """Whether the principal may do this, for what is to be shown to them: a no is not put on the record. It blocks."""
        if principal.trusted:
            return True
        with self.home.database.transaction(principal, write=False) as tx:
            return self.home.rights.decide(tx, principal, verb, resource).allow

    async def run(self, principal: Principal, work: Callable[[], T]) -> T:
        """Run blocking work as a principal."""

        def as_them() -> T:
            with acting_as(principal):
                return work()

        return await self._thread(as_them)

    async def require(self, principal: Principal, kind: Kind, *verbs: str) -> None:
        """Raise unless the principal may do one of these to things of a kind: for the routes that are no operations."""
        await self.run(principal, lambda: self.home.require(Resource(kind), *verbs))

    async def allowed(self, principal: Principal, verb: str, resource: Resource) -> None:
        """Raise unless the principal may do this to that: `require` for the hot paths of the data plane.

        A yes is remembered for half a second; a no never is, and is put on the record like every other.
        """
        if principal.trusted:
            return
        key, version = (principal, verb, resource), self.home.rights.version
        if self._allowed.get(key, version) is None:
            await self.run(principal, lambda: self.home.require(resource, verb))
            self._allowed.put(key, version, True)

    def _asking(self, header: str, cookie: str, ip: str) -> Callable[[], Principal]:
        """What finds out who it is. Runs in a thread."""
        asks = self.home.authenticator
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() == "bearer" and credentials:
            return lambda: asks.token(credentials.strip(), ip)
        if scheme.lower() == "basic" and credentials:
            name, secret = _basic(credentials)
            return lambda: asks.basic(name, secret, ip)
        if header:
            raise Unauthenticated(f"The authorization scheme {scheme!r} is not known.", mend="Use Bearer or Basic.")
        return lambda: asks.session(cookie, ip)

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class Remembered(Generic[T]):
    """Answers for a moment: used from the event loop only. `version` is of what they were read from."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` tells the time in seconds."""
        self._now = now
        self._held: dict[Hashable, tuple[float, int, T]] = {}

    def get(self, key: Hashable, version: int) -> T | None:
        """The answer, if it is fresh enough."""
        held = self._held.get(key)
        if held is None or held[0] < self._now() or held[1] != version:
            return None
        return held[2]

    def put(self, key: Hashable, version: int, answer: T) -> None:
        """Remember it. `version` is as it was before the answer was looked up."""
        if len(self._held) >= MOST:
            self._held.clear()
        self._held[key] = self._now() + FRESH, version, answer


def _credential(ip: str, header: str, cookie: str) -> bytes:
    """A name for what somebody brings; no secret is kept."""
    return hashlib.sha256(f"{ip}\0{header}\0{cookie}".encode("utf-8", "surrogatepass")).digest()


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
