"""Deployments through their operations: what goes live, how it is compared, and how it goes back."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound, Refused
from modelwright.core.refs import Ref
from modelwright.deployments import Step, Strategy
from modelwright.deployments.records import Arms, Interval, Rollout, RolloutState
from modelwright.models import Stage
from modelwright.serving.records import Intake, Switch
from modelwright.workspace import Workspace


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


def test_the_first_version_is_live_at_once_and_champion(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    placement = workspace.deployments.deploy("delay", ref, "production").placement("production")
    assert (placement.stable.model, placement.endpoint, placement.weights) == (ref, "delay", {str(ref): 100.0})
    assert workspace.models.show(Ref.parse("model:delay@champion")).ref == ref


def test_another_environment_answers_by_another_name_and_leaves_the_champion_alone(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    placement = workspace.deployments.deploy("delay", ref, "staging").placement("staging")
    assert placement.endpoint == "delay@staging"
    assert workspace.models.show(ref).aliases == []


def test_a_version_without_the_stage_is_refused_and_nothing_changes(workspace: Workspace, register) -> None:
    candidate = register("delay", b"young", Stage.STAGING)
    with pytest.raises(Refused, match="is on the stage staging"):
        workspace.deployments.deploy("delay", candidate, "production")
    with pytest.raises(NotFound):
        workspace.deployments.show("delay")


def test_the_policy_is_asked_at_the_moment_of_deployment(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    strict = 'name = "standard"\n[tier.low]\n[[tier.low.require]]\nid = "evaluation"\nevidence = "evaluation"\n'
    workspace.policy.adopt(strict)
    with pytest.raises(Refused, match="evaluation"):
        workspace.deployments.deploy("delay", ref, "production")


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


def test_the_kill_switch_needs_a_whole_answer_to_fall_back_on(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.deploy("delay", ref, "production")
    with pytest.raises(Invalid, match="'probability'"):
        workspace.deployments.switch("delay", "production", Switch.FALLBACK)
    shown = workspace.deployments.switch("delay", "production", Switch.FALLBACK, fallback={"probability": 0.5})
    assert shown.routes[0].switch is Switch.FALLBACK
    assert workspace.deployments.switch("delay", "production", Switch.LIVE).routes[0].switch is Switch.LIVE


def test_a_live_version_and_the_way_back_cannot_be_deleted_or_retired(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    workspace.deployments.deploy("delay", first, "production")
    workspace.deployments.deploy("delay", second, "production", strategy="all_at_once")
    with pytest.raises(InUse, match="deployment:delay"):
        workspace.models.delete(first, reason="tidy")
    with pytest.raises(InUse, match="deployment:delay"):
        workspace.models.retire(first, reason="tidy")


def test_what_was_live_at_a_moment_is_answered_from_the_ledger(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    workspace.deployments.deploy("delay", first, "production", reason="first flight")
    between = workspace.workspace.status().now
    workspace.deployments.deploy("delay", second, "production", strategy="all_at_once", reason="better")
    (then,) = workspace.deployments.live(between)
    (now,) = workspace.deployments.live()
    assert (then.model, then.reason, then.environment) == (first, "first flight", "production")
    assert now.model == second
    assert then.by == workspace.principal.id


def test_a_retired_deployment_is_gone_and_names_its_successor(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    workspace.deployments.deploy("delay", first, "production")
    workspace.deployments.deploy("lateness", second, "production")
    workspace.deployments.retire("delay", successor="lateness", reason="renamed")
    assert workspace.deployments.show("delay").routes == []
    assert [each.deployment.name for each in workspace.deployments.live()] == ["lateness"]
    with pytest.raises(Conflict, match="deployment:lateness"):
        workspace.deployments.deploy("delay", second, "production")


def test_deployments_are_listed_the_latest_change_first(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.create("pricing/eta", intake=Intake(unit_column="tailnum"), slow_after=0.1)
    workspace.deployments.deploy("delay", ref, "staging")
    assert [each.name for each in workspace.deployments.list().items] == ["delay", "pricing/eta"]
    with pytest.raises(Conflict, match="already"):
        workspace.deployments.create("delay")


def test_deploying_what_is_live_already_changes_nothing(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.deploy("delay", ref, "production")
    before = workspace.deployments.show("delay")
    assert workspace.deployments.deploy("delay", ref, "production") == before
