"""`POST /api/v1/<room>/<operation>` for every operation, and the objects."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import DIGEST_LENGTH
from modelwright.core.operations import Operation, Room, operations_of
from modelwright.core.refs import Kind
from modelwright.core.wire import encode
from modelwright.server.api.openapi import openapi
from modelwright.server.api.sessions import session_routes
from modelwright.server.requests import Doorkeeper, json_response
from modelwright.server.routing import PUBLIC, SIGNED_IN, Guarded
from modelwright.workspace import Workspace

API = "/api/v1"
STORES = ("write", "evaluate", "validate", "register", "train")  # whoever may do one of these has content to store


def api_routes(workspace: Workspace, door: Doorkeeper) -> list[BaseRoute]:
    """Every route below `/api/v1`. Each operation asks its own permission before its body runs."""
    routes: list[BaseRoute] = [
        Guarded(f"{API}/{operation.path}", _endpoint(room, operation, door), needs=operation.verb, methods=["POST"])
        for room, operation in operations_of(workspace.rooms)
    ]
    document = msgspec.json.encode(openapi(workspace.rooms))

    async def describe(request: Request) -> Response:
        return Response(document, media_type="application/json")

    async def whoami(request: Request) -> Response:
        return json_response(await door.principal(request))

    objects = _Objects(workspace, door)
    return [
        *routes,
        *session_routes(door.home.authenticator),
        Guarded(f"{API}/openapi.json", describe, needs=PUBLIC),
        Guarded(f"{API}/whoami", whoami, needs=SIGNED_IN),
        Guarded(f"{API}/objects", objects.put, needs="write", methods=["POST"]),
        Guarded(f"{API}/objects/{{digest}}", objects.get, needs="read", methods=["GET", "HEAD"]),
    ]


def _endpoint(room: Room, operation: Operation[Any, Any, Any, Any], door: Doorkeeper) -> Any:
    async def endpoint(request: Request) -> Response:
        principal = await door.principal(request)
        body = await request.body()
        try:
            arguments = msgspec.json.decode(body) if body else {}
        except msgspec.MsgspecError as error:
            raise Invalid(f"The body is not JSON: {error}.") from None
        if not isinstance(arguments, dict):
            raise Invalid("The body must be a JSON object of the operation's parameters.")
        result = await door.run(principal, lambda: encode(room.caller.call(room, operation, arguments)))
        return Response(result, media_type="application/json")

    return endpoint


class _Objects:
    """Objects in and out, piece by piece."""

    def __init__(self, workspace: Workspace, door: Doorkeeper) -> None:
        self._workspace = workspace
        self._door = door

    async def put(self, request: Request) -> Response:
        principal = await self._door.principal(request)
        await self._door.require(principal, Kind.OBJECT, *STORES)
        pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=8)
        blobs = self._workspace.caller.blobs
        async with anyio.create_task_group() as tasks:
            digest: list[str] = []

            async def store() -> None:
                digest.append(await anyio.to_thread.run_sync(lambda: blobs.put(_drain(pieces))))

            tasks.start_soon(store)
            try:
                async for piece in request.stream():
                    if piece:
                        await anyio.to_thread.run_sync(pieces.put, piece)
                ending: BaseException | None = None
            except BaseException as error:  # the sender went away: the writer must hear of it, and nothing is stored
                ending = error
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(pieces.put, ending)
        return json_response({"digest": digest[0]}, status=201)

    async def get(self, request: Request) -> Response:
        principal = await self._door.principal(request)
        await self._door.require(principal, Kind.OBJECT, "read")
        digest, blobs = request.path_params["digest"], self._workspace.caller.blobs
        if len(digest) != DIGEST_LENGTH or not set(digest) <= set("0123456789abcdef"):
            raise NotFound("An object is named by its digest: 64 lower-case hexadecimal characters.")
        size = await anyio.to_thread.run_sync(blobs.size, digest)
        headers = {
            "x-object-size": str(size),
            "cache-control": "private, max-age=31536000, immutable",
            "content-disposition": "attachment",
        }
        if request.method == "HEAD":
            return Response(headers=headers)
        headers["content-length"] = str(size)
        return StreamingResponse(blobs.stream(digest), media_type="application/octet-stream", headers=headers)


def _drain(pieces: queue.Queue[bytes | BaseException | None]) -> Iterator[bytes]:
    while True:
        piece = pieces.get()
        if isinstance(piece, BaseException):
            raise Invalid("The upload ended before its content did.")
        if piece is None:
            return
        yield piece
