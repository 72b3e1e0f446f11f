"""Leases and fences: no step twice at once, and no late word from a worker that was believed dead."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.errors import Conflict, NotFound
from modelwright.core.refs import Ref
from modelwright.experiments import RunStatus
from modelwright.pipelines import Pipelines
from modelwright.pipelines.errors import LeaseLost
from modelwright.pipelines.liveness import is_gone, worker_name
from modelwright.pipelines.records import (
    ClaimState,
    Component,
    ComponentKind,
    Execution,
    ExecutionState,
    PipelineSpec,
    PlannedStep,
    StepState,
    changes,
)

ONE = [Component(kind=ComponentKind.CODE, name="load", digest="1")]
TWO = [Component(kind=ComponentKind.CODE, name="load", digest="2")]
LEASE = timedelta(seconds=31)


def start(pipelines: Pipelines, *, code: str = "c", params: Any = None, cause: int | None = None) -> Execution:
    spec = PipelineSpec(
        steps=[PlannedStep(key="load", step="load"), PlannedStep(key="fit", step="fit", needs=["load"])],
        code={"load": code, "fit": code},
    )
    version = pipelines.register("train", spec)
    return pipelines.start("train", digest=version.digest, params=params or {}, cause=cause)


def test_one_of_two_workers_gets_the_step(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    assert pipelines.claim(ref, "load", ONE, worker="a").state is ClaimState.GRANTED
    assert pipelines.claim(ref, "load", ONE, worker="b").state is ClaimState.HELD


def test_of_many_at_once_exactly_one_gets_the_step(pipelines: Pipelines) -> None:
    ref, states = start(pipelines).ref, []
    barrier = threading.Barrier(8)

    def ask(name: str) -> None:
        barrier.wait()
        states.append(pipelines.claim(ref, "load", ONE, worker=name).state)

    threads = [threading.Thread(target=ask, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == [ClaimState.GRANTED] + [ClaimState.HELD] * 7


def test_a_silent_workers_step_is_handed_on_and_its_late_word_refused(
    pipelines: Pipelines, lease_clock: ManualClock
) -> None:
    ref = start(pipelines).ref
    late = pipelines.claim(ref, "load", ONE, worker="a")
    lease_clock.advance(LEASE)
    taken = pipelines.claim(ref, "load", ONE, worker="b")
    assert taken.state is ClaimState.GRANTED and taken.fence > late.fence
    for word in (
        lambda: pipelines.complete(ref, "load", fence=late.fence, outputs="stale"),
        lambda: pipelines.heartbeat(ref, "load", fence=late.fence),
        lambda: pipelines.fail(ref, "load", fence=late.fence, error="stale"),
    ):
        with pytest.raises(LeaseLost):
            word()
    assert pipelines.complete(ref, "load", fence=taken.fence, outputs="fresh").outputs == "fresh"
    assert [each.outcome for each in pipelines.show(ref).steps[0].attempts] == ["lost", "done"]


def test_a_heartbeat_keeps_the_step(pipelines: Pipelines, lease_clock: ManualClock) -> None:
    ref = start(pipelines).ref
    held = pipelines.claim(ref, "load", ONE, worker="a")
    for _ in range(5):
        lease_clock.advance(timedelta(seconds=20))
        pipelines.heartbeat(ref, "load", fence=held.fence)
    assert pipelines.claim(ref, "load", ONE, worker="b").state is ClaimState.HELD


def test_a_worker_seen_to_be_dead_is_not_waited_for(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    pipelines.claim(ref, "load", ONE, worker="a")
    assert pipelines.claim(ref, "load", ONE, worker="b", presumed_dead="c").state is ClaimState.HELD
    assert pipelines.claim(ref, "load", ONE, worker="b", presumed_dead="a").state is ClaimState.GRANTED


def test_a_step_waits_for_what_it_needs(pipelines: Pipelines) -> None:
    with pytest.raises(Conflict, match="load"):
        pipelines.claim(start(pipelines).ref, "fit", ONE, worker="a")


def test_a_step_handed_in_is_given_but_not_if_its_key_has_changed(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    held = pipelines.claim(ref, "load", ONE, worker="a", cache=False)
    pipelines.complete(ref, "load", fence=held.fence, outputs=[1])
    assert pipelines.claim(ref, "load", ONE, worker="b", cache=False, force=True).step.outputs == [1]
    assert pipelines.claim(ref, "load", TWO, worker="b").state is ClaimState.GRANTED


def test_a_step_over_which_workers_keep_dying_is_given_up(pipelines: Pipelines, lease_clock: ManualClock) -> None:
    ref = start(pipelines).ref
    answers = []
    for number in range(25):
        answers.append(pipelines.claim(ref, "load", ONE, worker=f"w{number}").state)
        lease_clock.advance(LEASE)
    assert answers[:20] == [ClaimState.GRANTED] * 20 and answers[20] is ClaimState.SPENT
    assert ClaimState.SPENT in answers and pipelines.show(ref).steps[0].attempts[0].outcome == "lost"


def test_an_execution_cannot_succeed_before_its_steps(pipelines: Pipelines) -> None:
    with pytest.raises(Conflict, match="load, fit"):
        pipelines.finish(start(pipelines).ref)


def test_starting_again_goes_on_with_what_was_not_finished(pipelines: Pipelines) -> None:
    first, second = start(pipelines), start(pipelines)
    assert second.ref == first.ref and second.resumed and not first.resumed
    assert start(pipelines, params={"month": 4}).ref != first.ref
    pipelines.finish(first.ref, error="broken")
    assert start(pipelines).ref != first.ref


def test_one_event_sets_off_one_execution(pipelines: Pipelines) -> None:
    first = start(pipelines, cause=17)
    pipelines.finish(first.ref, error="broken")
    assert start(pipelines, cause=17).ref == first.ref
    assert start(pipelines, cause=18).ref != first.ref


def test_a_changed_pipeline_gives_the_unfinished_execution_up_once_nobody_is_at_it(
    pipelines: Pipelines, lease_clock: ManualClock
) -> None:
    old = start(pipelines)
    assert start(pipelines, code="d").ref != old.ref
    assert pipelines.show(old.ref).state is ExecutionState.RUNNING
    lease_clock.advance(LEASE)
    start(pipelines, code="e")
    given_up = pipelines.show(old.ref)
    assert given_up.state is ExecutionState.ABANDONED
    assert pipelines.experiments.show(given_up.run).status is RunStatus.KILLED


def test_executions_that_nobody_is_at_are_found(pipelines: Pipelines, lease_clock: ManualClock) -> None:
    execution = start(pipelines)
    assert pipelines.list_stalled() == []
    lease_clock.advance(LEASE)
    assert [each.ref for each in pipelines.list_stalled()] == [execution.ref]


def test_a_cancelled_execution_takes_no_results(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    held = pipelines.claim(ref, "load", ONE, worker="a")
    pipelines.cancel(ref, reason="a mistake")
    with pytest.raises(Conflict, match="cancelled"):
        pipelines.complete(ref, "load", fence=held.fence, outputs=1)


def test_a_result_of_another_pipeline_is_not_reused(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    held = pipelines.claim(ref, "load", ONE, worker="a")
    pipelines.complete(ref, "load", fence=held.fence, outputs="secret")
    spec = PipelineSpec(steps=[PlannedStep(key="load", step="load")], code={"load": "c"})
    version = pipelines.register("other", spec)
    other = pipelines.start("other", digest=version.digest)
    assert pipelines.claim(other.ref, "load", ONE, worker="a").state is ClaimState.GRANTED


def test_unknown_executions_and_steps_are_not_found(pipelines: Pipelines) -> None:
    with pytest.raises(NotFound):
        pipelines.show(Ref.parse("execution:01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    with pytest.raises(NotFound, match="no step 'lod'"):
        pipelines.claim(start(pipelines).ref, "lod", ONE, worker="a")


def test_the_journal_shows_where_each_step_stands(pipelines: Pipelines) -> None:
    ref = start(pipelines).ref
    pipelines.claim(ref, "load", ONE, worker="a")
    assert [step.state for step in pipelines.show(ref).steps] == [StepState.RUNNING, StepState.PENDING]


def test_what_differs_between_two_keys_is_said_in_words() -> None:
    def part(kind: ComponentKind, name: str, digest: str, shown: str = "") -> Component:
        return Component(kind=kind, name=name, digest=digest, shown=shown)

    before = [part(ComponentKind.PARAMETER, "depth", "1", "6"), part(ComponentKind.MODULE, "a.py", "1")]
    after = [part(ComponentKind.PARAMETER, "depth", "2", "8"), part(ComponentKind.PACKAGE, "numpy", "2.1", "2.1")]
    said = ["parameter depth changed: 6 → 8", "package numpy is new", "code of module a.py is gone"]
    assert changes(before, after) == said


def test_a_living_worker_is_not_taken_for_dead_nor_one_elsewhere() -> None:
    here = worker_name()
    assert not is_gone(here)
    assert not is_gone("elsewhere:boot:1:1:x")
    host, boot, _, _, nonce = here.split(":")
    assert is_gone(f"{host}:{boot}:999999999:1:{nonce}")
    assert is_gone(f"{host}:another boot:1:1:{nonce}")
