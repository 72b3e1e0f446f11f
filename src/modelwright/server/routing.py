"""Every route says what it needs. A route that does not cannot be made, and one added behind our back stops the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.routing import Mount, Route, WebSocketRoute

PUBLIC = "public"  # answers anyone: liveness, the sign-in page, its style sheet
SIGNED_IN = "signed-in"  # any known principal; each operation behind it checks its own permission
DELEGATED = "delegated"  # a mounted application that asks the given permission itself, through the hook it was given


class Guarded(Route):
    """A route with its permission: `PUBLIC`, `SIGNED_IN`, or a verb asked by its endpoint on the resource named."""

    def __init__(self, path: str, endpoint: Any, *, needs: str, methods: Sequence[str] = ("GET",), name: str = "") -> None:
        super().__init__(path, endpoint, methods=list(methods), name=name or None)
        self.needs = needs


class GuardedMount(Mount):
    """A mounted application with its permission."""

    def __init__(self, path: str, app: Any, *, needs: str) -> None:
        super().__init__(path, app=app)
        self.needs = needs


def check_routes(routes: Iterable[Any]) -> None:
    """Raise if any route has no registered permission: the server must not start with a door nobody watches."""
    for route in routes:
        if not getattr(route, "needs", ""):
            path = getattr(route, "path", repr(route))
            kind = "web socket" if isinstance(route, WebSocketRoute) else "route"
            raise RuntimeError(f"The {kind} {path} has no registered permission; declare it with Guarded(..., needs=...)")
