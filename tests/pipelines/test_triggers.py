"""Triggers: one event, one execution; guards delay and never drop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.pipelines import PipelineReconciler, Pipelines, Trigger, Triggers
from modelwright.pipelines.records import PipelineSpec, PlannedStep
from modelwright.pipelines.triggers.deciding import Heard, Observed, decide
from modelwright.store import Embedded

START = datetime(2013, 7, 1, tzinfo=UTC)
OPENED = "monitoring.incident.opened"


def trigger(**changed: Any) -> Trigger:
    return Trigger(**{"name": "t", "pipeline": "train", "on": OPENED, "created_at": START, **changed})


def seen(*events: tuple[int, str, list[str]], **changed: Any) -> Observed:
    heard = [Heard(seq=seq, action=action, refs=refs) for seq, action, refs in events]
    return Observed(**{"events": heard, "head": 100, "running": False, "last_fired_at": None, **changed})


def test_an_event_fires() -> None:
    decision = decide(trigger(), seen((7, OPENED, ["incident:1"])), START)
    assert decision.firing and decision.firing.cause == "event:7" and decision.firing.about == ["incident:1"]
    assert decision.seen == 100


def test_only_the_action_and_the_thing_it_names() -> None:
    about = trigger(about="model:pricing")
    others = seen((1, "models.version.registered", ["model:pricing/delay@1"]), (2, OPENED, ["model:pricing2@1"]))
    assert decide(about, others, START).firing is None
    for ref in ("model:pricing", "model:pricing@3", "model:pricing/delay@3"):
        assert decide(about, seen((3, OPENED, [ref])), START).firing is not None


def test_what_happens_while_it_runs_waits_and_then_fires_once_for_the_newest() -> None:
    events = ((7, OPENED, ["incident:1"]), (9, OPENED, ["incident:2"]))
    waiting = decide(trigger(), seen(*events, running=True), START)
    assert waiting.firing is None and waiting.seen == 7
    fired = decide(trigger(), seen(*events), START).firing
    assert fired and fired.cause == "event:9" and "1 more" in fired.reason


def test_too_soon_waits() -> None:
    soon = trigger(min_interval=3600)
    observed = seen((7, OPENED, []), last_fired_at=START)
    assert decide(soon, observed, START + timedelta(minutes=59)).firing is None
    assert decide(soon, observed, START + timedelta(minutes=60)).firing is not None


def test_a_schedule_fires_once_a_slot_and_makes_one_of_those_it_missed() -> None:
    daily = trigger(on="", every=86400.0)
    assert decide(daily, seen(), START + timedelta(hours=23)).firing is None
    fired = decide(daily, seen(), START + timedelta(days=3, hours=1)).firing
    assert fired and fired.cause == "at:2013-07-04T00:00:00.000000Z"
    observed = seen(last_slot="2013-07-04T00:00:00.000000Z")
    assert decide(daily, observed, START + timedelta(days=3, hours=2)).firing is None
    assert decide(daily, observed, START + timedelta(days=4)).firing is not None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_every_event_is_covered_by_a_firing_after_it_and_none_fires_twice(turns: list[tuple[bool, bool]]) -> None:
    events: list[tuple[int, str, list[str]]] = []
    looked, causes = 0, []
    for number, (happens, running) in enumerate([*turns, (False, False)]):
        if happens:
            events.append((number, OPENED, []))
        observed = seen(*(each for each in events if each[0] >= looked), running=running, head=number + 1)
        decision = decide(trigger(), observed, START + timedelta(seconds=number))
        looked = decision.seen
        if decision.firing:
            causes.append(int(decision.firing.cause.partition(":")[2]))
    assert len(set(causes)) == len(causes)
    if events:
        assert causes[-1] == events[-1][0]


def test_a_trigger_that_could_never_fire_or_would_never_stop_is_refused() -> None:
    for wrong in (trigger(on=""), trigger(every=0.1), trigger(on="pipelines.execution.finished")):
        with pytest.raises(Invalid):
            wrong.check()


class Started:
    """A starter that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], int | None]] = []

    def start(self, pipeline: str, *, params: Mapping[str, Any], reason: str, cause: int | None) -> None:
        self.calls.append((pipeline, dict(params), cause))


@pytest.fixture
def triggers(caller: Embedded, pipelines: Pipelines) -> Triggers:
    return Triggers(caller, pipelines=pipelines)


def happen(caller: Embedded, action: str = OPENED, ref: str = "incident:14") -> int:
    with caller.transaction(write=True) as tx:
        return tx.record(action, Ref.parse(ref), inputs=[Ref.parse("model:delay@3")])


def begin(pipelines: Pipelines, cause: int | None) -> Ref:
    version = pipelines.register("train", PipelineSpec(steps=[PlannedStep(key="a", step="a")], code={"a": "1"}))
    return pipelines.start("train", digest=version.digest, cause=cause).ref


def test_an_incident_starts_one_retraining_whatever_the_operator_goes_through(
    triggers: Triggers, pipelines: Pipelines, caller: Embedded
) -> None:
    happen(caller)  # before the trigger was there: does not count
    triggers.define("train", "on-incident", on=OPENED, about="model:delay", params={"month": 7})
    starter = Started()
    assert PipelineReconciler(triggers, starter).turn(START) == [] == starter.calls
    happen(caller)
    operator = PipelineReconciler(triggers, starter)
    for _ in range(3):
        operator.turn(START)
    PipelineReconciler(triggers, starter).turn(START)  # another operator, before the execution began
    assert {call[:1] for call in starter.calls} == {("train",)} and starter.calls[0][1] == {"month": 7}
    causes = {call[2] for call in starter.calls}
    assert len(causes) == 1, "one event is one cause, so that beginning it twice is beginning it once"
    ref = begin(pipelines, causes.pop())
    before = len(starter.calls)
    PipelineReconciler(triggers, starter).turn(START)
    assert len(starter.calls) == before
    pipelines.finish(ref, error="broken")
    PipelineReconciler(triggers, starter).turn(START)
    assert len(starter.calls) == before


def test_the_firing_is_on_the_record_with_what_caused_it(triggers: Triggers, caller: Embedded) -> None:
    triggers.define("train", "on-incident", on=OPENED)
    seq = happen(caller)
    due = triggers.look("train", "on-incident")
    assert len(due) == 1 and f"Event {seq}" in due[0].reason and due[0].seq > seq
    assert list(triggers.look("train", "on-incident")) == list(due)


def test_executions_whose_worker_died_are_gone_on_with(triggers: Triggers, pipelines: Pipelines, lease_clock: Any) -> None:
    begin(pipelines, None)
    starter = Started()
    operator = PipelineReconciler(triggers, starter)
    assert operator.turn(START) == []
    lease_clock.advance(timedelta(minutes=5))
    assert len(operator.turn(START)) == 1 and starter.calls == [("train", {}, None)]
    assert operator.turn(START) == []


def test_a_trigger_can_be_defined_anew_listed_and_removed(triggers: Triggers) -> None:
    first = triggers.define("train", "nightly", every=86400)
    assert triggers.define("train", "nightly", every=86400) == first
    triggers.define("train", "nightly", every=3600)
    assert [each.every for each in triggers.list()] == [3600]
    with pytest.raises(Conflict):
        triggers.define("other", "nightly", every=60)
    triggers.remove("train", "nightly")
    assert triggers.list() == []
