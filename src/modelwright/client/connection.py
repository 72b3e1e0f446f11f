"""Finding the workspace that a caller means."""

from __future__ import annotations

from pathlib import Path

from modelwright.core import reading
from modelwright.core.refs import Ref
from modelwright.workspace import Workspace, open_workspace, surroundings


def connect(where: str | Path | None = None, *, token: str | None = None) -> Workspace:
    """Open a workspace: a project folder or a server's address.

    By default the one that `MODELWRIGHT_WORKSPACE` names, else that of the project around the working directory.

    `token` is for a server; without one, the token kept by `mw login` for that address is used.
    """
    around = surroundings()
    reading.pin([Ref.parse(text) for text in around.pins])
    where = around.meant(where)
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        from modelwright.client.credentials import stored_token
        from modelwright.client.remote import Remote

        workspace = Workspace(Remote(where, token or stored_token(where)), address=where)
    else:
        workspace = open_workspace(None if where is None else Path(where))
    if around.reproduces:
        from modelwright.client.proving import prove

        return prove(workspace, around.reproduces, around.remade)
    return workspace
