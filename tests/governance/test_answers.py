"""What was live, who approved it, what it is all worth: asked of a workspace where it really happened."""

from datetime import UTC, datetime, timedelta

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.monitoring import CorrectiveAction
from modelwright.store import Verdict, acting_as

DELAY, DEPLOYMENT = Ref.parse("model:delay"), Ref.parse("deployment:delay")


def day(month, number):
    return datetime(2013, month, number, tzinfo=UTC)


@pytest.fixture
def history(replayed, register, ship):
    """Version 1 goes live on 2 January, version 2 on 1 March; version 2 is rolled back on 3 March."""
    one = register(b"one").ref
    replayed.record.attach(one, "evaluation", Verdict.PASS, summary="roc_auc 0.74")
    replayed.workspace.advance(day(1, 2))
    ship(one)
    replayed.workspace.advance(day(2, 27))
    two = register(b"two").ref
    replayed.workspace.advance(day(3, 1))
    ship(two)
    replayed.workspace.advance(day(3, 3))
    replayed.deployments.rollback("delay", "production", reason="too many late calls")
    return one, two


def test_what_was_live_on_a_day_and_who_approved_it(governance, history):
    one, two = history
    answer = governance.answer(DELAY, at=day(2, 1))
    (found,) = answer.live
    assert found.live.model == one
    assert [(c.by, c.reason) for c in found.approvals] == [("grace", "read the card and the slices")]
    assert "evaluation" in {e.kind for e in found.evidence}
    assert found.gate is not None
    assert "approved by grace on 2013-01-02" in answer.sentences[0]
    assert governance.answer(DELAY, at=day(3, 2)).live[0].live.model == two
    assert governance.answer(DEPLOYMENT, at=day(3, 4)).live[0].live.model == one


def test_before_anything_was_live_the_answer_says_so(governance, history):
    answer = governance.answer(DELAY, at=day(1, 1))
    assert answer.live == []
    assert answer.sentences == ["Nothing of model:delay was live on 2013-01-01."]


def test_evidence_that_came_later_is_no_part_of_the_answer(governance, replayed, history):
    one, _ = history
    replayed.record.attach(one, "performance", Verdict.FAIL, summary="came later")
    (found,) = governance.answer(DELAY, at=day(2, 1)).live
    assert "performance" not in {e.kind for e in found.evidence}


def test_value_is_read_from_what_happened(governance, replayed, history):
    replayed.workspace.advance(day(3, 10))
    report = governance.value(since=day(1, 1), until=day(3, 10))
    assert report.figure("lead_time").n == 2
    assert report.figure("lead_time").value == pytest.approx(36.0, abs=0.1)  # a day for one, two for the other
    failed = report.figure("change_failure_rate")
    assert (failed.value, failed.n) == (0.5, 2)
    assert report.figure("gate_pass_rate").value == 1.0
    assert governance.value(since=day(3, 5), until=day(3, 10)).figure("lead_time").value is None


def test_an_empty_period_is_refused(governance):
    with pytest.raises(Invalid, match="is empty"):
        governance.value(since=day(2, 1), until=day(2, 1))


def test_the_inventory_lists_every_model_with_what_is_not_known(governance, replayed, history):
    from modelwright.models import Profile

    replayed.models.describe(DELAY, Profile(owner="ada"))
    replayed.monitoring.report(DEPLOYMENT, "odd scores")
    replayed.record.attach(history[0], "performance", Verdict.FAIL, summary="below the floor")
    (entry,) = governance.inventory()
    assert (entry.owner, entry.gaps, entry.tier) == ("ada", ["purpose"], "high")
    assert [each.model for each in entry.live] == [history[0]]
    assert entry.failing == ["performance"]
    assert entry.open_incidents == [Ref.parse("incident:1")]


def test_the_draft_of_an_incident_report_asks_for_what_nobody_wrote(governance, replayed, history):
    with acting_as(Principal(id="linus", trusted=True)):
        incident = replayed.monitoring.report(DEPLOYMENT, "odd | scores", severity=2, started_at=day(3, 2))
        replayed.monitoring.note(incident.ref, "looking into it", owner="grace")
    text = governance.incident_report(incident.ref)
    assert "TO BE WRITTEN - owner grace" in text
    assert "| Severity | 2 of 4 (1 is the gravest) |" in text
    assert "monitoring.incident.noted - looking into it" in text
    assert "deployments.release.rolled_back" in text
    replayed.workspace.advance(replayed.workspace.status().now + timedelta(hours=1))
    replayed.monitoring.resolve(
        incident.ref,
        root_cause="a stale table",
        lessons="check freshness",
        actions=[CorrectiveAction(what="add a check", owner="ada", due=day(4, 1))],
    )
    text = governance.incident_report(incident.ref)
    assert "TO BE WRITTEN" not in text
    assert "- add a check - ada, due 2013-04-01" in text
