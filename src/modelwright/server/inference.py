"""The inference data plane behind the server's door: who may call what."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from modelwright.core.errors import NotFound
from modelwright.core.operations import Resource
from modelwright.core.refs import Kind
from modelwright.deployments.records import deployment_of
from modelwright.server.process import Process
from modelwright.server.requests import Doorkeeper
from modelwright.serving.http import PREFIXES, HttpSettings, create_app

VERB = "serve.invoke"


def serves(path: str) -> bool:
    """Whether a path belongs to the data plane."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PREFIXES)


def inference_app(process: Process, door: Doorkeeper) -> Any:
    """The ASGI application of the data plane; each call needs `serve.invoke` on its deployment."""
    asks, settings = Invocations(door), process.home.settings.section("serving", HttpSettings)
    return create_app(process.plane, clock=process.home.clock, metrics=process.serving, authorize=asks, settings=settings)


class Invocations:
    """Asks the door who calls and whether they may.

    An endpoint such as `delay.staging` belongs to the deployment that serves it; rights are asked on the deployment.
    """

    def __init__(self, door: Doorkeeper) -> None:
        self._door = door

    async def __call__(self, scope: Any, endpoint: str) -> None:
        """Return if the caller may invoke the endpoint ("": is known at all), or raise what turns them away."""
        principal = await self._door.principal(Request(scope))
        if endpoint:
            try:
                await self._door.allowed(principal, VERB, Resource(Kind.DEPLOYMENT, deployment_of(endpoint)))
            except NotFound:
                raise NotFound(f"There is no model named {endpoint!r}.") from None
