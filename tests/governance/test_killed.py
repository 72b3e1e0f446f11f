"""A deletion under retention whose process is killed in its middle, on PostgreSQL; and what verifying says meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from modelwright.cli.entry import run
from modelwright.core.refs import Ref
from modelwright.workspace import Workspace, open_workspace

KILLED = """
import os, signal, sys
import modelwright
from modelwright.store.objects import Objects

plain, left = Objects.delete, int(sys.argv[2])

def dying(self, digest):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return plain(self, digest)

Objects.delete = dying
modelwright.connect(sys.argv[1]).retention.carry_out()
"""


def due(project: Path, database: str, *, grace: float = 0.0) -> tuple[Ref, Ref]:
    """A project with two versions of which the first is older than allowed."""
    project.mkdir(exist_ok=True)
    (project / "modelwright.toml").write_text(
        f'[workspace]\nclock = "simulated"\ndatabase = {json.dumps(database)}\n[retention]\ngrace = {grace}\n'
    )
    with open_workspace(project) as here:
        first = here.datasets.add("crm/people", pa.table({"id": [1, 2], "email": ["a@x.org", "b@x.org"]}), key="id").ref
        here.workspace.advance(here.workspace.status().now + timedelta(days=40))
        second = here.datasets.add("crm/people", pa.table({"id": [3], "email": ["c@x.org"]}), key="id").ref
        here.retention.declare("short", "30d", ["datasets:crm"], reason="article 5(1)(e)")
    return first, second


def objects(here: Workspace) -> set[str]:
    return set(here.caller.blobs.list())  # type: ignore[attr-defined]


def named(here: Workspace, ref: Ref) -> set[str]:
    """The objects that the ledger says were put out of reach with a version."""
    return {*next(e.before["objects"] for e in here.record.history(ref).items if e.action == "retention.deletion.begun")}


@pytest.mark.parametrize("deletes", [1, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0, 2))])
def test_who_is_killed_while_objects_go_is_finished_by_the_next(
    tmp_path: Path, workspace_postgres: str, deletes: int
) -> None:
    first, second = due(tmp_path / "project", workspace_postgres)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "project"), str(deletes)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with open_workspace(tmp_path / "project") as here:
        assert here.datasets.show(first).tombstone is not None  # the first step had been committed
        (check,) = here.retention.verify()
        assert check.deletion.finished_at is None
        assert run(["retention", "verify", "-w", str(tmp_path / "project")]) == 0  # pending, and nothing that failed
        (finished,) = here.retention.carry_out()
        assert (finished.ref, finished.id) == (first, check.deletion.id)
        (check,) = here.retention.verify()
        assert check.holds, check.findings
        assert finished.gone == len(named(here, first))
        assert not named(here, first) & objects(here)
        assert here.datasets.read(second)["email"].to_pylist() == ["c@x.org"]
        assert list(here.retention.carry_out()) == []
    assert run(["retention", "verify", "-w", str(tmp_path / "project")]) == 0


def test_verifying_exits_with_0_while_a_proof_is_pending_and_with_another_code_where_one_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.retention import PROOF_FAILED

    project = tmp_path / "project"
    first, _ = due(project, "", grace=3600.0)
    with open_workspace(project) as here:
        (waiting,) = here.retention.carry_out()
        assert (waiting.ref, waiting.finished_at) == (first, None)
    capsys.readouterr()
    assert run(["retention", "verify", "-w", str(project)]) == 0
    assert "is out of reach, and is not proved gone yet" in capsys.readouterr().out
    assert run(["retention", "verify", str(first), "--json", "-w", str(project)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["deletion"]["finished_at"]) == (False, None)
    (project / "modelwright.toml").write_text('[workspace]\nclock = "simulated"\n[retention]\ngrace = 0.0\n')
    with open_workspace(project) as here:
        (gone,) = here.retention.carry_out()
        assert gone.finished_at is not None
        digest = min(named(here, first))
    assert run(["retention", "verify", "-w", str(project)]) == 0
    (project / ".modelwright" / "objects" / digest[:2] / digest).write_bytes(b"there again")
    assert run(["retention", "verify", "-w", str(project)]) == PROOF_FAILED
    assert run(["retention", "verify", gone.id, "-w", str(project)]) == PROOF_FAILED
