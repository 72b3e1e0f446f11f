"""The data plane: who answers, what is counted, and what happens when a candidate fails."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import Arm, Call, Format, Intake, Manifest, Plane, Route, ServingMetrics, Switch, Variant
from modelwright.serving.plane import ModelFailed
from tests.waiting import eventually

SIGNATURE = Signature(
    inputs=[Column(name="x", dtype=DataType.FP64)], outputs=[Column(name="version", dtype=DataType.INT64)]
)


class Echo:
    """A model that answers with its own version number, or fails on values that it was told to fail on."""

    def __init__(self, version: int, *, fails_from: float = float("inf"), signature: Signature = SIGNATURE) -> None:
        self.manifest = Manifest(
            name="delay", version=version, format=Format.SKOPS, files={}, signature=signature, digest=f"d{version}"
        )
        self._fails_from = fails_from

    def predict(self, columns: dict[str, Any]) -> dict[str, Any]:
        if (columns["x"] >= self._fails_from).any():
            raise RuntimeError("secret: the customer's name")
        return {"version": np.full(len(columns["x"]), self.manifest.version)}


def arm(version: int) -> Arm:
    return Arm(model=Ref("model", "delay", version), digest=f"d{version}")


def plane_of(*models: Echo, **settings: Any) -> Plane:
    """A plane with one endpoint, `delay`: the first model is stable, the second the canary."""
    plane = Plane()
    canary = arm(models[1].manifest.version) if len(models) > 1 else None
    route = Route(endpoint="delay", stable=arm(models[0].manifest.version), canary=canary, salt="r1", **settings)
    plane.swap([route], {model.manifest.digest: model for model in models})
    return plane


def call(x: Any = 1.0, **more: Any) -> Call:
    return Call(endpoint="delay", batch={"x": x if isinstance(x, list) else [x]}, request_id="q", **more)


def test_an_unknown_endpoint_is_not_found() -> None:
    with pytest.raises(NotFound, match="'other'"):
        plane_of(Echo(1)).predict(Call(endpoint="other", batch={}, request_id="q"))


@given(st.text(), st.text(min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_a_growing_weight_never_takes_a_unit_back(salt: str, unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    at_low = Route(endpoint="e", stable=arm(1), canary=arm(2), salt=salt, weight=low).side(unit)
    at_high = Route(endpoint="e", stable=arm(1), canary=arm(2), salt=salt, weight=high).side(unit)
    assert at_low is Variant.STABLE or at_high is Variant.CANARY


def test_units_are_dealt_as_the_weight_says_and_anew_for_each_rollout() -> None:
    first = Route(endpoint="e", stable=arm(1), canary=arm(2), salt="one", weight=10)
    second = Route(endpoint="e", stable=arm(1), canary=arm(2), salt="two", weight=10)
    ours = {unit for unit in map(str, range(10_000)) if first.side(unit) is Variant.CANARY}
    theirs = {unit for unit in map(str, range(10_000)) if second.side(unit) is Variant.CANARY}
    assert 900 < len(ours) < 1100
    assert len(ours & theirs) < 200


def test_the_salt_and_the_bucket_are_those_of_the_specification() -> None:
    import hashlib

    from modelwright.serving.records import bucket

    assert bucket("s", "u") == int(hashlib.sha256(b"su").hexdigest()[:16], 16) % 10_000


def test_a_failing_canary_is_covered_and_counted() -> None:
    plane = plane_of(Echo(1), Echo(2, fails_from=0.0), weight=100)
    answer = plane.predict(call(unit="a"))
    assert (answer.outputs["version"].tolist(), answer.variant) == ([1], "stable")
    assert answer.parts[0].rescued
    (tally,) = plane.tallies()
    assert (tally.variant, tally.requests, tally.errors, tally.streak, tally.units) == (Variant.CANARY, 1, 1, 1, 1)


def test_a_canary_that_asks_for_more_than_requests_have_is_failing() -> None:
    more = Signature(inputs=[*SIGNATURE.inputs, Column(name="y", dtype=DataType.FP64)], outputs=SIGNATURE.outputs)
    plane = plane_of(Echo(1), Echo(2, signature=more), weight=100)
    assert plane.predict(call(unit="a")).outputs["version"].tolist() == [1]
    assert plane.tallies()[0].errors == 1


def test_a_wrong_request_is_nobodys_failure() -> None:
    plane = plane_of(Echo(1), Echo(2), weight=100)
    with pytest.raises(Invalid, match="Column 'x'"):
        plane.predict(call("text", unit="a"))
    assert plane.tallies() == []


def test_a_models_own_words_are_not_told() -> None:
    plane = plane_of(Echo(1, fails_from=0.0))
    with pytest.raises(ModelFailed) as caught:
        plane.predict(call())
    assert "secret" not in str(caught.value)
    assert "RuntimeError" in str(caught.value)
    assert plane.tallies()[0].errors == 1


def test_one_version_can_be_asked_and_does_not_count() -> None:
    plane = plane_of(Echo(1), Echo(2), weight=0)
    assert plane.predict(call(version=2)).outputs["version"].tolist() == [2]
    assert plane.tallies() == []
    with pytest.raises(NotFound, match="serves version 1 and 2, not 3"):
        plane.predict(call(version=3))


def test_a_batch_is_divided_by_the_units_of_its_rows_and_put_back_in_order() -> None:
    plane = plane_of(Echo(1), Echo(2), weight=50, intake=Intake(unit_column="tail", keys=["flight"]))
    units = [f"N{i}" for i in range(40)]
    batch = {"x": [float(i) for i in range(40)], "tail": units, "flight": list(range(40))}
    answer = plane.predict(Call(endpoint="delay", batch=batch, request_id="q"))
    route = plane.route("delay")
    assert answer.outputs["version"].tolist() == [2 if route.side(u) is Variant.CANARY else 1 for u in units]
    assert answer.variant == "mixed"
    assert {row: part.arm.model.version for part in answer.parts for row in part.rows.tolist()} == {
        i: 2 if route.side(u) is Variant.CANARY else 1 for i, u in enumerate(units)
    }
    assert answer.keys["flight"].tolist() == list(range(40))
    assert sum(tally.units for tally in plane.tallies()) == 40


def test_the_kill_switch() -> None:
    off = plane_of(Echo(1), switch=Switch.OFF)
    with pytest.raises(Unavailable, match="switched off"):
        off.predict(call())
    answer = plane_of(Echo(1), switch=Switch.FALLBACK, fallback={"version": 7}).predict(call([1.0, 2.0]))
    assert (answer.outputs["version"].tolist(), answer.variant) == ([7, 7], "fallback")


def test_a_table_that_names_a_model_which_is_not_loaded_is_not_put_in_force() -> None:
    plane = plane_of(Echo(1))
    with pytest.raises(Invalid, match="no model with digest d9"):
        plane.swap([Route(endpoint="delay", stable=arm(9))], {})
    assert plane.predict(call()).outputs["version"].tolist() == [1]


def test_no_request_is_lost_while_the_table_is_swapped() -> None:
    models = {"d1": Echo(1), "d2": Echo(2)}
    plane = Plane()
    stop = threading.Event()
    lost: list[Exception] = []
    answered = [0]

    def ask() -> None:
        while not stop.is_set():
            try:
                assert plane.predict(call(unit=str(answered[0]))).outputs["version"][0] in (1, 2)
            except Exception as error:
                lost.append(error)
            answered[0] += 1

    plane.swap([Route(endpoint="delay", stable=arm(1))], models)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    swaps = itertools.count()

    def swapped() -> bool:
        i = next(swaps)
        plane.swap([Route(endpoint="delay", stable=arm(1 + i % 2), canary=arm(2 - i % 2), weight=30, salt=str(i))], models)
        return i >= 300 and answered[0] > 100

    try:
        eventually(swapped, "Swaps while requests are answered", pause=0)
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert lost == []


def test_what_should_answer_and_cannot_is_not_said_to_be_unknown() -> None:
    plane = plane_of(Echo(1))
    plane.swap([], {}, {"delay": Ref.parse("model:delay@1")})
    with pytest.raises(Unavailable, match="model:delay@1 cannot be loaded"):
        plane.predict(Call(endpoint="delay", batch={"x": [1.0]}, request_id="a"))
    assert 'modelwright_model_ready{model="delay",version="1"} 0' in ServingMetrics().exposition(plane)
    plane.swap([], {})
    with pytest.raises(NotFound):
        plane.predict(Call(endpoint="delay", batch={"x": [1.0]}, request_id="a"))
