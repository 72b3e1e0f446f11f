"""`POST /api/v1/lineage` and `/api/v1/lineage/batch`: where producers of OpenLineage events send them.

Paths and answers are those of its specification, so that a client needs a URL and a token and nothing else. Each event asks
for the right to write what it is about: `external:*`, or a part of it.
"""

from __future__ import annotations

import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from modelwright.core.errors import Invalid
from modelwright.openlineage import OpenLineage
from modelwright.server.requests import Doorkeeper, json_body, json_response
from modelwright.server.routing import Guarded

PATH = "/api/v1/lineage"
WRITE = "write"
MOST_UNPACKED = 64 * 2**20  # bytes of a body that came packed


def lineage_routes(room: OpenLineage, door: Doorkeeper) -> list[BaseRoute]:
    """The two routes."""

    async def one(request: Request) -> Response:
        principal, body = await door.principal(request), await _body(request)
        taken = await door.run(principal, lambda: room.take(body))
        return json_response(taken, status=200 if taken.repeated else 201)

    async def batch(request: Request) -> Response:
        principal, body = await door.principal(request), await _body(request)
        found = await door.run(principal, lambda: room.take_batch(body))
        failed = len(found.failed)
        answer: dict[str, Any] = {
            "status": "partial_success" if failed else "success",
            "summary": {
                "received": found.received,
                "successful": found.received - failed,
                "failed": failed,
                "retriable": sum(each.retriable for each in found.failed),
                "non_retriable": sum(not each.retriable for each in found.failed),
            },
            "failed_events": found.failed,
        }
        return json_response(answer)

    return [
        Guarded(PATH, one, needs=WRITE, methods=["POST"]),
        Guarded(f"{PATH}/batch", batch, needs=WRITE, methods=["POST"]),
    ]


async def _body(request: Request) -> bytes:
    """The body, unpacked where its producer has packed it (`compression: gzip` of OpenLineage's clients)."""
    body = await json_body(request)
    how = request.headers.get("content-encoding", "").strip().lower()
    if how in ("", "identity"):
        return body
    if how != "gzip":
        raise Invalid(f"The body is packed as {how[:40]!r}.", mend="Send it as it is, or with gzip.")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(body, MOST_UNPACKED + 1)
    except zlib.error as error:
        raise Invalid(f"The body is not what gzip packs: {error}.") from None
    if len(plain) > MOST_UNPACKED:
        raise Invalid(f"The body is larger than {MOST_UNPACKED:,} bytes when it is unpacked.", mend="Send fewer at once.")
    if not unpacking.eof:
        raise Invalid("The body ends in the middle of what gzip has packed.")
    return plain
