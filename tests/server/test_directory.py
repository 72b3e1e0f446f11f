"""One look for a plain path answers as the whole list of routes would."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from modelwright.server.app import create_app
from modelwright.server.routing import Directory
from modelwright.workspace import Workspace


def says(word: str) -> Any:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(f"{word} {sorted(request.path_params.items())}")

    return endpoint


ROUTES = [
    Route("/a", says("first")),
    Route("/a", says("second")),
    Route("/a", says("posted"), methods=["POST"]),
    Route("/b/{name}", says("pattern")),
    Route("/b/plain", says("never")),
    Route("/b/plain", says("put"), methods=["PUT"]),
    Route("/c/{rest:path}", says("rest"), methods=["DELETE"]),
    Route("/c/d", says("got")),
]


async def ask(app: Starlette, method: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    "path", ["/a", "/a/", "/b/x", "/b/plain", "/b/plain/", "/c/d", "/c/e", "/none", "/A", "/a%20", "//a"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_every_answer_is_that_of_the_list(path: str, method: str) -> None:
    directory, listed = Starlette(), Starlette(routes=ROUTES)
    directory.router = Directory(ROUTES)
    answers = [anyio.run(ask, app, method, path) for app in (directory, listed)]
    told = [(each.status_code, each.text, sorted(each.headers.items())) for each in answers]
    assert told[0] == told[1]


def test_the_operations_are_found_by_one_look(embedded: Workspace) -> None:
    router = create_app(embedded).app._app.router
    assert isinstance(router, Directory)
    assert ("/api/v1/models/list", "POST") in router._plain and ("/healthz", "GET") in router._plain
