"""Liveness, readiness and Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from modelwright.core.refs import Kind
from modelwright.server.requests import Doorkeeper, json_response
from modelwright.server.routing import PUBLIC, Guarded


def health_routes(door: Doorkeeper, ready: Callable[[], dict[str, str]], metrics: Callable[[], str]) -> list[BaseRoute]:
    """`/healthz` (the process answers), `/readyz` (its parts do; each that does not is named), `/metrics`."""

    async def live(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readiness(request: Request) -> Response:
        troubles = await anyio.to_thread.run_sync(ready)
        return json_response({"ready": not troubles, "troubles": troubles}, status=503 if troubles else 200)

    async def exposition(request: Request) -> Response:
        principal = await door.principal(request)
        await door.require(principal, Kind.WORKSPACE, "read")
        text = await anyio.to_thread.run_sync(metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return [
        Guarded("/healthz", live, needs=PUBLIC),
        Guarded("/readyz", readiness, needs=PUBLIC),
        Guarded("/metrics", exposition, needs="read"),
    ]
