"""Deployments through their operations: what goes live, how it is compared, and how it goes back."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound, Refused
from modelwright.core.refs import Ref
from modelwright.models import Stage
from modelwright.serving.records import Intake, Switch
from modelwright.workspace import Workspace


def live(workspace: Workspace, environment: str = "production") -> Ref:
    return workspace.deployments.show("delay").placement(environment).stable.model


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


def test_the_kill_switch_needs_a_whole_answer_to_fall_back_on(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.deploy("delay", ref, "production")
    with pytest.raises(Invalid, match="'probability'"):
        workspace.deployments.switch("delay", "production", Switch.FALLBACK)
    shown = workspace.deployments.switch("delay", "production", Switch.FALLBACK, fallback={"probability": 0.5})
    assert shown.routes[0].switch is Switch.FALLBACK
    assert workspace.deployments.switch("delay", "production", Switch.LIVE).routes[0].switch is Switch.LIVE


def test_the_champion_is_not_dropped_while_a_deployment_serves_it(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.deploy("delay", ref, "production")
    with pytest.raises(InUse, match="which deployment:delay serves"):
        workspace.models.drop_champion(ref.whole, reason="by mistake")
    assert workspace.models.champion("delay").ref == ref
    workspace.deployments.retire("delay", reason="out of use")
    assert workspace.models.champion("delay") is None


def test_the_champion_is_what_a_deployment_serves_and_moves_with_it_alone(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    workspace.deployments.deploy("delay", first, "production")
    with pytest.raises(InUse, match="since deployment:delay serves it") as refused:
        workspace.models.make_champion(second, promote=True, reason="by hand")
    assert f"mw deploy delay {second} production" in refused.value.mend
    with pytest.raises(InUse):
        workspace.models.alias(second, "champion", reason="by hand")
    workspace.deployments.deploy("delay", second, "production", strategy="all_at_once")
    assert workspace.models.champion("delay").ref == second
    workspace.deployments.rollback("delay", "production", reason="worse")
    assert workspace.models.champion("delay").ref == first


def test_the_champion_stays_while_another_deployment_serves_it(workspace: Workspace, versions) -> None:
    (ref,) = versions(1)
    workspace.deployments.create("again", description="The same for others")
    for name in ("delay", "again"):
        workspace.deployments.deploy(name, ref, "production")
    workspace.deployments.retire("again", reason="out of use")
    assert workspace.models.champion("delay").ref == ref
    with pytest.raises(InUse, match="which deployment:delay serves"):
        workspace.models.drop_champion(ref.whole, reason="by mistake")
    workspace.deployments.retire("delay", reason="out of use")
    assert workspace.models.champion("delay") is None


def test_what_serves_in_staging_holds_no_champion(workspace: Workspace, versions) -> None:
    first, second = versions(2)
    workspace.models.make_champion(first, reason="no deployment serves it")
    workspace.deployments.deploy("delay", first, "staging")
    assert workspace.models.make_champion(second, reason="better").aliases == ["champion"]


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
