"""The inference data plane behind the server's door: who may call what, decided once a second for each caller."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request

from modelwright.core.errors import NotFound
from modelwright.core.operations import Resource
from modelwright.core.refs import Kind
from modelwright.deployments.records import deployment_of
from modelwright.server.process import Process
from modelwright.server.requests import SESSION_COOKIE, Doorkeeper
from modelwright.serving.http import PREFIXES, HttpSettings, create_app

VERB = "serve.invoke"
FRESH = 0.5  # seconds that a decision holds, so that a revoked token is of no use a second later
MOST = 10_000  # decisions remembered


def serves(path: str) -> bool:
    """Whether a path belongs to the data plane."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PREFIXES)


def inference_app(process: Process, door: Doorkeeper) -> Any:
    """The ASGI application of the data plane; each call needs `serve.invoke` on its deployment."""
    asks, settings = Invocations(process, door), process.home.settings.section("serving", HttpSettings)
    return create_app(process.plane, clock=process.home.clock, metrics=process.serving, authorize=asks, settings=settings)


class Invocations:
    """Asks the door who calls and whether they may; remembers the answer for a moment.

    An endpoint such as `delay.staging` belongs to the deployment that serves it; rights are asked on the deployment.
    """

    def __init__(self, process: Process, door: Doorkeeper) -> None:
        self._process = process
        self._door = door
        self._known: dict[tuple[str, ...], float] = {}

    async def __call__(self, scope: Any, endpoint: str) -> None:
        """Return if the caller may invoke the endpoint ("": is known at all), or raise what turns them away."""
        request = Request(scope)
        credentials = request.headers.get("authorization", ""), request.cookies.get(SESSION_COOKIE, "")
        if not any(credentials) and not self._door.required:
            return  # the server's own user, who may do everything
        key = (*credentials, endpoint)
        now = time.monotonic()
        if self._known.get(key, 0.0) > now:
            return
        principal = await self._door.principal(request)
        if endpoint:
            resource = Resource(Kind.DEPLOYMENT, deployment_of(endpoint))
            try:
                await self._door.run(principal, lambda: self._process.home.require(resource, VERB))
            except NotFound:
                raise NotFound(f"There is no model named {endpoint!r}.") from None
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = now + FRESH
