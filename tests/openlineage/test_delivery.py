"""A receiver is told of what happens: nothing is lost, nobody waits for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelwright.core.clock import ManualClock
from modelwright.openlineage import LineageTurn
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.openlineage.judge import judge
from tests.webhooks.receiver import Receiver, receiving

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def told(prepared: Path, receiver: Receiver) -> Iterator[Workspace]:
    settings = Settings(
        workspace=WorkspaceSettings(name="test"),
        openlineage={"url": f"http://{receiver.host}", "api_key": "hush", "namespace": "lake"},
    )
    with open_workspace(prepared, settings=settings) as here:
        yield here


def turn(here: Workspace, clock: ManualClock) -> None:
    """A turn of a new process, and what it began."""
    assert here.home is not None
    reconciler = LineageTurn(here.openlineage, here.home.caller(), clock=clock)
    reconciler.turn(BEGIN)
    reconciler.end(wait=True)


def add(here: Workspace, name: str) -> None:
    here.datasets.add(name, pa.table({"x": [1]}), key="x")


def names(receiver: Receiver) -> list[str]:
    return [json.loads(body)["dataset"]["name"] for _, _, body in receiver.got]


def test_the_whole_ledger_is_told_once_and_then_what_is_new(told: Workspace, receiver: Receiver) -> None:
    clock = ManualClock(BEGIN)
    add(told, "one")
    turn(told, clock)
    add(told, "two")
    turn(told, clock)
    turn(told, clock)
    assert names(receiver) == ["dataset/one", "dataset/two"]
    path, headers, body = receiver.got[0]
    said: dict[str, Any] = json.loads(body)
    judge(said)
    assert (path, headers["authorization"], said["dataset"]["namespace"]) == ("/api/v1/lineage", "Bearer hush", "lake")


def test_a_receiver_that_is_down_is_told_again_after_a_while_and_in_order(told: Workspace, receiver: Receiver) -> None:
    clock = ManualClock(BEGIN)
    receiver.answers += [(503, {}, b"")]
    add(told, "one")
    add(told, "two")
    turn(told, clock)
    turn(told, clock)  # too early
    assert names(receiver) == ["dataset/one"]
    clock.advance(BEGIN + timedelta(seconds=2))
    turn(told, clock)
    assert names(receiver) == ["dataset/one", "dataset/one", "dataset/two"]


def test_an_event_that_is_called_wrong_keeps_no_other_back(told: Workspace, receiver: Receiver) -> None:
    receiver.answers += [(422, {}, b"no")]
    add(told, "one")
    add(told, "two")
    turn(told, ManualClock(BEGIN))
    assert names(receiver) == ["dataset/one", "dataset/two"]


def test_it_is_told_how_far_a_receiver_is_and_why_not_further(told: Workspace, receiver: Receiver) -> None:
    clock = ManualClock(BEGIN)
    receiver.answers += [(503, {}, b"")]
    add(told, "one")
    turn(told, clock)
    found = told.openlineage.delivery()
    assert found is not None and found.due is not None
    assert (found.told, found.failures, found.error) == (0, 1, "it answered 503")
    clock.advance(BEGIN + timedelta(seconds=2))
    turn(told, clock)
    found = told.openlineage.delivery()
    assert found is not None and (found.told, found.failures) == (found.events, 0)


def test_where_nobody_is_told_there_is_nothing_to_tell(embedded: Workspace) -> None:
    assert embedded.openlineage.delivery() is None
