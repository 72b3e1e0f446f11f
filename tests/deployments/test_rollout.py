"""The decision about a rollout, from facts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import msgspec
import pytest

from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.core.signature import Signature
from modelwright.deployments.records import (
    MOVES,
    Arms,
    Judgement,
    Outcome,
    Release,
    Rollout,
    RolloutState,
    Step,
    Strategy,
    WhenInconclusive,
)
from modelwright.deployments.rollout import Advance, Begin, Pause, Promote, RollBack, Wait, decide
from modelwright.serving import Format, Manifest

START = datetime(2013, 7, 1, tzinfo=UTC)
STEPS = [Step(weight=5, min_duration=60, max_duration=600), Step(weight=25, min_duration=60, max_duration=600)]


def rollout(**changes: Any) -> Rollout:
    manifest = Manifest(
        name="delay", version=2, format=Format.ONNX, files={}, signature=Signature(inputs=[], outputs=[]), digest="d2"
    )
    made = Rollout(
        id="01",
        deployment=Ref.parse("deployment:delay"),
        environment="production",
        candidate=Release(model=Ref.parse("model:delay@2"), manifest=manifest, at=START, by="ada"),
        baseline=Ref.parse("model:delay@1"),
        strategy=Strategy(name="test", steps=STEPS),
        state=RolloutState.ANALYSING,
        step=0,
        step_since=START,
        step_seen=Arms(baseline=1900, candidate=100),
        judgement=judged(Outcome.INCONCLUSIVE),
        started_at=START,
        by="ada",
        reason="",
    )
    return msgspec.structs.replace(made, **changes)


def judged(outcome: Outcome, *, skewed: bool = False) -> Judgement:
    return Judgement(outcome=outcome, why="because", skewed=skewed)


def after(seconds: float, **changes: Any) -> Any:
    return decide(rollout(**changes), START + timedelta(seconds=seconds), loaded=True)


def with_last(**changes: Any) -> Strategy:
    return Strategy(name="test", steps=[STEPS[0], msgspec.structs.replace(STEPS[1], **changes)])


def test_a_pending_rollout_begins_once_the_candidate_is_loaded() -> None:
    waiting = rollout(state=RolloutState.PENDING)
    assert decide(waiting, START, loaded=False) is None
    assert decide(waiting, START, loaded=True) == Begin()
    assert isinstance(decide(waiting, START, loaded=False, broken="no file"), RollBack)


def test_a_step_on_the_way_needs_time_and_requests_but_no_verdict() -> None:
    assert after(59) is None
    assert after(60) == Advance()
    assert after(60, step_seen=Arms(candidate=99)) is None


def test_the_last_step_needs_a_pass() -> None:
    assert after(60, step=1) is None
    assert after(59, step=1, judgement=judged(Outcome.PASS)) is None
    assert isinstance(after(60, step=1, judgement=judged(Outcome.PASS)), Promote)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [(WhenInconclusive.PAUSE, Pause), (WhenInconclusive.ROLL_BACK, RollBack), (WhenInconclusive.PROMOTE, Promote)],
)
def test_a_step_whose_time_is_up_does_as_it_was_told(choice: WhenInconclusive, expected: type) -> None:
    assert isinstance(after(600, step=1, strategy=with_last(when_inconclusive=choice)), expected)


def test_a_failing_verdict_ends_every_state_that_is_not_the_end() -> None:
    for state in (RolloutState.ANALYSING, RolloutState.WAITING, RolloutState.PAUSED):
        assert isinstance(after(0, state=state, judgement=judged(Outcome.FAIL)), RollBack)


def test_the_emergency_rule_needs_no_statistics() -> None:
    assert isinstance(after(0, streak=10), RollBack)
    assert after(0, streak=9) is None
    assert isinstance(after(0, step_seen=Arms(candidate=20, candidate_bad=11)), RollBack)
    assert after(0, step_seen=Arms(candidate=20, candidate_bad=10)) is None
    assert after(0, step_seen=Arms(candidate=19, candidate_bad=19)) is None


def test_a_skewed_routing_pauses_and_an_approval_waits() -> None:
    assert isinstance(after(600, judgement=judged(Outcome.INCONCLUSIVE, skewed=True)), Pause)
    asked = Strategy(name="test", steps=[msgspec.structs.replace(STEPS[0], approval=True), STEPS[1]])
    assert isinstance(after(60, strategy=asked), Wait)


def test_nothing_happens_after_the_end_nor_while_somebody_is_asked() -> None:
    for state in RolloutState:
        if state.over or state in (RolloutState.WAITING, RolloutState.PAUSED):
            assert after(10_000, state=state) is None


def test_every_move_is_legal_or_refused() -> None:
    for before, to in product(RolloutState, RolloutState):
        each = rollout(state=before)
        if to in MOVES[before]:
            each.check_move(to)
        else:
            with pytest.raises(Conflict):
                each.check_move(to)


def test_every_decision_is_a_legal_move() -> None:
    leads_to = {Begin: "analysing", Advance: "analysing", Wait: "waiting", Pause: "paused"}
    leads_to |= {Promote: "promoted", RollBack: "rolled_back"}
    facts = product(RolloutState, Outcome, (0, 60, 10_000), (0, 1), (0, 10), (False, True), ("", "broken"))
    for state, outcome, seconds, step, streak, loaded, broken in facts:
        each = rollout(state=state, judgement=judged(outcome), step=step, streak=streak)
        action = decide(each, START + timedelta(seconds=seconds), loaded=loaded, broken=broken)
        if action is not None:
            each.check_move(RolloutState(leads_to[type(action)]))
