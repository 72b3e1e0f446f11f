"""`POST /api/v1/<room>/<operation>` for every operation, and the objects."""

from __future__ import annotations

from functools import cache
from typing import Any

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import DIGEST_LENGTH
from modelwright.core.operations import Operation, Room, operations_of
from modelwright.core.refs import Kind
from modelwright.core.wire import encode
from modelwright.server.api.lineage import lineage_routes
from modelwright.server.api.openapi import openapi
from modelwright.server.api.sessions import session_routes
from modelwright.server.requests import Doorkeeper, json_arguments, json_body, json_response, speaks
from modelwright.server.routing import SIGNED_IN, Guarded, Operated
from modelwright.server.transfer import Admit, Transfer
from modelwright.workspace import Workspace

API = "/api/v1"
OBJECTS = f"{API}/objects"
STORES = ("write", "evaluate", "validate", "register", "train")  # whoever may do one of these has content to store


def api_routes(workspace: Workspace, door: Doorkeeper) -> list[BaseRoute]:
    """Every route below `/api/v1`. Each operation asks its own permission before its body runs."""
    routes: list[BaseRoute] = [
        Operated(f"{API}/{operation.path}", _endpoint(room, operation, door), needs=operation.verb)
        for room, operation in operations_of(workspace.rooms)
    ]
    document = cache(lambda: msgspec.json.encode(openapi(workspace.rooms)))  # made when it is first asked for

    async def describe(request: Request) -> Response:
        await door.principal(request)  # it names the version, which strangers need not know
        return Response(document(), media_type="application/json")

    async def whoami(request: Request) -> Response:
        return json_response(await door.principal(request))

    objects = _Objects(door, Transfer(door.home.objects, admitting(workspace, door)))
    return [
        *routes,
        *session_routes(door.home.authenticator),
        *lineage_routes(workspace.openlineage, door),
        Guarded(f"{API}/openapi.json", describe, needs=SIGNED_IN),
        Guarded(f"{API}/whoami", whoami, needs=SIGNED_IN),
        Guarded(OBJECTS, objects.put, needs="write", methods=["POST"]),
        Guarded(f"{OBJECTS}/{{digest}}", objects.get, needs="read", methods=["GET", "HEAD"]),
    ]


def _endpoint(room: Room, operation: Operation[Any, Any, Any, Any], door: Doorkeeper) -> Any:
    async def endpoint(request: Request) -> Response:
        principal = await door.principal(request)
        body = await json_body(request)

        def work() -> bytes:
            try:
                return encode(room.caller.call(room, operation, json_arguments(body)))
            except RecursionError:
                raise Invalid("The body is nested too deeply.") from None

        return Response(await door.run(principal, work), media_type="application/json")

    return endpoint


def admitting(workspace: Workspace, door: Doorkeeper) -> Admit:
    """Lets objects pass that hold nothing that is masked for whoever asks."""

    async def admit(request: Request, digest: str) -> None:
        principal = await door.principal(request)
        if not principal.trusted:
            await door.run(principal, lambda: workspace.privacy.admit(digest))

    return admit


class _Objects:
    """Objects in and out, piece by piece."""

    def __init__(self, door: Doorkeeper, transfer: Transfer) -> None:
        self._door = door
        self._transfer = transfer

    async def put(self, request: Request) -> Response:
        principal = await self._door.principal(request)
        speaks(request, "application/octet-stream")
        await self._door.require(principal, Kind.OBJECT, *STORES)
        digest = await self._transfer.receive(request.stream(), lambda digest, size: digest)
        return json_response({"digest": digest}, status=201)

    async def get(self, request: Request) -> Response:
        principal = await self._door.principal(request)
        await self._door.require(principal, Kind.OBJECT, "read")
        digest = request.path_params["digest"]
        if len(digest) != DIGEST_LENGTH or not set(digest) <= set("0123456789abcdef"):
            raise NotFound("An object is named by its digest: 64 lower-case hexadecimal characters.")
        size = await anyio.to_thread.run_sync(self._door.home.objects.size, digest)
        answer = self._transfer.content(request, digest, size, name=digest, media_type="application/octet-stream")
        answer.headers["x-object-size"] = str(size)
        answer.headers["cache-control"] = "private, max-age=31536000, immutable"
        return answer
