"""Who asks, and who there is: the part of MLflow's accounts that means the same here.

Its permissions (READ, EDIT, MANAGE on single things) and ours (roles on paths) do not, and a password is set by nobody but
its owner: accounts and rights are kept with `mw user` and `mw token`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from modelwright.core.errors import NotFound
from modelwright.core.principals import Principal
from modelwright.server.mlflow.errors import missing
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.routing import SIGNED_IN
from modelwright.workspace import Workspace

_AT = "/2.0/mlflow/users"
ADMIN = "admin"


class Named(Message):
    """A request about somebody."""

    needs: ClassVar[Sequence[str]] = ("username",)
    username: str = ""


class Users:
    """What answers below `users`."""

    def __init__(self, workspace: Workspace) -> None:
        self._access = workspace.access

    def endpoints(self) -> list[Endpoint]:
        """`users/current`, `users/get` and `users/list`."""
        return [
            Endpoint("GET", f"{_AT}/current", self.current, needs=SIGNED_IN),
            Endpoint("GET", f"{_AT}/get", self.get, needs=SIGNED_IN),
            Endpoint("GET", f"{_AT}/list", self.list, needs=SIGNED_IN),
        ]

    async def current(self, call: Call) -> Any:
        """Who asks; on a server that does not want to know, whoever runs it."""
        principal: Principal = await call.principal()
        user = await call.run(lambda: _said(principal.id, admin=principal.trusted or self._is_admin(principal.id)))
        return {"user": user, "is_basic_auth": principal.auth == "password"}

    async def get(self, call: Call) -> Any:
        """One account, if the caller may see it."""
        name = (await call.message(Named)).username

        def work() -> Any:
            if all(account.id != name for account in self._access.list()):
                raise missing(f"User with username={name[:200]} not found")
            return _said(name, admin=self._is_admin(name))

        return {"user": await call.run(work)}

    async def list(self, call: Call) -> Any:
        """The accounts that the caller may see, service accounts included."""

        def work() -> Any:
            return [_said(account.id, admin=self._is_admin(account.id)) for account in self._access.list()]

        return {"users": await call.run(work)}

    def _is_admin(self, name: str) -> bool:
        try:
            rights = self._access.what_can(name)
        except NotFound:
            return False
        return any(right.role == ADMIN and right.scope == "*" and not right.deny for right in rights)


def _said(name: str, *, admin: bool) -> dict[str, Any]:
    return {"id": name, "username": name, "is_admin": admin}
