"""Every operation of governance answers alike through every door, on every database."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.governance import Origin
from modelwright.models import ModelRecord, Profile, Stage
from modelwright.serving import Format
from modelwright.workspace import Workspace

DELAY, DEPLOYMENT = Ref.parse("model:delay"), Ref.parse("deployment:delay")


@pytest.fixture
def live(workspace: Workspace) -> Ref:
    """A version that went live under a policy which asks for nothing."""
    workspace.policy.adopt('name = "standard"\n[tier.high]\n')
    dataset = workspace.datasets.add("flights", pa.table({"x": [1.0, 2.0]})).ref
    column = Column(name="x", dtype=DataType.FP64)
    record = ModelRecord(
        format=Format.SKOPS,
        files={"model.skops": workspace.caller.blobs.put(b"one")},
        signature=Signature(inputs=[column], outputs=[column]),
        size=3,
        datasets=[dataset],
    )
    ref = workspace.models.register("delay", record=record).ref
    workspace.models.describe(DELAY, Profile(owner="ada", purpose="Say which flights will be late."))
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        workspace.models.promote(ref, stage, reason="tried")
    workspace.deployments.deploy("delay", ref, "production", reason="ready")
    return ref


def test_all_of_it(workspace: Workspace, live: Ref) -> None:
    governance = workspace.governance
    said = governance.state(DELAY, "caveats", "Not for freight.")
    card = governance.card(live)
    (caveats,) = [field for field in card.fields if field.name == "caveats"]
    assert (caveats.origin, caveats.by) == (Origin.DECLARED, said.author)
    piece = governance.publish_card(live)
    assert piece.figures["completeness"] == card.completeness
    assert "Not for freight." in workspace.caller.blobs.read(piece.report).decode()
    assert "Not for freight." in governance.html(live)

    incident = workspace.monitoring.report(DEPLOYMENT, "odd scores")
    assert governance.incident_report(incident.ref).startswith("# Incident 1: odd scores")
    (entry,) = governance.inventory()
    assert (entry.owner, entry.open_incidents) == ("ada", [incident.ref])
    assert [each.model for each in entry.live] == [live]
    assert governance.answer(DELAY).live[0].live.model == live
    now = workspace.workspace.status().now
    report = governance.value(since=now - timedelta(days=7))
    assert report.figure("lead_time").n == 1
    assert report.figure("change_failure_rate").value == 1.0
    assert governance.value(since=datetime(2000, 1, 1, tzinfo=UTC), until=datetime(2001, 1, 1, tzinfo=UTC)).figures
