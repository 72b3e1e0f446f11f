"""The application: every route with its permission, behind the guard, with the operator beside it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from modelwright.core.errors import ModelwrightError, NotFound
from modelwright.server.api.routes import OBJECTS, api_routes
from modelwright.server.features import OnlineReads
from modelwright.server.health import health_routes
from modelwright.server.inference import inference_app, serves
from modelwright.server.mlflow.application import mlflow_app
from modelwright.server.mlflow.routing import STREAMED, Mlflow
from modelwright.server.pages.render import Pages, wants_html
from modelwright.server.pages.routes import page_routes
from modelwright.server.process import Process
from modelwright.server.requests import Doorkeeper
from modelwright.server.routing import Directory, check_routes
from modelwright.server.security import LOOPBACK, Guard, error_body, error_headers, failure
from modelwright.server.shortcuts import Shortcut
from modelwright.workspace import Workspace

logger = logging.getLogger("modelwright.server")


class MethodNotAllowed(NotFound):
    code = "method-not-allowed"
    status = 405


def create_app(workspace: Workspace, *, host: str = "") -> Guard:
    """The whole server over an embedded workspace, as one ASGI application; `host` is the address it listens on.

    Raises `RuntimeError` if any route has no registered permission.
    """
    home = workspace.home
    if home is None:
        raise RuntimeError("a server needs a workspace that lies here")
    settings = home.settings.server
    door = Doorkeeper(home, required=settings.authentication == "required")
    process = Process(workspace)
    inference = inference_app(process, door)
    pages = Pages(workspace, door)
    routes: list[BaseRoute] = [
        *api_routes(workspace, door),
        *health_routes(door, process.troubles, process.metrics),
        *page_routes(pages, process.traffic),
    ]
    mlflow, reads = mlflow_app(workspace, door), OnlineReads(workspace, door)
    check_routes([*routes, *mlflow.endpoints, reads])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        process.begin()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(process.end)

    handlers: dict[Any, Any] = {
        ModelwrightError: _known_error,
        HTTPException: _http_error(pages),
        Exception: _failure(pages),
    }
    app = Starlette(exception_handlers=handlers)
    app.router = Directory(routes, lifespan=lifespan)
    hosts = frozenset({*LOOPBACK, settings.host, *settings.hosts, *([host] if host else [])})
    entrance = Entrance(inference, mlflow, reads, app)
    return Guard(entrance, hosts=hosts, max_body=settings.max_body, streamed=(OBJECTS, *STREAMED))


class Entrance:
    """Sends inference straight to the data plane (its own permission: `serve.invoke`), reads of features to the online
    store, MLflow's protocol to its translation, everything else to the routes."""

    def __init__(self, inference: Any, mlflow: Mlflow, reads: OnlineReads, app: Starlette) -> None:
        self._inference = inference
        self._mlflow = mlflow
        self._reads = reads
        self._app = app

    @property
    def routes(self) -> list[Any]:
        """Every route but those of the data plane."""
        return [*self._app.routes, *self._mlflow.endpoints, self._reads]

    def shortcut(self, scope: Any, guard: Guard) -> Shortcut | None:
        """See `shortcuts.Offering`."""
        chosen = self._reads if self._reads.answers(scope) else self._mlflow
        return chosen.shortcut(scope, guard)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        chosen: Any = self._app
        if scope["type"] == "http":
            if self._mlflow.answers(scope["path"]):
                chosen = self._mlflow
            elif serves(scope["path"]):
                chosen = self._inference
            elif self._reads.answers(scope):
                chosen = self._reads
        await chosen(scope, receive, send)


async def _known_error(request: Request, error: ModelwrightError) -> Response:
    if error.status >= 500:
        logger.error("request %s: %s", request.state.request_id, error)
    return _as_json(error)


def _as_json(error: ModelwrightError) -> Response:
    return Response(error_body(error), status_code=error.status, headers=error_headers(error))


def _http_error(pages: Pages) -> Callable[[Request, HTTPException], Awaitable[Response]]:
    """What no route answers."""

    async def answer(request: Request, error: HTTPException) -> Response:
        kind = MethodNotAllowed if error.status_code == 405 else NotFound
        response = _told(pages, request, kind(f"{request.method} {request.url.path}: {error.detail}."))
        response.headers.update(error.headers or {})
        return response

    return answer


def _failure(pages: Pages) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A mistake in the program. The guard logs it."""

    async def answer(request: Request, error: Exception) -> Response:
        return _told(pages, request, failure(request.state.request_id))

    return answer


def _told(pages: Pages, request: Request, error: ModelwrightError) -> Response:
    """A page where a browser asked, else the one shape of an error."""
    return pages.error(request, error, None) if wants_html(request) else _as_json(error)
