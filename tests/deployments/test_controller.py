"""The plane follows the record: after a change, after a restart, and after a failing verdict."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from modelwright.core.errors import Corrupt, NotFound, Refused, Unavailable
from modelwright.core.refs import Ref
from modelwright.deployments import Deployments
from modelwright.deployments.controller import Controller, Packages
from modelwright.deployments.records import RolloutState
from modelwright.models import Models, ModelSettings, Signatures, Stage
from modelwright.serving import Call, Plane, Seal, private_key, public_pem, sign
from modelwright.serving.records import BUCKETS, bucket
from modelwright.workspace import Workspace
from tests.waiting import eventually

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


def pem_of_a_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


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


def dealt(salt: str, weight: float, count: int) -> Iterator[str]:
    """So many units, `weight` per cent of them the canary's: who is depends on the rollout's salt."""
    of_canary = round(count * weight / 100)
    left = {True: of_canary, False: count - of_canary}
    for number in itertools.count():
        side = bucket(salt, str(number)) < weight * BUCKETS / 100
        if left[side]:
            left[side] -= 1
            yield str(number)
        if not any(left.values()):
            return


def test_what_the_plane_sees_decides_the_rollout(world: World, trained) -> None:
    first, second = trained(1), trained(2)
    world.workspace.deployments.deploy("delay", first, "production")
    world.workspace.deployments.deploy("delay", second, "production", strategy="canary")
    world.turn()
    rollout = world.workspace.deployments.show("delay").placement("production").rollout
    for unit in dealt(rollout.salt, rollout.strategy.steps[0].weight, 5200):
        world.ask(unit)
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
    try:
        eventually(lambda: answers or lost, "An answer")
        world.workspace.deployments.rollback("delay", "production", reason="worse")
        world.turn()
    finally:
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


def damage(workspace: Workspace, ref: Ref) -> tuple[Path, bytes]:
    """Change a stored file of a version; where it lies, and what it was."""
    (digest,) = workspace.models.show(ref).record.files.values()
    path = workspace.home.folder / "objects" / digest[:2] / digest
    before = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    return path, before


def test_a_version_whose_file_was_changed_is_not_served_and_the_record_says_why(
    world: World, trained, tmp_path: Path
) -> None:
    ref = trained(1)
    world.workspace.deployments.deploy("delay", ref, "production")
    path, before = damage(world.workspace, ref)
    reborn = World(world.workspace, tmp_path / "another cache")
    world.workspace.home.failing = lambda: reborn.controller.unserved
    (said,) = [each for each in reborn.turn() if "cannot be loaded" in each]
    assert "'model.skops' is damaged" in said
    (lost,) = world.workspace.deployments.unserved()
    assert (lost.endpoint, lost.environment, lost.model) == ("delay", "production", ref) and "is damaged" in lost.why
    with pytest.raises(Unavailable, match=f"{ref} cannot be loaded") as refused:
        reborn.ask("a")
    assert str(path.parent.parent) not in str(refused.value)  # where things lie here is not for whoever asks
    path.write_bytes(before)
    while not reborn.controller.ready():
        reborn.turn()
    assert reborn.ask("a") == ref.version and world.workspace.deployments.unserved() == []


def test_what_is_broken_is_not_read_again_at_every_turn(world: World, trained) -> None:
    ref = trained(1)
    world.workspace.deployments.deploy("delay", ref, "production")
    damage(world.workspace, ref)
    tries = []

    class Counting(type(world.workspace.deployments.blobs)):
        def fetch(self, digest: str, path: Path) -> Path:
            tries.append(digest)
            return super().fetch(digest, path)

    blobs = Counting.open(world.workspace.home.folder / "objects")
    packages = Packages(blobs, world.workspace.home.folder / "cache" / "models")
    release = world.workspace.deployments.show("delay").placement("production").stable
    told = [packages.keep([release]) for _ in range(200)]
    assert len(tries) == 9 and sum(map(len, told)) == 1  # after 1, 2, 4, ... and at last 64 turns
    packages.keep([])
    assert packages.troubles == {} and packages.broken == {}


@pytest.mark.parametrize("how", ["forged", "of other files"])
def test_a_version_whose_signature_is_broken_is_not_served(world: World, trained, tmp_path: Path, how: str) -> None:
    ref = trained(1)
    key = tmp_path / "key.pem"
    key.write_bytes(pem_of_a_key())
    signed = world.workspace.signatures.sign(ref, key)
    other = sign("delay@1", dict.fromkeys(signed.record.files, "00" * 32), private_key(key.read_bytes()))
    forged = Seal(bundle=signed.seal.bundle.replace('"sig": "', '"sig": "AAAA'), key=signed.seal.key)
    world.workspace.deployments.deploy("delay", ref, "production")
    placement = world.workspace.deployments.show("delay").placement("production")
    seal = forged if how == "forged" else other
    release = replace(placement.stable, manifest=replace(placement.stable.manifest, seal=seal))
    packages = Packages(world.workspace.deployments.blobs, tmp_path / "packages")
    (said,) = packages.keep([release])
    assert "not the one that was signed" in said or "does not verify" in said
    assert packages.loaded == {}


def test_a_gate_asks_whether_the_key_of_a_signature_counts_now(embedded: Workspace, trained, tmp_path: Path) -> None:
    ref, key = trained(1), tmp_path / "key.pem"
    key.write_bytes(pem_of_a_key())
    public = tmp_path / "public.pem"
    public.write_text(public_pem(key.read_bytes()))
    embedded.policy.adopt(LENIENT + '[[tier.low.require]]\nid = "signed"\nevidence = "signature"\n')

    def room(*trusted: Path) -> Deployments:
        settings = ModelSettings(trusted_keys=[str(each) for each in trusted])
        signatures = Signatures(embedded.caller, settings=settings)
        return Deployments(embedded.caller, models=Models(embedded.caller, signatures=signatures))

    embedded.signatures.sign(ref, key)
    with pytest.raises(Refused, match=r"none of the trusted ones.*mw sign"):
        room().deploy("delay", ref, "production")
    room(public).deploy("delay", ref, "production")
    with pytest.raises(Refused, match="none of the trusted ones"):
        room().deploy("delay", ref, "staging")
    pieces = embedded.record.evidence(ref, "signature")
    assert [each.verdict.value for each in pieces] == ["warn", "pass", "warn"]
    (gate, *_) = embedded.policy.gates(ref)
    assert embedded.policy.replay(ref, gate.id).same  # the piece that it refused for is on the record
    damage(embedded, ref)
    with pytest.raises(Corrupt, match=r"'model\.skops' of model:delay@1 is damaged"):
        room(public).deploy("delay", ref, "staging")
    with pytest.raises(Corrupt, match=r"'model\.skops' of model:delay@1 is damaged"):
        embedded.models.check_stored(ref)
