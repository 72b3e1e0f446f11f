"""Where versions stand: stages, the gate, aliases, the champion, retirement."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound, Refused
from modelwright.core.refs import Ref
from modelwright.models import ModelVersion, Stage
from modelwright.workspace import Workspace

Log = Callable[..., ModelVersion]


def live(workspace: Workspace, version: ModelVersion) -> ModelVersion:
    """Take a version all the way up (the gate of these tests asks for nothing)."""
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        workspace.models.promote(version.ref, stage, reason="up")
    return workspace.models.make_champion(version.ref, reason="goes live")


@pytest.mark.usefixtures("open_gate")
def test_a_version_climbs_stage_by_stage_and_can_step_back(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    assert workspace.models.promote(ref, Stage.STAGING, reason="try").stage is Stage.STAGING
    assert workspace.models.promote(ref, Stage.PRODUCTION, reason="ready").stage is Stage.PRODUCTION
    assert workspace.models.promote(ref, Stage.STAGING, reason="not so").stage is Stage.STAGING


@pytest.mark.usefixtures("open_gate")
def test_an_illegal_move_changes_nothing(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    with pytest.raises(Conflict, match="cannot move from candidate to production"):
        workspace.models.promote(ref, Stage.PRODUCTION, reason="hasty")
    with pytest.raises(Invalid, match="retired with its successor"):
        workspace.models.promote(ref, Stage.RETIRED, reason="away")
    assert workspace.models.show(ref).stage is Stage.CANDIDATE


def test_a_gate_that_refuses_names_every_unmet_requirement_and_changes_nothing(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    with pytest.raises(Refused) as refused:
        workspace.models.promote(ref, Stage.STAGING, reason="try")
    assert set(refused.value.details["unmet"]) == {"data-checks", "staging-evaluation"}
    for requirement in refused.value.details["unmet"]:
        assert requirement in refused.value.message
    assert workspace.models.show(ref).stage is Stage.CANDIDATE


@pytest.mark.usefixtures("open_gate")
def test_a_version_is_placed_by_every_promotion_on_the_way(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    assert workspace.models.place(ref, Stage.PRODUCTION, reason="ready").stage is Stage.PRODUCTION
    promoted = [each for each in workspace.record.history(ref).items if each.action == "models.version.promoted"]
    assert len(promoted) == 2
    assert workspace.models.place(ref, Stage.CANDIDATE, reason="not so").stage is Stage.CANDIDATE
    with pytest.raises(Invalid, match="retired with its successor"):
        workspace.models.place(ref, Stage.RETIRED, reason="away")


def test_placing_names_what_is_not_met_at_every_gate_on_the_way_and_moves_nothing(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    with pytest.raises(Refused) as refused:
        workspace.models.place(ref, Stage.PRODUCTION, reason="try")
    assert {"data-checks", "staging-evaluation", "model-card", "approval"} <= set(refused.value.details["unmet"])
    for requirement in refused.value.details["unmet"]:
        assert requirement in refused.value.message
    with pytest.raises(Refused, match="data-checks"):
        workspace.models.make_champion(ref, promote=True, reason="try")
    assert workspace.models.show(ref).stage is Stage.CANDIDATE
    assert workspace.models.champion("delay") is None


@pytest.mark.usefixtures("open_gate")
def test_others_are_archived_for_a_version_unless_one_of_them_is_live(workspace: Workspace, log: Log) -> None:
    first, second, third = (log(params={"n": number}).ref for number in range(3))
    for ref in (first, second):
        workspace.models.place(ref, Stage.PRODUCTION, reason="up")
    assert workspace.models.place(third, Stage.PRODUCTION, instead=True, reason="better").stage is Stage.PRODUCTION
    assert [workspace.models.show(ref).stage for ref in (first, second)] == [Stage.ARCHIVED, Stage.ARCHIVED]
    workspace.models.make_champion(third, reason="goes live")
    with pytest.raises(InUse, match="is the champion"):
        workspace.models.place(first, Stage.PRODUCTION, instead=True, reason="after all")
    assert workspace.models.show(first).stage is Stage.ARCHIVED
    assert workspace.models.make_champion(first, promote=True, reason="after all").aliases == ["champion"]
    with pytest.raises(Invalid, match="not on archived"):
        workspace.models.place(second, Stage.ARCHIVED, instead=True, reason="no")


@pytest.mark.usefixtures("open_gate")
def test_promoting_to_where_it_stands_leaves_no_event(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    workspace.models.promote(ref, Stage.STAGING, reason="try")
    before = len(workspace.record.history(ref).items)
    assert workspace.models.promote(ref, Stage.STAGING, reason="again").stage is Stage.STAGING
    assert len(workspace.record.history(ref).items) == before


@pytest.mark.usefixtures("open_gate")
def test_only_a_version_in_production_becomes_champion(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    for attempt in (workspace.models.make_champion, lambda r, reason: workspace.models.alias(r, "champion", reason=reason)):
        with pytest.raises(Refused, match="must be on production") as refused:
            attempt(ref, reason="hasty")
        assert refused.value.mend.endswith("mw promote model:delay@1 production")
    workspace.models.promote(ref, Stage.STAGING, reason="up")
    workspace.models.promote(ref, Stage.PRODUCTION, reason="up")
    assert workspace.models.alias(ref, "champion", reason="goes live").aliases == ["champion"]
    assert workspace.models.show(Ref.parse("model:delay@champion")).ref == ref


@pytest.mark.usefixtures("open_gate")
def test_what_was_champion_on_a_date_is_one_question(workspace: Workspace, log: Log) -> None:
    one, two = live(workspace, log(params={"n": 1})), live(workspace, log(params={"n": 2}))
    workspace.models.make_champion(one.ref, reason="rolled back")
    moves = workspace.models.history(one.ref.whole, alias="champion")
    assert [move.version for move in moves] == [1, 2, 1]
    assert moves[0].reason == "rolled back"
    then = workspace.models.history(one.ref.whole, alias="champion", as_of=moves[1].at)
    assert then[0].version == two.ref.version


@pytest.mark.usefixtures("open_gate")
def test_the_champion_cannot_be_demoted_dropped_in_passing_or_retired(workspace: Workspace, log: Log) -> None:
    ref = live(workspace, log()).ref
    with pytest.raises(InUse, match="is the champion"):
        workspace.models.promote(ref, Stage.STAGING, reason="down")
    with pytest.raises(Refused, match="not for anybody to drop"):
        workspace.models.drop_alias(ref, "champion")
    with pytest.raises(InUse, match="still carries @champion"):
        workspace.models.retire(ref, reason="old")
    workspace.models.drop_champion(ref.whole, reason="out of use")
    assert workspace.models.retire(ref, reason="old").stage is Stage.RETIRED


def test_aliases_move_and_are_dropped(workspace: Workspace, log: Log) -> None:
    one, two = log(params={"n": 1}), log(params={"n": 2})
    workspace.models.alias(one.ref, "challenger")
    assert workspace.models.alias(two.ref, "challenger").aliases == ["challenger"]
    assert workspace.models.show(one.ref).aliases == []
    workspace.models.drop_alias(two.ref.whole, "challenger")
    with pytest.raises(NotFound):
        workspace.models.show(two.ref.at("challenger"))


def test_a_retired_version_answers_with_its_successor(workspace: Workspace, log: Log) -> None:
    old, new = log(params={"n": 1}), log(params={"n": 2})
    workspace.models.retire(old.ref, successor=new.ref, reason="replaced")
    tombstone = workspace.models.show(old.ref)
    assert (tombstone.stage, tombstone.successor) == (Stage.RETIRED, new.ref)
    with pytest.raises(Refused, match=r"model:delay@1 is retired\..*Load its successor: model:delay@2") as refused:
        workspace.models.load(old.ref)
    assert refused.value.details == {"successor": "model:delay@2"}
    assert workspace.models.load(old.ref, retired=True).version.ref == old.ref
    with pytest.raises(Conflict):
        workspace.models.promote(old.ref, Stage.STAGING, reason="back")
    with pytest.raises(Conflict, match="is retired"):
        workspace.models.alias(old.ref, "challenger")


def test_a_version_cannot_succeed_itself_nor_be_succeeded_by_what_is_gone(workspace: Workspace, log: Log) -> None:
    one, two, three = (log(params={"n": n}) for n in range(3))
    with pytest.raises(Invalid, match="cannot succeed itself"):
        workspace.models.retire(one.ref, successor=one.ref, reason="odd")
    workspace.models.retire(two.ref, reason="old")
    with pytest.raises(Conflict, match="model:delay@2 is retired"):
        workspace.models.retire(three.ref, successor=two.ref, reason="old")
    assert workspace.models.show(three.ref).stage is Stage.CANDIDATE


@pytest.mark.usefixtures("open_gate")
def test_each_step_of_a_life_is_an_event_with_its_reason(workspace: Workspace, log: Log) -> None:
    ref = live(workspace, log(reason="first try")).ref
    told = [(event.action, event.reason) for event in workspace.record.history(ref).items]
    for step in (
        ("models.version.registered", "first try"),
        ("models.version.promoted", "up"),
        ("models.champion.made", "goes live"),
    ):
        assert step in told
