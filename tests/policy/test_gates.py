"""The pure gate: every way in which evidence can fail to count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.refs import Ref
from modelwright.policy.gates import MAX_WAIVER, check, evaluate
from modelwright.policy.reports import GateContext, GateReport, Pinned, RequirementResult, Status
from modelwright.policy.requirements import Condition, PolicyDocument, Requirement, Tier, TierRules
from modelwright.store import Evidence, Verdict

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MODEL = Pinned(ref=Ref("model", "delay", 3), digest="a" * 64)
DATA = Pinned(ref=Ref("dataset", "flights", 7), digest="d" * 64)
CONTEXT = GateContext(
    subject=MODEL,
    action="promote",
    environment="production",
    tier=Tier.STANDARD,
    authors=["ada"],
    related=[DATA],
    identities={},
    policy="policy:standard@1",
    policy_digest="p" * 64,
)
_seq = iter(range(10_000))


def piece(kind: str = "evaluation", by: str = "grace", **given: Any) -> tuple[Evidence, str]:
    seq = next(_seq)
    about = given.pop("about", MODEL)
    fields: dict[str, Any] = {
        "id": f"E{seq:05d}",
        "kind": kind,
        "subject": about.ref,
        "subject_digest": about.digest,
        "verdict": Verdict.PASS,
        "producer": by,
        "created_at": NOW - timedelta(hours=1),
        "seq": seq,
    }
    return Evidence(**{**fields, **given}), by


def approval(by: str = "grace", *roles: str, **given: Any) -> tuple[Evidence, str]:
    figures = {
        "action": "promote",
        "environment": "production",
        "policy_digest": CONTEXT.policy_digest,
        "roles": list(roles),
        **given.pop("figures", {}),
    }
    return piece("approval", by, figures=figures, **given)


def waiver(by: str = "rita", **given: Any) -> tuple[Evidence, str]:
    figures = {"rule": "rule", "environment": "", "requested_by": "", **given.pop("figures", {})}
    given.setdefault("expires_at", NOW + timedelta(days=10))
    return piece("waiver", by, figures=figures, **given)


def judge(rule: Requirement, *pieces: tuple[Evidence, str], **context: Any) -> RequirementResult:
    return report(rule, *pieces, **context).requirements[0]


def report(rule: Requirement, *pieces: tuple[Evidence, str], **context: Any) -> GateReport:
    document = PolicyDocument(name="standard", tiers={Tier.STANDARD: TierRules(require=[rule])})
    identities = {e.id: by for e, by in pieces if by}
    where = msgspec.structs.replace(CONTEXT, **{"identities": identities, **context})
    return evaluate(document, [e for e, _ in pieces], where, NOW)


RULE = Requirement(id="rule", evidence="evaluation")
CONSENT = Requirement(id="rule", approvals=1, roles=["validator"], after=["evaluation"])


def test_evidence_of_the_right_kind_digest_and_verdict_passes() -> None:
    assert judge(RULE, piece()).status is Status.PASS


def test_what_is_not_known_is_unknown_and_blocks() -> None:
    answer = report(RULE)
    assert answer.requirements[0].status is Status.UNKNOWN and not answer.passed


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"subject_digest": "b" * 64}, "other content"),
        ({"expires_at": NOW}, "expired"),
        ({"verdict": Verdict.FAIL}, "says fail"),
        ({"verdict": Verdict.WARN}, "says warn"),
        ({"verdict": Verdict.INFO}, "says info"),
    ],
)
def test_evidence_that_does_not_count(given: dict[str, Any], why: str) -> None:
    answer = judge(RULE, piece(**given))
    assert answer.status is Status.FAIL and why in answer.reason


def test_evidence_about_another_version_is_none() -> None:
    other = Pinned(ref=Ref("model", "delay", 2), digest=MODEL.digest)
    assert judge(RULE, piece(about=other)).status is Status.UNKNOWN


def test_stale_evidence_fails_and_fresh_evidence_of_the_same_age_limit_passes() -> None:
    rule = msgspec.structs.replace(RULE, max_age_days=30)
    assert judge(rule, piece(created_at=NOW - timedelta(days=30))).status is Status.PASS
    late = judge(rule, piece(created_at=NOW - timedelta(days=30, seconds=1)))
    assert late.status is Status.FAIL and "30 days old" in late.reason


def test_the_newest_decides_so_an_old_success_covers_no_new_failure() -> None:
    assert judge(RULE, piece(), piece(verdict=Verdict.FAIL)).status is Status.FAIL
    assert judge(RULE, piece(verdict=Verdict.FAIL), piece()).status is Status.PASS


def test_with_any_one_of_them_suffices() -> None:
    rule = msgspec.structs.replace(RULE, any=True)
    assert judge(rule, piece(), piece(verdict=Verdict.FAIL)).status is Status.PASS
    assert judge(rule, piece(verdict=Verdict.FAIL)).status is Status.FAIL


@pytest.mark.parametrize(("by", "status"), [("grace", Status.PASS), ("ada", Status.FAIL), ("", Status.UNKNOWN)])
def test_where_independence_is_asked_an_authors_own_figures_do_not_count(by: str, status: Status) -> None:
    assert judge(msgspec.structs.replace(RULE, independent=True), piece(by=by)).status is status


@pytest.mark.parametrize(
    ("figures", "status"),
    [
        ({"n": 100}, Status.PASS),
        ({"n": 99}, Status.FAIL),
        ({}, Status.UNKNOWN),
        ({"n": None}, Status.UNKNOWN),
        ({"n": float("nan")}, Status.UNKNOWN),
        ({"n": True}, Status.UNKNOWN),
    ],
)
def test_too_few_cases_are_no_evidence(figures: dict[str, Any], status: Status) -> None:
    assert judge(msgspec.structs.replace(RULE, min_n=100), piece(figures=figures)).status is status


@pytest.mark.parametrize("value", [None, float("nan"), "0.9", True, {}, []])
@pytest.mark.parametrize("comparator", ["at_least", "at_most", "above", "below"])
def test_what_is_not_a_number_meets_no_threshold(value: Any, comparator: str) -> None:
    condition = Condition(figure="auc", **{comparator: 0.5})  # type: ignore[arg-type]
    assert check(condition, {"auc": value}).status is Status.UNKNOWN
    assert check(condition, {}).status is Status.UNKNOWN


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_comparators_agree_with_arithmetic(value: float, limit: float) -> None:
    for name, met in {
        "at_least": value >= limit,
        "at_most": value <= limit,
        "above": value > limit,
        "below": value < limit,
    }.items():
        found = check(Condition(figure="x.low", **{name: limit}), {"x": {"low": value}})  # type: ignore[arg-type]
        assert found.status is (Status.PASS if met else Status.FAIL)


def test_figures_computed_on_training_data_can_be_ruled_out() -> None:
    condition = Condition(figure="split", none_of=["train"])
    assert check(condition, {"split": "test"}).status is Status.PASS
    assert check(condition, {"split": "train"}).status is Status.FAIL
    assert check(condition, {}).status is Status.UNKNOWN
    assert check(Condition(figure="ok", equals=True), {"ok": 1}).status is Status.FAIL


def test_every_related_version_must_have_it() -> None:
    rule = Requirement(id="rule", evidence="data-checks", about="dataset")
    second = Pinned(ref=Ref("dataset", "weather", 1), digest="w" * 64)
    good = piece("data-checks", about=DATA)
    assert judge(rule, good).status is Status.PASS
    assert judge(rule, good, related=[DATA, second]).status is Status.UNKNOWN
    assert judge(rule, good, piece("data-checks", about=second, verdict=Verdict.FAIL), related=[DATA, second]).status is (
        Status.FAIL
    )
    assert judge(rule, related=[]).status is Status.UNKNOWN


def test_a_comparison_counts_only_against_the_champion_of_the_moment() -> None:
    rule = Requirement(id="rule", evidence="comparison", against="champion")
    champion = Pinned(ref=Ref("model", "delay", 2), digest="c" * 64)
    assert judge(rule, piece("comparison")).status is Status.PASS
    assert judge(rule, piece("comparison"), champion=champion).status is Status.FAIL
    assert judge(rule, piece("comparison", inputs=[champion.ref]), champion=champion).status is Status.PASS


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (approval("ada", "validator"), "is an author"),
        (approval("", "validator"), "cannot be traced"),
        (approval("grace", "viewer"), "was none of validator"),
        (approval("grace", "validator", subject_digest="b" * 64), "other content"),
        (approval("grace", "validator", expires_at=NOW), "expired"),
        (approval("grace", "validator", figures={"environment": "staging"}), "was given to promote to staging"),
        (approval("grace", "validator", figures={"action": "deploy"}), "was given to deploy"),
        (approval("grace", "validator", figures={"policy_digest": "q" * 64}), "policy has changed"),
    ],
)
def test_an_approval_that_does_not_count_says_why(given: tuple[Evidence, str], why: str) -> None:
    answer = judge(CONSENT, given)
    assert answer.status is Status.FAIL and why in answer.reason


def test_no_approval_counts_while_nobody_knows_the_authors() -> None:
    assert judge(CONSENT, approval("grace", "validator"), authors=[]).status is Status.FAIL


def test_an_approval_holds_until_it_is_taken_back_or_its_evidence_changes() -> None:
    given = approval("grace", "validator")
    assert judge(CONSENT, given).status is Status.PASS
    back = piece("approval", figures={"revokes": given[0].id}, verdict=Verdict.FAIL)
    assert judge(CONSENT, given, back).status is Status.FAIL
    assert judge(CONSENT, given, piece("evaluation")).status is Status.FAIL
    assert judge(CONSENT, given, piece("drift")).status is Status.PASS


def test_two_approvals_are_two_people() -> None:
    rule = Requirement(id="rule", approvals=2)
    assert judge(rule, approval("grace"), approval("grace")).status is Status.FAIL
    assert judge(rule, approval("grace"), approval("rita")).status is Status.PASS


def test_where_each_role_is_asked_one_person_stands_for_one() -> None:
    rule = Requirement(id="rule", approvals=2, roles=["validator", "risk_officer"], each_role=True)
    both = approval("grace", "validator", "risk_officer")
    assert judge(rule, both, approval("rita", "validator")).status is Status.PASS
    assert judge(rule, approval("grace", "validator"), approval("rita", "validator")).status is Status.FAIL
    assert judge(rule, both).status is Status.FAIL


def test_a_waiver_stands_in_for_what_is_missing_and_says_so() -> None:
    answer = report(RULE, waiver(summary="the test set arrives on Monday"))
    assert answer.passed and answer.requirements[0].status is Status.WAIVED
    assert "the test set arrives on Monday" in answer.requirements[0].reason


@pytest.mark.parametrize(
    "given",
    [
        waiver("ada"),
        waiver(""),
        waiver(expires_at=NOW),
        waiver(expires_at=None),
        waiver(expires_at=NOW + MAX_WAIVER),
        waiver(subject_digest="b" * 64),
        waiver(verdict=Verdict.FAIL),
        waiver(figures={"rule": "another"}),
        waiver(figures={"environment": "staging"}),
        waiver(figures={"requested_by": "rita"}),
    ],
)
def test_a_waiver_that_does_not_hold(given: tuple[Evidence, str]) -> None:
    assert judge(RULE, given).status is Status.UNKNOWN


def test_what_cannot_be_waived_is_not() -> None:
    assert judge(msgspec.structs.replace(RULE, waivable=False), waiver()).status is Status.UNKNOWN


def test_a_requirement_that_is_met_uses_no_waiver() -> None:
    assert judge(RULE, piece(), waiver()).status is Status.PASS


@given(st.permutations([piece(), piece(verdict=Verdict.FAIL), approval("grace", "validator"), waiver()]))
def test_the_order_in_which_evidence_is_read_changes_nothing(pieces: list[tuple[Evidence, str]]) -> None:
    expected = report(RULE, *sorted(pieces, key=lambda p: p[0].id))
    assert msgspec.json.encode(report(RULE, *pieces), enc_hook=str) == msgspec.json.encode(expected, enc_hook=str)
