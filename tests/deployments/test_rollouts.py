"""Rollouts, turned by hand: how a candidate is compared, promoted, and put back.

Embedded only: a running server turns rollouts by itself.
"""

from __future__ import annotations

import pytest

from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.deployments import Step, Strategy
from modelwright.deployments.records import Arms, Interval, Rollout, RolloutState
from modelwright.workspace import Workspace

pytestmark = pytest.mark.parametrize("workspace", ["sqlite-embedded", "postgresql-embedded"], indirect=True)


def traffic(rollout: Rollout, *, baseline: int = 0, candidate: int = 0, errors: int = 0, slow: int = 0) -> Interval:
    """What the plane would have seen: errors and slow answers are the candidate's."""
    return Interval(
        weight=rollout.weight,
        guardrails={
            "errors": Arms(baseline=baseline, candidate=candidate, candidate_bad=errors),
            "latency": Arms(baseline=baseline, candidate=candidate, candidate_bad=slow),
        },
        streak=0,
    )


def turn(workspace: Workspace, *, loaded: bool = True, broken: str = "") -> Rollout | None:
    """One look of the operator at `delay` in production."""
    rollout = workspace.deployments.show("delay").placement("production").rollout
    return workspace.deployments.turn("delay", "production", loaded=loaded, broken=broken, revision=rollout.revision)


def live(workspace: Workspace, environment: str = "production") -> Ref:
    return workspace.deployments.show("delay").placement(environment).stable.model


def start_canary(workspace: Workspace, versions) -> list[Ref]:
    refs = versions(2)
    workspace.deployments.deploy("delay", refs[0], "production", reason="first")
    workspace.deployments.deploy("delay", refs[1], "production", strategy="canary", reason="better")
    return refs


def test_a_passing_canary_is_promoted_and_the_former_champion_remembered(workspace: Workspace, versions) -> None:
    old, new = start_canary(workspace, versions)
    assert turn(workspace, loaded=False).state is RolloutState.PENDING
    rollout = turn(workspace)
    assert (rollout.state, rollout.weight) == (RolloutState.ANALYSING, 10.0)
    assert workspace.deployments.show("delay").placement("production").weights == {str(old): 90.0, str(new): 10.0}
    workspace.deployments.observe("delay", "production", traffic(rollout, baseline=9000, candidate=1000))
    ended = turn(workspace)
    assert ended.state is RolloutState.PROMOTED, ended
    placement = workspace.deployments.show("delay").placement("production")
    assert placement.stable.model == new
    assert placement.previous.model == old
    champions = [move.version for move in workspace.models.history(new, alias="champion")]
    assert champions == [new.version, old.version]


def test_a_failing_canary_is_rolled_back_by_its_verdict(workspace: Workspace, versions) -> None:
    old, _ = start_canary(workspace, versions)
    rollout = turn(workspace)
    workspace.deployments.observe("delay", "production", traffic(rollout, baseline=9000, candidate=1000, errors=60))
    ended = turn(workspace)
    assert ended.state is RolloutState.ROLLED_BACK
    assert "60 of 1000" in ended.outcome
    assert live(workspace) == old
    assert turn(workspace) is None


def test_labels_that_come_late_can_fail_a_candidate(workspace: Workspace, versions) -> None:
    old, _ = start_canary(workspace, versions)
    turn(workspace)
    workspace.deployments.report_outcomes(
        "delay", "production", {"quality": Arms(baseline=2000, baseline_bad=400, candidate=300, candidate_bad=150)}
    )
    ended = turn(workspace)
    assert ended.state is RolloutState.ROLLED_BACK
    assert "quality" in ended.outcome
    assert live(workspace) == old


def test_without_data_a_canary_is_neither_promoted_nor_rolled_back(workspace: Workspace, versions) -> None:
    start_canary(workspace, versions)
    assert turn(workspace).state is RolloutState.ANALYSING
    assert turn(workspace).state is RolloutState.ANALYSING


def test_a_decision_on_an_old_revision_is_not_carried_out(workspace: Workspace, versions) -> None:
    start_canary(workspace, versions)
    before = workspace.deployments.show("delay").placement("production").rollout
    rollout = turn(workspace)
    assert rollout.revision > before.revision
    again = workspace.deployments.turn("delay", "production", loaded=False, broken="no such file", revision=before.revision)
    assert again.state is RolloutState.ANALYSING


def test_a_candidate_that_cannot_be_loaded_is_rolled_back(workspace: Workspace, versions) -> None:
    start_canary(workspace, versions)
    assert turn(workspace, loaded=False, broken="its digest is wrong").state is RolloutState.ROLLED_BACK


def test_rollback_goes_out_of_a_rollout_first_and_then_to_the_version_before(workspace: Workspace, versions) -> None:
    first, second, third = versions(3)
    for ref in (first, second):
        workspace.deployments.deploy("delay", ref, "production", strategy="all_at_once")
    workspace.deployments.deploy("delay", third, "production")
    turn(workspace)
    workspace.deployments.rollback("delay", "production", reason="out of it")
    assert live(workspace) == second
    workspace.deployments.rollback("delay", "production", reason="further back")
    assert live(workspace) == first
    assert workspace.models.show(Ref.parse("model:delay@champion")).ref == first
    with pytest.raises(Conflict, match="no other version"):
        workspace.deployments.rollback("delay", "production", reason="and further")


def test_another_version_supersedes_a_rollout(workspace: Workspace, versions) -> None:
    first, second, third = versions(3)
    workspace.deployments.deploy("delay", first, "production")
    workspace.deployments.deploy("delay", second, "production")
    workspace.deployments.deploy("delay", third, "production")
    states = [(each.candidate.model, each.state) for each in workspace.deployments.rollouts("delay", "production")]
    assert states == [(third, RolloutState.PENDING), (second, RolloutState.SUPERSEDED)]


def test_a_step_with_approval_waits_and_resume_goes_on(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    plan = Strategy(name="asked", steps=[Step(weight=5, min_requests=10, approval=True), Step(weight=50, min_requests=10)])
    workspace.deployments.deploy("delay", first, "production")
    workspace.deployments.deploy("delay", second, "production", strategy=plan)
    rollout = turn(workspace)
    workspace.deployments.observe("delay", "production", traffic(rollout, baseline=190, candidate=10))
    assert turn(workspace).state is RolloutState.WAITING
    workspace.deployments.resume("delay", "production", reason="looks right")
    placement = workspace.deployments.show("delay").placement("production")
    assert (placement.rollout.state, placement.rollout.weight) == (RolloutState.ANALYSING, 50.0)


def test_pause_holds_the_weight_and_promote_ends_it(workspace: Workspace, versions) -> None:
    _, new = start_canary(workspace, versions)
    turn(workspace)
    workspace.deployments.pause("delay", "production")
    assert turn(workspace).weight == 10.0
    workspace.deployments.promote("delay", "production", reason="enough seen")
    assert live(workspace) == new
    with pytest.raises(Conflict, match="no rollout under way"):
        workspace.deployments.promote("delay", "production")
