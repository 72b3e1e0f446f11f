"""Signing in and out with a browser: a form, and a session in a cookie that scripts and other sites cannot reach."""

from __future__ import annotations

from urllib.parse import parse_qs

import anyio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from modelwright.core.errors import Unauthenticated
from modelwright.server.pages.render import Pages
from modelwright.server.requests import SESSION_COOKIE


class SignIn:
    """The two addresses, `/signin` and `/signout`."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._authenticator = pages.door.home.authenticator

    async def form(self, request: Request) -> Response:
        """The form, or, once it is filled in, the way on."""
        if request.method == "GET":
            return self._answer(request, request.query_params.get("next", "/"))
        given = {key: values[0] for key, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
        onward, name = given.get("next", "/"), given.get("name", "").strip()
        ip = request.client.host if request.client else ""
        try:
            issued = await anyio.to_thread.run_sync(lambda: self._authenticator.login(name, given.get("password", ""), ip))
        except Unauthenticated as error:
            return self._answer(request, onward, name=name, error=error)
        response = RedirectResponse(local(onward), status_code=303)
        response.set_cookie(
            SESSION_COOKIE,
            issued.token,
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def out(self, request: Request) -> Response:
        """End the session, here and in the browser."""
        held = request.cookies.get(SESSION_COOKIE)
        if held:
            await anyio.to_thread.run_sync(lambda: self._authenticator.logout(held))
        response = RedirectResponse("/signin", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def _answer(self, request: Request, onward: str, *, name: str = "", error: Unauthenticated | None = None) -> Response:
        content = {"onward": local(onward), "name": name, "error": error}
        return self._pages.answer("signin.html", content, request, None, 401 if error else 200)


def local(path: str) -> str:
    """A path of this server, whatever was asked for: nobody is sent elsewhere after signing in."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else "/"
