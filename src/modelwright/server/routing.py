"""Every route says what it needs. A route that does not cannot be made, and one added behind our back stops the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount, Route, Router, WebSocketRoute, request_response

PUBLIC = "public"  # answers anyone: liveness, the sign-in page, its style sheet
SIGNED_IN = "signed-in"  # any known principal; each operation behind it checks its own permission
DELEGATED = "delegated"  # a mounted application that asks the given permission itself, through the hook it was given


class Guarded(Route):
    """A route with its permission: `PUBLIC`, `SIGNED_IN`, or a verb asked by its endpoint on the resource named."""

    def __init__(self, path: str, endpoint: Any, *, needs: str, methods: Sequence[str] = ("GET",), name: str = "") -> None:
        super().__init__(path, endpoint, methods=list(methods), name=name or None)
        self.needs = needs


class Operated(BaseRoute):
    """A route of one plain path that is posted to, with its permission.

    Hundreds of them are made at each start, so no pattern is compiled: a path is this one or it is not.
    """

    def __init__(self, path: str, endpoint: Any, *, needs: str) -> None:
        self.path = path
        self.needs = needs
        self.methods = frozenset({"POST"})
        self.app = request_response(endpoint)

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """See Starlette's `BaseRoute`."""
        if scope["type"] != "http" or get_route_path(scope) != self.path:
            return Match.NONE, {}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """See Starlette's `BaseRoute`."""
        if scope["method"] not in self.methods:
            raise HTTPException(status_code=405, headers={"Allow": ", ".join(self.methods)})
        await self.app(scope, receive, send)


class GuardedMount(Mount):
    """A mounted application with its permission."""

    def __init__(self, path: str, app: Any, *, needs: str) -> None:
        super().__init__(path, app=app)
        self.needs = needs


class Directory(Router):
    """A router that finds a path without parts to fill in by one look, not by trying hundreds of patterns in a row.

    Everything else, and every answer, is Starlette's: a path that an earlier pattern takes stays with it.
    """

    def __init__(self, routes: Sequence[BaseRoute], *, lifespan: Any = None) -> None:
        super().__init__(routes, lifespan=lifespan)
        self._plain: dict[tuple[str, str], Route | Operated] = {}
        patterns: list[BaseRoute] = []
        for route in routes:
            if not isinstance(route, Route | Operated) or "{" in route.path:
                patterns.append(route)
                continue
            for method in route.methods or ():
                asked = {"type": "http", "path": route.path, "root_path": "", "method": method}
                if not any(each.matches(asked)[0] is Match.FULL for each in patterns):
                    self._plain.setdefault((route.path, method), route)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as Starlette's router does."""
        route = self._plain.get((scope["path"], scope["method"])) if scope["type"] == "http" else None
        if route is None:
            await super().app(scope, receive, send)
            return
        scope["router"], scope["route"] = self, route
        scope.update(route.matches(scope)[1])
        await route.handle(scope, receive, send)


def check_routes(routes: Iterable[Any]) -> None:
    """Raise if any route has no registered permission: the server must not start with a door nobody watches."""
    for route in routes:
        if not getattr(route, "needs", ""):
            path = getattr(route, "path", repr(route))
            kind = "web socket" if isinstance(route, WebSocketRoute) else "route"
            raise RuntimeError(f"The {kind} {path} has no registered permission; declare it with Guarded(..., needs=...)")
