"""Finding the workspace that a caller means."""

from __future__ import annotations

from pathlib import Path

from modelwright.workspace import Workspace, open_workspace


def connect(where: str | Path | None = None, *, token: str | None = None) -> Workspace:
    """Open a workspace: a project folder (by default the one around the working directory) or a server's address.

    `token` is for a server; without one, the token kept by `mw login` for that address is used.
    """
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        from modelwright.client.credentials import stored_token
        from modelwright.client.remote import Remote

        return Workspace(Remote(where, token or stored_token(where)), address=where)
    return open_workspace(None if where is None else Path(where))
