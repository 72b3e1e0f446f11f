"""A server that wants to know who asks, and people to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from modelwright.client.remote import Remote
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace


class Locked:
    """A served workspace with authentication required. `here` is the same workspace, embedded and trusted."""

    def __init__(self, here: Workspace, url: str) -> None:
        self.here = here
        self.url = url

    def token(self, name: str, *grants: tuple[str, str], scopes: tuple[str, ...] = ()) -> str:
        """A token of a person, made if need be, who holds roles on scopes."""
        access = self.here.access
        if name not in {account.id for account in access.list()}:
            access.create_user(name)
        for role, scope in grants:
            access.grant(name, role, scope=scope)
        return access.create_token(name, scopes=scopes).token

    def client(self, token: str = "", **headers: str) -> httpx.Client:
        """A bare HTTP client; without a token, a stranger."""
        if token:
            headers["authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.url, headers=headers)

    def workspace(self, token: str) -> Workspace:
        """The workspace as whoever holds the token sees it."""
        return Workspace(Remote(self.url, token), address=self.url)


@pytest.fixture
def locked(prepared: Path) -> Iterator[Locked]:
    server = ServerSettings(authentication="required", turn_every=60.0, max_body=2**20)
    settings = Settings(workspace=WorkspaceSettings(name="test"), server=server)
    with open_workspace(prepared, settings=settings) as here, serving(here) as url:
        yield Locked(here, url)
