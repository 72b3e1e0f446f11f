"""What every door has in common."""

from __future__ import annotations

import httpx
import pyarrow as pa
import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.testing import serving
from modelwright.workspace import Workspace
from tests.server.conftest import Locked


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


def test_who_may_not_know_of_an_experiment_is_told_of_no_experiment_and_of_no_run(locked: Locked) -> None:
    locked.here.experiments.create("a/x")
    bob = locked.workspace(locked.token("bob", ("viewer", "run:b")))
    for name in ("a/x", "nowhere"):
        with pytest.raises(NotFound, match=f"There is no experiment '{name}'"):
            bob.views.list(name)


def test_who_may_read_the_runs_of_an_experiment_reads_all_that_is_on_record_of_them(locked: Locked) -> None:
    with locked.here.experiments.run("b/y", name="theirs", capture=False) as run:
        run.log_metric("loss", 0.5)
    bob = locked.token("bob", ("viewer", "run:b"))
    eve = locked.token("eve", ("viewer", "*"))
    locked.here.access.grant("eve", "viewer", scope="run:b", deny=True)
    record, barred = locked.workspace(bob).record, locked.workspace(eve).record
    for look in ("history", "lineage", "evidence"):
        getattr(record, look)(run.ref)
        with pytest.raises(NotFound, match=f"There is no run '{run.ref.name}'"):
            getattr(barred, look)(run.ref)
    assert [each.action for each in record.history(Ref.parse("experiment:b/y")).items]
    data = locked.here.datasets.add("seen", pa.table({"x": [1, 2]}))
    with locked.here.experiments.run("b/y", inputs=[data.ref], capture=False) as reader:
        pass
    locked.here.access.grant("bob", "viewer", scope="dataset:seen")
    assert reader.ref in record.lineage(data.ref).nodes and reader.ref not in barred.lineage(data.ref).nodes
    assert reader.ref in record.dependants(data.ref) and reader.ref not in barred.dependants(data.ref)
    for token, status in ((bob, 200), (eve, 404)):
        with locked.client(token, accept="text/html") as browser:
            assert browser.get(f"/runs/{run.ref.name}").status_code == status
