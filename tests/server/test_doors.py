"""What every door has in common."""

from __future__ import annotations

import httpx
import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.testing import serving
from modelwright.workspace import Workspace


def test_the_workspace_says_how_it_stands_through_every_door(workspace: Workspace) -> None:
    status = workspace.workspace.status()
    assert status.name == "test"
    assert status.clock == "system"


def test_a_clock_that_is_the_machines_does_not_move(workspace: Workspace) -> None:
    with pytest.raises(Conflict, match="simulated"):
        workspace.workspace.advance(workspace.workspace.status().now)


def test_a_wrong_argument_is_named_through_every_door(workspace: Workspace) -> None:
    with pytest.raises(Invalid, match=r"workspace\.advance, to"):
        workspace.workspace.advance("tomorrow")  # type: ignore[arg-type]


def test_a_foreign_host_name_is_turned_away(embedded: Workspace) -> None:
    with serving(embedded) as url:
        assert httpx.get(f"{url}/healthz").text == "ok\n"
        answer = httpx.get(f"{url}/healthz", headers={"host": "evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "denied")


def test_a_page_of_another_site_changes_nothing(embedded: Workspace) -> None:
    with serving(embedded) as url:
        answer = httpx.post(f"{url}/api/v1/workspace/status", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
