"""Labels reach the rollout that is under way: it learns which side was wrong, each outcome once."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.models import ModelRecord, Stage
from modelwright.monitoring import Label, PerformanceRule, Watch
from modelwright.monitoring.ports import AT, ID, MODEL, VARIANT
from modelwright.monitoring.turn import MonitorTurn
from modelwright.serving import Format
from modelwright.workspace import Settings, WorkspaceSettings, open_workspace

START, HOUR = datetime(2013, 1, 1, tzinfo=UTC), timedelta(hours=1)
DEPLOYMENT = Ref.parse("deployment:delay")


@pytest.fixture
def workspace(prepared):
    settings = Settings(workspace=WorkspaceSettings(clock="simulated", starts="2013-01-01T00:00:00Z"))
    with open_workspace(prepared, settings=settings) as here:
        here.policy.adopt('name = "standard"\n[tier.high]\n')
        here.datasets.add("reference", pa.table({"score": [0.1, 0.9] * 200}))
        column = Column(name="score", dtype=DataType.FP64)
        for content in (b"one", b"two"):
            record = ModelRecord(
                format=Format.SKOPS,
                files={"model.skops": here.caller.blobs.put(content)},
                signature=Signature(inputs=[column], outputs=[column]),
                size=len(content),
            )
            ref = here.models.register("delay", record=record).ref
            for stage in (Stage.STAGING, Stage.PRODUCTION):
                here.models.promote(ref, stage, reason="for a test")
        yield here


def predictions(rows):
    """Rows of (id, version, score), a minute apart from two hours after the start."""
    times = [START + 2 * HOUR + timedelta(minutes=i) for i in range(len(rows))]
    return pa.table(
        {
            ID: [identity for identity, _, _ in rows],
            AT: pa.array(times, pa.timestamp("us", "UTC")),
            MODEL: [f"model:delay@{version}" for _, version, _ in rows],
            VARIANT: ["stable" if version == 1 else "canary" for _, version, _ in rows],
            "score": [score for _, _, score in rows],
        }
    )


@pytest.fixture
def turn(workspace, logged):
    judge = MonitorTurn(workspace.monitoring, workspace.datasets, logged, workspace.deployments)

    def at(moment):
        workspace.workspace.advance(moment)
        return [said for said in judge.turn(moment) if "told" in said]

    return at


@pytest.fixture
def seen(workspace):
    """What the rollout was told, from its readings of the guardrail."""

    def read():
        (placement,) = workspace.deployments.show("delay").placements
        found = [r.seen for r in placement.active.judgement.readings if r.guardrail == "quality"]
        return (found[0].baseline, found[0].baseline_bad, found[0].candidate, found[0].candidate_bad) if found else None

    return read


def watch(workspace):
    rule = PerformanceRule(output="score", maturity=HOUR)
    workspace.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:reference@1"), performance=rule))


def test_each_outcome_is_told_once(workspace, logged, turn, seen):
    for version in (1, 2):
        workspace.deployments.deploy("delay", Ref.parse(f"model:delay@{version}"), "production", reason="go")
    watch(workspace)
    logged.log("delay", predictions([("a", 1, 0.9), ("b", 1, 0.2), ("c", 2, 0.9), ("d", 2, 0.9)]))
    assert turn(START + 3 * HOUR) == []
    labels = [Label(id=i, label=x, at=START + 3 * HOUR) for i, x in (("a", 1), ("c", 0))]
    workspace.monitoring.label(DEPLOYMENT, labels)
    assert len(turn(START + 4 * HOUR)) == 1
    assert seen() == (1, 0, 1, 1)
    assert turn(START + 5 * HOUR) == []
    labels = [Label(id=i, label=0, at=START + 5 * HOUR) for i in ("b", "d")]
    workspace.monitoring.label(DEPLOYMENT, [*labels, Label(id="c", label=0, at=START + 3 * HOUR)])
    turn(START + 6 * HOUR)
    assert seen() == (2, 0, 2, 2)


def test_without_a_rollout_nothing_is_told(workspace, logged, turn):
    workspace.deployments.deploy("delay", Ref.parse("model:delay@1"), "production", reason="go")
    watch(workspace)
    logged.log("delay", predictions([("a", 1, 0.9)]))
    workspace.monitoring.label(DEPLOYMENT, [Label(id="a", label=0, at=START + 3 * HOUR)])
    assert turn(START + 4 * HOUR) == []


def test_what_is_watched_need_not_be_deployed_here(workspace, logged, turn):
    watch(workspace)
    logged.log("delay", predictions([("a", 1, 0.9)]))
    workspace.monitoring.label(DEPLOYMENT, [Label(id="a", label=0, at=START + 3 * HOUR)])
    assert turn(START + 4 * HOUR) == []
