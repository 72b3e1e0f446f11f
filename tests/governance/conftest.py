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
def replayed(prepared: Path) -> Iterator[Workspace]:
    """A workspace on the simulated clock, under that policy."""
    settings = Settings(workspace=WorkspaceSettings(clock="simulated", starts="2013-01-01T00:00:00Z"))
    with open_workspace(prepared, settings=settings) as here:
        here.policy.adopt(POLICY)
        yield here


@pytest.fixture
def governance(replayed: Workspace) -> Governance:
    return replayed.governance


@pytest.fixture
def dataset(replayed: Workspace) -> Ref:
    import pyarrow as pa

    times = pa.array([START.replace(month=1 + i % 6) for i in range(60)], pa.timestamp("us", "UTC"))
    table = pa.table({"at": times, "x": [float(i) for i in range(60)], "name": ["someone"] * 60})
    return replayed.datasets.add("flights", table, time_column="at", personal=["name"]).ref


@pytest.fixture
def register(replayed: Workspace, dataset: Ref) -> Callable[..., ModelVersion]:
    """Registers a version of `delay`, made by ada, trained on the data set."""

    def make(content: bytes = b"one", name: str = "delay") -> ModelVersion:
        record = ModelRecord(
            format=Format.SKOPS,
            files={"model.skops": replayed.caller.blobs.put(content)},
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
            version = replayed.models.register(name, record=record)
            replayed.models.describe(version.ref.whole, Profile(owner="ada", purpose="Say which flights will be late."))
        return replayed.models.show(version.ref)

    return make


@pytest.fixture
def ship(replayed: Workspace) -> Callable[[Ref], None]:
    """Approves a version as grace, promotes it, and puts it live in production at once."""
    from modelwright.models import Stage

    def go(ref: Ref) -> None:
        replayed.models.promote(ref, Stage.STAGING, reason="tried")
        with acting_as(Principal(id="grace", trusted=True)):
            replayed.policy.approve(ref, "promote", reason="read the card and the slices")
        replayed.models.promote(ref, Stage.PRODUCTION, reason="approved")
        replayed.deployments.deploy("delay", ref, "production", strategy="all_at_once", reason="ready")

    return go
