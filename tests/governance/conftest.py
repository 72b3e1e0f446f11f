"""A workspace whose clock the test moves, with a model, its data, and a policy that asks for one approval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.governance import Governance
from modelwright.models import ModelRecord, ModelVersion, Profile
from modelwright.serving import Format
from modelwright.store import acting_as
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace

START = datetime(2013, 1, 1, tzinfo=UTC)
POLICY = """
name = "standard"
[tier.high]
description = "One approval, so that these tests can give one."
[[tier.high.require]]
id = "approval"
because = "Nobody lets their own work pass."
actions = ["promote"]
environments = ["production"]
approvals = 1
mend = "approve it"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    settings = Settings(workspace=WorkspaceSettings(clock="simulated", starts="2013-01-01T00:00:00Z"))
    with open_workspace(tmp_path / "project", settings=settings) as here:
        here.home.database.create_all()
        here.policy.adopt(POLICY)
        yield here


@pytest.fixture
def governance(workspace: Workspace) -> Governance:
    return Governance(
        workspace.caller,
        models=workspace.models,
        datasets=workspace.datasets,
        deployments=workspace.deployments,
        policy=workspace.policy,
        monitoring=workspace.monitoring,
    )


@pytest.fixture
def dataset(workspace: Workspace) -> Ref:
    import pyarrow as pa

    times = pa.array([START.replace(month=1 + i % 6) for i in range(60)], pa.timestamp("us", "UTC"))
    table = pa.table({"at": times, "x": [float(i) for i in range(60)], "name": ["someone"] * 60})
    return workspace.datasets.add("flights", table, time_column="at", personal=["name"]).ref


@pytest.fixture
def register(workspace: Workspace, dataset: Ref) -> Callable[..., ModelVersion]:
    """Registers a version of `delay`, made by ada, trained on the data set."""

    def make(content: bytes = b"one", name: str = "delay") -> ModelVersion:
        record = ModelRecord(
            format=Format.SKOPS,
            files={"model.skops": workspace.caller.blobs.put(content)},
            signature=Signature(
                inputs=[Column(name="x", dtype=DataType.FP64)], outputs=[Column(name="p", dtype=DataType.FP64)]
            ),
            size=len(content),
            framework="scikit-learn 1.7.2",
            datasets=[dataset],
            params={"max_depth": 3},
            licence="Apache-2.0",
        )
        with acting_as(Principal(id="ada", trusted=True)):
            version = workspace.models.register(name, record=record)
            workspace.models.describe(version.ref.whole, Profile(owner="ada", purpose="Say which flights will be late."))
        return workspace.models.show(version.ref)

    return make


@pytest.fixture
def ship(workspace: Workspace) -> Callable[[Ref], None]:
    """Approves a version as grace, promotes it, and puts it live in production at once."""
    from modelwright.models import Stage

    def go(ref: Ref) -> None:
        workspace.models.promote(ref, Stage.STAGING, reason="tried")
        with acting_as(Principal(id="grace", trusted=True)):
            workspace.policy.approve(ref, "promote", reason="read the card and the slices")
        workspace.models.promote(ref, Stage.PRODUCTION, reason="approved")
        workspace.deployments.deploy("delay", ref, "production", strategy="all_at_once", reason="ready")

    return go
