"""The gate over the record: what production asks of a model of tier standard, and what cannot get around it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.errors import Refused
from modelwright.core.principals import Principal, PrincipalKind
from modelwright.core.refs import Ref
from modelwright.policy import Status, Tier
from modelwright.store import Verdict, Version, catalog, evidence

if TYPE_CHECKING:
    from conftest import Office


def statuses(office: Office, ref: Ref, environment: str = "production") -> dict[str, Status]:
    report = office.policy("ada").gate(ref, "promote", environment=environment)
    return {r.id: r.status for r in report.requirements}


def approve(office: Office, who: str, ref: Ref) -> None:
    office.policy(who).approve(ref, "promote", environment="production", reason="figures and slices looked at")


def test_everything_known_and_one_approval_by_another_person_lets_it_through(office: Office, ready: Version) -> None:
    assert statuses(office, ready.ref)["approval"] is Status.FAIL
    approve(office, "grace", ready.ref)
    report = office.require("olga", ready.ref)
    assert report.passed and report.tier is Tier.STANDARD
    assert [e["action"] for e in office.events()][-2:] == ["evidence.gate.attached", "policy.gate.decided"]


def test_a_refusal_names_every_unmet_requirement_and_is_on_the_record(office: Office, ready: Version) -> None:
    card = office.know("ada", ready, "model-card", Verdict.FAIL)
    with pytest.raises(Refused) as refused:
        office.require("olga", ready.ref)
    assert refused.value.details["unmet"] == ["model-card", "approval"]
    assert "model-card" in refused.value.message and "mw approve model:delay@1" in refused.value.message
    (record,) = office.policy("ada").gates(ready.ref)
    assert not record.report.passed and record.by == "olga"
    assert card.id in record.report.requirements[-2].evidence
    assert office.events()[-1]["decision"] == "deny"


def test_staging_asks_for_data_checks_and_an_evaluation_only(office: Office, ready: Version) -> None:
    assert statuses(office, ready.ref, "staging") == {"data-checks": Status.PASS, "evaluation": Status.PASS}


def test_what_nobody_classified_is_of_the_highest_tier(office: Office) -> None:
    model = office.add("ada", "model:unknown")
    found = statuses(office, model.ref)
    assert office.policy("ada").tier(model.ref) is Tier.HIGH
    assert found["data-checks"] is Status.UNKNOWN and "calibration" in found


def test_every_dataset_version_upstream_is_asked_for_its_checks(office: Office, ready: Version) -> None:
    raw = office.add("ada", "dataset:raw")
    derived = office.add("ada", "dataset:derived", needs=[raw.ref])
    model = office.add("ada", "model:other", needs=[derived.ref])
    office.know("ada", derived, "data-checks")
    report = office.policy("ada").gate(model.ref, "promote", environment="staging")
    assert "dataset:raw@1 has no evidence" in report.requirements[0].reason
    assert report.requirements[0].mend == "mw data check dataset:raw@1"


def test_where_no_dataset_is_known_it_is_said_how_one_comes_to_be(office: Office) -> None:
    model = office.add("ada", "model:other")
    first = office.policy("ada").gate(model.ref, "promote", environment="staging").requirements[0]
    assert first.reason == "no dataset version is known in the lineage of model:other@1"
    assert first.mend.startswith("Register it again with the dataset versions")


def test_the_comparison_must_be_with_the_champion_of_the_moment(office: Office, ready: Version) -> None:
    with office.caller("ada").transaction(write=True) as tx:
        catalog.set_alias(tx, ready.ref, "champion")
    newer = office.add("ada", "model:delay", content="newer")
    office.know("ada", newer, "comparison")
    assert statuses(office, newer.ref)["comparison"] is Status.FAIL
    office.know("ada", newer, "comparison", inputs=[ready.ref])
    assert statuses(office, newer.ref)["comparison"] is Status.PASS


def test_a_recorded_gate_evaluates_to_the_same_bytes_years_later(
    office: Office, ready: Version, clock: ManualClock
) -> None:
    approve(office, "grace", ready.ref)
    office.require("olga", ready.ref)
    clock.advance(timedelta(days=900))
    office.know("ada", ready, "evaluation", Verdict.FAIL)
    office.policy("root").adopt('name = "standard"\n[tier.low]\n')
    policy = office.policy("olga")
    (record,) = policy.gates(ready.ref)
    again = policy.replay(ready.ref, record.id)
    assert again.same and again.recomputed.passed


def test_a_changed_policy_is_tried_on_past_gates_first(office: Office, ready: Version) -> None:
    approve(office, "grace", ready.ref)
    office.require("olga", ready.ref)
    strict = 'name = "standard"\n[tier.standard]\n[[tier.standard.require]]\nid = "drill"\nevidence = "drill"\n'
    found = office.policy("rita").simulate(strict)
    assert (found.passed_then, found.would_block) == (1, 1)
    assert found.cases[0].unmet == ["drill"]
    loose = office.policy("rita").simulate('name = "standard"\n[tier.low]\n')
    assert (loose.would_block, loose.would_admit) == (0, 0)


# Separation of duties: ways around it


def test_an_author_cannot_approve(office: Office, ready: Version) -> None:
    with pytest.raises(Refused, match="ada is an author"):
        approve(office, "ada", ready.ref)


def test_an_authors_service_account_and_token_are_the_author(office: Office, ready: Version) -> None:
    machine = Principal(id="svc/ci", kind=PrincipalKind.SERVICE, on_behalf_of="ada", trusted=True)
    with pytest.raises(Refused, match="ada is an author"):
        office.policy(machine).approve(ready.ref, "promote", reason="fine")


def test_what_a_service_account_registered_has_its_owner_for_author(office: Office) -> None:
    machine = Principal(id="svc/ci", kind=PrincipalKind.SERVICE, on_behalf_of="ada", trusted=True)
    made = office.add(machine, "model:other")
    with pytest.raises(Refused, match="ada is an author"):
        approve(office, "ada", made.ref)


def test_registering_the_same_content_again_does_not_change_its_author(office: Office, ready: Version) -> None:
    with office.caller("grace").transaction(write=True) as tx:
        copy = catalog.add(tx, ready.ref.kind, "copy-of-delay", digest=ready.digest, record={})
    with pytest.raises(Refused, match="ada is an author"):
        approve(office, "ada", copy.ref)


def test_an_approval_of_one_version_is_none_of_another(office: Office, ready: Version) -> None:
    approve(office, "grace", ready.ref)
    other = office.add("ada", "model:delay", content="other")
    assert statuses(office, other.ref)["approval"] is Status.FAIL


def test_an_approval_is_void_once_its_evidence_has_changed(office: Office, ready: Version) -> None:
    approve(office, "grace", ready.ref)
    office.know("ada", ready, "evaluation", n=5000)
    report = office.policy("ada").gate(ready.ref, "promote", environment="production")
    assert "the evaluation changed after it" in report.requirements[-1].reason
    approve(office, "grace", ready.ref)
    assert statuses(office, ready.ref)["approval"] is Status.PASS


def test_an_approval_is_void_once_the_policy_has_changed(office: Office, ready: Version) -> None:
    approve(office, "grace", ready.ref)
    text = office.policy("rita").show(Ref.parse("policy:standard")).text
    office.policy("rita").adopt(text.replace("max_age_days = 180", "max_age_days = 30"))
    assert statuses(office, ready.ref)["approval"] is Status.FAIL


def test_whoever_edited_the_policy_does_not_approve_under_it_for_a_while(
    office: Office, ready: Version, clock: ManualClock
) -> None:
    text = office.policy("rita").show(Ref.parse("policy:standard")).text
    office.policy("rita").adopt(text.replace("max_age_days = 180", "max_age_days = 300"))
    approve(office, "rita", ready.ref)
    assert statuses(office, ready.ref)["approval"] is Status.FAIL
    clock.advance(timedelta(days=31))
    assert statuses(office, ready.ref)["approval"] is Status.PASS


def test_adopting_the_shipped_rules_unchanged_edits_nothing(office: Office, ready: Version) -> None:
    office.policy("rita").adopt(office.policy("rita").show(Ref.parse("policy:standard")).text)
    approve(office, "rita", ready.ref)
    assert statuses(office, ready.ref)["approval"] is Status.PASS


def test_an_approval_that_was_not_given_through_the_policy_is_none(office: Office, ready: Version) -> None:
    real = office.policy("grace").approve(ready.ref, "promote", reason="read it")
    office.policy("grace").revoke(ready.ref, real.id, reason="on second thoughts")
    assert statuses(office, ready.ref)["approval"] is Status.FAIL
    with office.caller("grace").transaction(write=True) as tx:
        evidence.attach(tx, "approval", ready.ref, subject_digest=ready.digest, verdict=Verdict.PASS, figures=real.figures)
    assert statuses(office, ready.ref)["approval"] is Status.FAIL


def test_only_the_giver_or_a_risk_officer_takes_an_approval_back(office: Office, ready: Version) -> None:
    real = office.policy("grace").approve(ready.ref, "promote", reason="read it")
    with pytest.raises(Refused):
        user = Principal(id="mallory", auth="token", trusted=True, scopes=())
        office.add("mallory", "model:mine")
        _grant_viewer(office, "mallory")
        office.policy(user).revoke(ready.ref, real.id, reason="no")


def _grant_viewer(office: Office, who: str) -> None:
    from modelwright.policy.tables import grants

    with office.caller("root").transaction(write=True) as tx:
        row = {"principal": who, "role": "viewer", "scope": "*", "deny": False}
        tx.execute(grants.insert().values(**row, created_at=tx.stamp, created_by="root"))


def test_a_rollback_goes_only_to_what_has_passed_its_gate(office: Office, ready: Version) -> None:
    with pytest.raises(Refused):
        office.require("olga", ready.ref, "rollback")
    approve(office, "grace", ready.ref)
    office.require("olga", ready.ref)
    assert office.require("olga", ready.ref, "rollback").passed


def test_putting_a_model_in_a_lower_tier_needs_a_risk_officer_and_a_reason(office: Office, ready: Version) -> None:
    with pytest.raises(Refused, match="risk tier high"):
        office.policy("ada").classify(ready.ref, {}, tier=Tier.LOW)
    _grant_viewer(office, "ada")
    with pytest.raises(Refused):
        office.policy("ada").classify(ready.ref, {}, tier=Tier.LOW, reason="it is only small")
    lowered = office.policy("rita").classify(ready.ref, {}, tier=Tier.LOW, reason="used in a game")
    assert lowered.tier is Tier.LOW and lowered.computed is Tier.HIGH
