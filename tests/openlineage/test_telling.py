"""The ledger in OpenLineage's words; every event before the judge."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelwright.cli.entry import run
from modelwright.core.refs import Ref
from modelwright.experiments import RunStatus
from modelwright.features import FeatureView, column
from modelwright.openlineage.datasets import Known
from modelwright.openlineage.naming import run_id
from modelwright.openlineage.telling import told
from modelwright.pipelines.records import Execution, ExecutionState, StepRecord, StepState
from modelwright.store import Event
from modelwright.workspace import Workspace
from tests.openlineage.judge import judge

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def exported(workspace: Workspace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(workspace.openlineage.export())
    for event in found:
        judge(event)
    return found


def test_what_happens_is_told_in_valid_events(workspace: Workspace) -> None:
    table = pa.table({"id": [1, 2], "at": pa.array([NOW, NOW], pa.timestamp("us", "UTC")), "x": [0.5, 1.5]})
    data = workspace.datasets.add("trips", table, key="id").ref
    view = workspace.features.apply(
        FeatureView(name="speed", entity="id", source="dataset:trips", event_time="at", features=[column("x")], owner="ada")
    )
    workspace.features.materialise(view.ref)
    run = workspace.experiments.start("delay", inputs=[data])
    workspace.experiments.log(run.ref, params={"depth": 4})
    workspace.experiments.finish(run.ref, status=RunStatus.FAILED, error="out of memory")
    workspace.datasets.retire(data)

    events = exported(workspace)

    kinds = [(event.get("eventType"), (event.get("job") or event.get("dataset"))["name"]) for event in events]
    assert kinds == [
        (None, "dataset/trips"), (None, "feature_view/speed"), (None, "feature_view/speed"),
        ("START", "feature_view/speed.materialise"), ("COMPLETE", "feature_view/speed.materialise"),
        ("START", "experiment/delay"), ("FAIL", "experiment/delay"), (None, "dataset/trips"),
    ]  # fmt: skip
    first, failed = events[0]["dataset"], events[6]["run"]
    assert first["namespace"].startswith("modelwright://")
    assert [each["name"] for each in first["facets"]["schema"]["fields"]] == ["id", "at", "x"]
    assert events[5]["run"]["runId"] == failed["runId"] == run_id(run.id)
    assert events[5]["inputs"][0]["facets"]["version"]["datasetVersion"] == "1"
    assert failed["facets"]["executionParameters"]["parameters"] == [{"key": "depth", "value": "4"}]
    assert failed["facets"]["errorMessage"]["message"] == "out of memory"
    assert events[7]["dataset"]["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"


def test_an_export_goes_on_where_a_stretch_ends(embedded: Workspace) -> None:
    for name in ("one", "two", "three"):
        embedded.datasets.add(name, pa.table({"x": [1]}), key="x")
    whole, start, found = exported(embedded), 0, []
    while start is not None:
        stretch = embedded.openlineage.told(start=start, limit=2)
        found, start = found + stretch.events, stretch.next
    assert found == whole and len(whole) == 3


EXECUTION = Execution(
    id="01HWRQ6W00AGBTVEBG1PS5KTQR", pipeline=Ref.parse("pipeline:late@2"), state=ExecutionState.FAILED, params={},
    run=Ref.parse("run:01HWRQ6W006DCQ985P4Z7G78PB"), reason="", cause=None, created_at=NOW, created_by="ada",
    error="fit failed",
    steps=[
        StepRecord(key="load", step="load", state=StepState.CACHED),
        StepRecord(key="fit", step="fit", state=StepState.FAILED, started_at=NOW, ended_at=NOW, error="no memory"),
        StepRecord(key="judge", step="judge"),
    ],
)  # fmt: skip
KNOWN = Known("modelwright://x", lambda r: None, lambda r: None, lambda r: None, lambda r: EXECUTION, lambda r: None)


def happened(action: str, resource: str, **more: Any) -> Event:
    return Event(seq=1, ts=NOW, action=action, actor={"id": "ada"}, resource=resource, **more)


def test_steps_are_runs_within_the_execution_and_one_that_never_began_is_not_told() -> None:
    event = happened("pipelines.execution.failed", f"execution:{EXECUTION.id}")
    events = told(event, KNOWN)
    for each in events:
        judge(each)
    assert [(each["eventType"], each["job"]["name"]) for each in events] == [
        ("START", "late.load"), ("COMPLETE", "late.load"), ("START", "late.fit"), ("FAIL", "late.fit"), ("FAIL", "late"),
    ]  # fmt: skip
    assert events[0]["run"]["facets"]["parent"]["run"]["runId"] == events[-1]["run"]["runId"]
    assert len({each["run"]["runId"] for each in events}) == 3


@pytest.mark.parametrize(("end", "kind"), [("promoted", "COMPLETE"), ("rolled_back", "ABORT"), ("superseded", "ABORT")])
def test_a_rollout_is_a_run_that_begins_once_and_ends_once(end: str, kind: str) -> None:
    runs = defaultdict(list)
    for before, after in (("pending", "analysing"), ("analysing", "waiting"), ("waiting", end)):
        event = happened(
            f"deployments.rollout.{after}", "deployment:late", outputs=["rollout:01HYESHZ0198FBNGCWXQEE4SVD"],
            before={"state": before}, after={"state": after, "model": "model:late@2"}, environment="production",
        )  # fmt: skip
        for each in told(event, KNOWN):
            judge(each)
            runs[each["run"]["runId"]].append(each["eventType"])
    assert list(runs.values()) == [["START", "RUNNING", "RUNNING", kind]]


def test_refusals_and_what_is_no_lineage_are_not_told() -> None:
    assert told(happened("access.role.granted", "principal:ada"), KNOWN) == []
    assert told(happened("datasets.version.retired", "dataset:d@1", decision="deny"), KNOWN) == []


def test_the_command_writes_one_event_to_a_line(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.datasets.add("trips", pa.table({"x": [1]}), key="x")
    (Path(embedded.address) / "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    assert run(["export", "openlineage", str(tmp_path / "out.jsonl"), "-w", embedded.address]) == 0
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == exported(embedded)
    assert "1 events in" in capsys.readouterr().out
