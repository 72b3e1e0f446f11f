"""The questionnaire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.policy.requirements import Tier
from modelwright.policy.tiers import QUESTIONS, assess

MILDEST = {key: min(q.answers, key=lambda a, q=q: q.answers[a]) for key, q in QUESTIONS.items()}  # type: ignore[misc]


def test_there_are_at_most_twelve_questions() -> None:
    assert len(QUESTIONS) <= 12


def test_no_answers_are_the_highest_tier_and_the_mildest_the_lowest() -> None:
    assert assess({}).tier is Tier.HIGH
    assert assess(MILDEST).tier is Tier.LOW


@pytest.mark.parametrize("key", ["rights", "safety"])
def test_some_answers_decide_alone(key: str) -> None:
    assert assess({**MILDEST, key: "yes"}).tier is Tier.HIGH


@pytest.mark.parametrize("answers", [{"colour": "red"}, {"people": "several"}])
def test_an_unknown_question_or_answer_is_refused(answers: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        assess(answers)


@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(sorted(q.answers)) for k, q in QUESTIONS.items()}))
def test_answering_one_more_question_never_raises_the_tier(answers: dict[str, str]) -> None:
    full = assess(answers)
    for key in answers:
        fewer = assess({k: v for k, v in answers.items() if k != key})
        assert fewer.tier.rank >= full.tier.rank and fewer.points >= full.points
