"""A receiver, and a workspace that may reach it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def reaching(prepared: Path, receiver: Receiver) -> Iterator[Workspace]:
    """An embedded workspace whose settings name the receiver."""
    settings = Settings(workspace=WorkspaceSettings(name="test"), webhooks={"hosts": [receiver.host]})
    with open_workspace(prepared, settings=settings) as here:
        yield here
