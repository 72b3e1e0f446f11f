"""Registered versions that may go live, and a way to let a rollout see traffic without a server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.models import ModelRecord, Stage
from modelwright.serving import Format
from modelwright.workspace import Workspace

LENIENT = 'name = "standard"\n[tier.low]\ndescription = "Nothing is asked, so that these tests speak of rollouts only."\n'


@pytest.fixture
def register(workspace: Workspace) -> Callable[..., Ref]:
    """Registers a version of a model with some content, on a stage."""

    def make(name: str, content: bytes, stage: Stage = Stage.PRODUCTION) -> Ref:
        record = ModelRecord(
            format=Format.SKOPS,
            files={"model.skops": workspace.caller.blobs.put(content)},
            signature=Signature(
                inputs=[Column(name="x", dtype=DataType.FP64)], outputs=[Column(name="probability", dtype=DataType.FP64)]
            ),
            size=len(content),
        )
        ref = workspace.models.register(name, record=record).ref
        for each in (Stage.STAGING, Stage.PRODUCTION):
            if stage in (each, Stage.PRODUCTION):
                workspace.models.promote(ref, each, reason="for a test")
        return ref

    workspace.policy.adopt(LENIENT)
    return make


@pytest.fixture
def versions(register: Callable[..., Ref]) -> Callable[[int], list[Ref]]:
    """Makes so many production versions of the model `delay`."""
    return lambda count: [register("delay", b"content %d" % i) for i in range(count)]
