"""The plane follows the record: after a change, after a restart, and after a failing verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modelwright.core.errors import NotFound
from modelwright.core.refs import Ref
from modelwright.deployments.controller import Controller
from modelwright.deployments.records import RolloutState
from modelwright.models import Stage
from modelwright.serving import Call, Plane
from modelwright.workspace import Workspace

LENIENT = 'name = "standard"\n[tier.low]\ndescription = "Nothing is asked, so that these tests speak of serving only."\n'


@pytest.fixture
def trained(embedded: Workspace) -> Callable[[int], Ref]:
    """Registers a real model; another seed gives another version."""

    def make(seed: int) -> Ref:
        from sklearn.linear_model import LogisticRegression

        rng = np.random.default_rng(seed)
        x = rng.normal(size=(80, 1))
        model = LogisticRegression().fit(x, (x[:, 0] + rng.normal(size=80) > 0).astype(int))
        ref = embedded.models.log("delay", model, example={"x": x[:, 0]}).ref
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            embedded.models.promote(ref, stage, reason="for a test")
        return ref

    embedded.policy.adopt(LENIENT)
    return make


class World:
    """A workspace with one plane, whose clock the tests read."""

    def __init__(self, workspace: Workspace, cache: Path) -> None:
        self.workspace = workspace
        self.plane = Plane()
        self.controller = Controller(workspace.deployments, self.plane, cache)

    def turn(self) -> list[str]:
        return list(self.controller.turn(self.workspace.workspace.status().now))

    def ask(self, unit: str, x: float = 0.5) -> int:
        """The version that answers a unit."""
        call = Call(endpoint="delay", batch={"x": [x]}, request_id=unit, unit=unit)
        return self.plane.predict(call).arm.model.version


@pytest.fixture
def world(embedded: Workspace, tmp_path: Path) -> World:
    return World(embedded, tmp_path / "cache")


def test_a_deployment_is_served_after_a_turn(world: World, trained) -> None:
    ref = trained(1)
    world.workspace.deployments.deploy("delay", ref, "production")
    assert not world.controller.ready()
    assert world.turn() == [f"{ref} loaded", f"delay: {ref}, switch live"]
    assert world.controller.ready()
    assert world.ask("a") == ref.version
    assert world.turn() == []


def test_the_plane_comes_back_by_itself(world: World, trained, tmp_path: Path) -> None:
    first, second = trained(1), trained(2)
    world.workspace.deployments.deploy("delay", first, "production")
    world.workspace.deployments.deploy("delay", second, "production", strategy="canary")
    world.turn()
    sides = {str(i): world.ask(str(i)) for i in range(200)}
    assert set(sides.values()) == {first.version, second.version}
    reborn = World(world.workspace, tmp_path / "another cache")
    reborn.controller.sync()
    assert {unit: reborn.ask(unit) for unit in sides} == sides


def test_what_ends_begins_to_load_nothing_more(world: World, trained, tmp_path: Path) -> None:
    workspace = world.workspace
    workspace.deployments.deploy("delay", trained(1), "production")
    world.turn()
    files = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    late = Controller(workspace.deployments, Plane(), tmp_path / "cache")
    late.stop()
    late.sync()
    assert not late.ready()
    assert sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file()) == files


def test_what_the_plane_sees_decides_the_rollout(world: World, trained) -> None:
    first, second = trained(1), trained(2)
    world.workspace.deployments.deploy("delay", first, "production")
    world.workspace.deployments.deploy("delay", second, "production", strategy="canary")
    world.turn()
    for i in range(5200):
        world.ask(str(i))
    world.turn()
    placement = world.workspace.deployments.show("delay").placement("production")
    assert placement.rollout.state is RolloutState.PROMOTED, placement.rollout.judgement
    seen = placement.rollout.judgement.readings[0].seen
    assert seen.baseline + seen.candidate == 5200
    assert world.ask("anybody") == second.version


def test_a_rollback_needs_neither_registry_nor_objects(world: World, trained, tmp_path: Path) -> None:
    first, second = trained(1), trained(2)
    for ref in (first, second):
        world.workspace.deployments.deploy("delay", ref, "production", strategy="all_at_once")
        world.turn()
    for stored in (world.workspace.home.folder / "objects").rglob("*"):
        if stored.is_file():
            stored.unlink()
    world.workspace.deployments.rollback("delay", "production", reason="worse")
    world.turn()
    assert world.ask("a") == first.version


def test_no_request_is_lost_during_a_rollback(world: World, trained) -> None:
    first, second = trained(1), trained(2)
    for ref in (first, second):
        world.workspace.deployments.deploy("delay", ref, "production", strategy="all_at_once")
        world.turn()
    answers: list[int] = []
    lost: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(world.ask(str(len(answers))))
            except Exception as error:
                lost.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    world.workspace.deployments.rollback("delay", "production", reason="worse")
    world.turn()
    stop.set()
    for thread in threads:
        thread.join()
    assert lost == []
    assert answers[0] == second.version
    assert world.ask("afterwards") == first.version


def test_a_corrupt_candidate_is_rolled_back_and_stable_goes_on(world: World, trained) -> None:
    first, second = trained(1), trained(2)
    world.workspace.deployments.deploy("delay", first, "production")
    world.turn()
    objects = {path for path in (world.workspace.home.folder / "objects").rglob("*") if path.is_file()}
    (wanted,) = world.workspace.models.show(second).record.files.values()
    (stored,) = [path for path in objects if wanted in str(path).replace("/", "")]
    stored.chmod(0o600)
    stored.write_bytes(b"something else")
    world.workspace.deployments.deploy("delay", second, "production", strategy="canary")
    world.turn()
    rollout = world.workspace.deployments.show("delay").placement("production").rollout
    assert rollout.state is RolloutState.ROLLED_BACK
    assert "cannot be loaded" in rollout.outcome
    assert world.ask("a") == first.version


def test_a_retired_deployment_is_not_served(world: World, trained) -> None:
    world.workspace.deployments.deploy("delay", trained(1), "production")
    world.turn()
    world.workspace.deployments.retire("delay", reason="over")
    world.turn()
    with pytest.raises(NotFound):
        world.ask("a")
