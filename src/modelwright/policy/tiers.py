"""How much harm can it do? A questionnaire of ten answers gives the risk tier. Pure.

An answer that is missing counts as its worst: what nobody has thought about is not harmless. Some answers decide alone;
otherwise the points of all answers add up.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwright.core.errors import Invalid
from modelwright.policy.requirements import Tier

STANDARD_FROM, HIGH_FROM = 4, 10  # points


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question, its answers with their points, and the answers that make the tier high by themselves."""

    text: str
    answers: dict[str, int]
    decides: frozenset[str] = frozenset()


_YES_NO = {"no": 0, "yes": 2}

QUESTIONS: dict[str, Question] = {
    "autonomy": Question(
        text="Who acts on its output?",
        answers={"person-decides": 0, "person-can-object": 2, "acts-alone": 3},
    ),
    "people": Question(
        text="How many people does a year of its output touch?",
        answers={"none": 0, "up-to-1000": 1, "up-to-100000": 2, "more": 3},
    ),
    "money": Question(
        text="How much money a year depends on it, in the workspace's currency?",
        answers={"none": 0, "up-to-100000": 1, "up-to-10-million": 2, "more": 3},
    ),
    "undo": Question(
        text="Can a wrong output be put right?",
        answers={"at-once": 0, "with-effort": 1, "never": 3},
    ),
    "rights": Question(
        text="Does it bear on credit, insurance, work, education, health, housing, justice or public services?",
        answers={"no": 0, "yes": 4},
        decides=frozenset({"yes"}),
    ),
    "safety": Question(
        text="Can it hurt somebody or damage a thing that people depend on?",
        answers={"no": 0, "yes": 4},
        decides=frozenset({"yes"}),
    ),
    "personal_data": Question(
        text="What data about people does it use?",
        answers={"none": 0, "personal": 1, "special-category": 3},
    ),
    "vulnerable": Question(text="Are children or other vulnerable people among those touched?", answers=_YES_NO),
    "regulated": Question(text="Does a law or a supervisor speak of this use by name?", answers=_YES_NO),
    "outside": Question(text="Is its output seen outside the organisation?", answers={"no": 0, "yes": 1}),
}


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """The tier that answers give, and why."""

    tier: Tier
    points: int
    reasons: list[str]


def assess(answers: Mapping[str, str]) -> Assessment:
    """The tier of the answers; `Invalid` names a question or an answer that does not exist."""
    for key, answer in answers.items():
        if key not in QUESTIONS:
            raise Invalid(f"There is no question {key!r}.", mend=f"The questions are {', '.join(QUESTIONS)}.")
        if answer not in QUESTIONS[key].answers:
            options = ", ".join(QUESTIONS[key].answers)
            raise Invalid(f"{answer!r} is not an answer to {key!r}.", mend=f"The answers are {options}.")
    points, deciding, reasons = 0, False, []
    for key, question in QUESTIONS.items():
        answer = answers.get(key) or max(question.answers, key=lambda a: question.answers[a])
        score = question.answers[answer]
        points += score
        deciding = deciding or answer in question.decides
        if score:
            said = answer if key in answers else f"not answered, taken as {answer}"
            reasons.append(f"{question.text} {said} ({score})")
    tier = Tier.HIGH if deciding or points >= HIGH_FROM else Tier.STANDARD if points >= STANDARD_FROM else Tier.LOW
    return Assessment(tier=tier, points=points, reasons=reasons)
