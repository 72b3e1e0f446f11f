"""Policies as text: read strictly, said in English, told apart."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Invalid
from modelwright.policy.documents import diff, parse, render, shipped, shipped_text
from modelwright.policy.requirements import Tier

HEAD = 'name = "p"\n\n[tier.standard]\n'


def rule(*lines: str) -> str:
    return HEAD + "\n[[tier.standard.require]]\n" + "\n".join(lines) + "\n"


def test_the_shipped_policy_asks_of_each_tier_what_the_one_below_asks_and_more() -> None:
    policy = shipped()
    count = [len(policy.requirements(tier, "promote", "production")) for tier in Tier]
    assert count == [2, 6, 7]
    assert [r.id for r in policy.requirements(Tier.STANDARD, "promote", "staging")] == ["data-checks", "evaluation"]
    assert not [r for r in policy.requirements(Tier.LOW, "promote", "production") if r.approvals]


def test_a_tier_left_out_falls_to_the_next_stricter_one() -> None:
    policy = parse(rule('id = "x"', 'evidence = "evaluation"'))
    assert [r.id for r in policy.requirements(Tier.LOW, "promote", "production")] == ["x"]
    assert [r.id for r in policy.requirements(Tier.HIGH, "promote", "production")] == ["x"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = \n[tier.low]\n", "line 1"),
        ("[tier.low]\n", "no name"),
        ('name = "p"\n', "no tier"),
        ('name = "p"\ncolour = 1\n[tier.low]\n', "Line 2: colour"),
        ('name = "p"\n[tier.huge]\n', "Line 2: 'huge'"),
        ('name = "p"\n[tier.low]\nextend = "x"\n', "Line 3: tier.low.extend"),
        ('name = "p"\n[tier.low]\nextends = "high"\n', "extends 'high'"),
        (rule('id = "x"'), "Line 5, tier.standard, requirement 'x': It needs either"),
        (rule('id = "x"', 'evidence = "a"', "approvals = 1"), "either"),
        (rule('id = "x"', 'evidence = "a"', "min_n = 'many'"), "Line 8"),
        (rule('id = "x"', 'evidence = "a"', "minimum = 3"), "Line 8"),
        (rule('id = "x"', 'evidence = "a"', 'verdicts = ["good"]'), "Line 8"),
        (rule('id = "X Y"', 'evidence = "a"'), "Line 6"),
        (rule('id = "x"', 'evidence = "a"', 'figures = [{ figure = "auc" }]'), "exactly one comparator"),
        (rule('id = "x"', 'evidence = "a"', "max_age_days = 0"), "Line 8"),
        (rule('id = "x"', "approvals = 1", 'roles = ["a", "b"]', "each_role = true"), "too few"),
        (rule('id = "x"', 'evidence = "a"') + '\n[[tier.standard.require]]\nid = "x"\nevidence = "b"\n', "twice"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line_and_key(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert says in refused.value.message


def test_tiers_that_extend_each_other_in_a_ring_are_refused() -> None:
    with pytest.raises(Invalid):
        parse('name = "p"\n[tier.low]\nextends = "high"\n[tier.high]\nextends = "low"\n')


def test_a_policy_is_said_in_sentences() -> None:
    said = render(shipped())
    assert "One person who is not an author must approve" in said
    assert "Every dataset version in its lineage must have evidence of the kind data-checks" in said
    assert "2 people who are not authors must approve, among them a validator and a risk officer" in said


def test_comments_and_order_of_keys_do_not_make_another_policy() -> None:
    assert parse("# a remark\n" + shipped_text()).digest == shipped().digest


def test_two_versions_are_told_apart_requirement_by_requirement() -> None:
    before = shipped()
    after = parse(
        shipped_text().replace("max_age_days = 180", "max_age_days = 30", 1).replace('id = "slices"', 'id = "groups"')
    )
    changes = diff(before, after)
    assert "~ low evaluation: max_age_days from 180.0 to 30.0" in changes
    assert any(c.startswith("- standard slices") for c in changes)
    assert any(c.startswith("+ high groups") for c in changes)
    assert diff(before, before) == []
