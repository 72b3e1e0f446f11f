"""The inference data plane behind the server's door: who may call what."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from modelwright.core.errors import BadRef, Gone, NotFound
from modelwright.core.operations import Resource
from modelwright.core.principals import OPERATOR
from modelwright.core.refs import Kind
from modelwright.deployments.records import deployment_of
from modelwright.server.process import Process
from modelwright.server.requests import Doorkeeper
from modelwright.serving.http import PREFIXES, HttpSettings, create_app

VERB = "serve.invoke"
HEALTH = ("/ping", "/v2/health/")


def serves(path: str) -> bool:
    """Whether a path belongs to the data plane."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PREFIXES)


def inference_app(process: Process, door: Doorkeeper) -> Any:
    """The ASGI application of the data plane; each call needs `serve.invoke` on its deployment."""
    asks, settings = Invocations(process, door), process.home.settings.section("serving", HttpSettings)
    plane, clock = process.plane, process.home.clock
    return Patient(process, create_app(plane, clock=clock, metrics=process.serving, authorize=asks, settings=settings))


class Patient:
    """Lets requests wait while a server that has just begun loads what is live; those that ask for its health do not."""

    def __init__(self, process: Process, app: Any) -> None:
        self._process, self._app = process, app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        loaded = self._process.loaded
        if not loaded.done() and not scope["path"].startswith(HEALTH):
            await asyncio.shield(asyncio.wrap_future(loaded))  # who goes away while waiting takes nobody along
        await self._app(scope, receive, send)


class Invocations:
    """Asks the door who calls and whether they may.

    An endpoint such as `delay@staging` belongs to the deployment that serves it; rights are asked on the deployment.
    Whoever may call one that was retired is told so, and its successor.
    """

    def __init__(self, process: Process, door: Doorkeeper) -> None:
        self._plane = process.plane
        self._deployments = process.workspace.deployments
        self._door = door

    async def __call__(self, scope: Any, endpoint: str) -> None:
        """Return if the caller may invoke the endpoint ("": is known at all), or raise what turns them away."""
        principal = await self._door.principal(Request(scope))
        if endpoint:
            try:
                await self._door.allowed(principal, VERB, Resource(Kind.DEPLOYMENT, deployment_of(endpoint)))
            except NotFound:
                raise NotFound(f"There is no model named {endpoint!r}.") from None
            if endpoint not in self._plane.routes:
                await self._door.run(OPERATOR, lambda: self._tell_retired(deployment_of(endpoint)))

    def _tell_retired(self, name: str) -> None:
        """Raise `Gone` for a deployment that was retired. One that was never there is for the plane to tell."""
        try:
            found = self._deployments.show(name)
        except (NotFound, BadRef):
            return
        if found.retired_at is not None:
            mend = f"Call {found.successor} in its place." if found.successor else "It has no successor."
            raise Gone(f"{found.ref} is retired.", mend=mend, details={"successor": str(found.successor or "")})
