"""Signing in: from a name and a password to a session, out again, and a first password by a set-up token.

These three routes are public, since nobody is anybody yet when they are called; the `Authenticator` behind them counts
failures and locks names, and answers every wrong guess alike.
"""

from __future__ import annotations

from typing import TypeVar

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from modelwright.core.wire import decode
from modelwright.policy import Authenticator
from modelwright.server.requests import SESSION_COOKIE, json_body, json_response
from modelwright.server.routing import PUBLIC, Guarded

API = "/api/v1"
T = TypeVar("T")


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a sign-in."""

    name: str
    password: str


class Setup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body that sets a first password, with the token that an admin or `mw up` handed out."""

    token: str
    password: str


def session_routes(authenticator: Authenticator) -> list[BaseRoute]:
    """`POST` to `/login`, `/logout` and `/setup`, below `/api/v1`."""

    async def login(request: Request) -> Response:
        given = await _body(request, Login)
        issued = await anyio.to_thread.run_sync(lambda: authenticator.login(given.name, given.password, _ip(request)))
        answer = json_response(issued.credential)
        secure = request.url.scheme == "https"
        answer.set_cookie(SESSION_COOKIE, issued.token, path="/", secure=secure, httponly=True, samesite="strict")
        return answer

    async def logout(request: Request) -> Response:
        held = request.cookies.get(SESSION_COOKIE)
        if held:
            await anyio.to_thread.run_sync(lambda: authenticator.logout(held))
        answer = json_response(None)
        answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def setup(request: Request) -> Response:
        given = await _body(request, Setup)
        account = await anyio.to_thread.run_sync(
            lambda: authenticator.redeem(given.token.strip(), given.password, _ip(request))
        )
        return json_response(account)

    return [
        Guarded(f"{API}/login", login, needs=PUBLIC, methods=["POST"]),
        Guarded(f"{API}/logout", logout, needs=PUBLIC, methods=["POST"]),
        Guarded(f"{API}/setup", setup, needs=PUBLIC, methods=["POST"]),
    ]


async def _body(request: Request, wanted: type[T]) -> T:
    return decode(await json_body(request), wanted)


def _ip(request: Request) -> str:
    return request.client.host if request.client else ""
