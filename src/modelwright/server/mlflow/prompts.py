"""Prompts, which MLflow keeps as registered models with a tag: told from models, and hidden where models are looked for."""

from __future__ import annotations

from collections.abc import Mapping

from modelwright.models import Compare, Condition, Every, ModelVersion, Not, Some, Test
from modelwright.models.records import PROMPT_TAG, PROMPT_TEXT
from modelwright.server.mlflow.errors import invalid

IS_PROMPT, TEXT = PROMPT_TAG, PROMPT_TEXT


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of a prompt."""
    return tags.get(IS_PROMPT, "").lower() == "true"


def hide(condition: Condition) -> Condition:
    """What a search means: models only, unless it asks for prompts by their tag."""
    asked, meant = _meant(condition)
    return meant if asked else Every(of=[meant, Not(of=_PROMPTS)])


_PROMPTS = Test(field="tag", key=IS_PROMPT, how=Compare.EQUAL, value="true")


def _meant(condition: Condition) -> tuple[bool, Condition]:
    """The condition with every test of that tag made one of being a prompt, and whether there was any."""
    if isinstance(condition, Every | Some):
        parts = [_meant(each) for each in condition.of]
        return any(asked for asked, _ in parts), type(condition)(of=[part for _, part in parts])
    if isinstance(condition, Not):
        asked, part = _meant(condition.of)
        return asked, Not(of=part)
    if condition.field != "tag" or condition.key != IS_PROMPT or condition.how not in (Compare.EQUAL, Compare.UNEQUAL):
        return False, condition
    wanted = (str(condition.value).lower() == "true") is (condition.how is Compare.EQUAL)
    return True, _PROMPTS if wanted else Not(of=_PROMPTS)


def check_kind(key: str) -> None:
    """INVALID_PARAMETER_VALUE for the tag that makes a prompt of a model: it is one, or is none, from the beginning."""
    if key == IS_PROMPT:
        raise invalid(f"The tag {IS_PROMPT} is given when a prompt is made, and stays.")


def check_text(version: ModelVersion, key: str, value: str | None) -> None:
    """INVALID_PARAMETER_VALUE for a new text of a prompt version, or a version that is to be one no more."""
    if key not in (TEXT, IS_PROMPT) or not is_prompt(version.tags) or version.tags.get(key) == value:
        return
    raise invalid(f"The tag {key} is what version {version.ref.version} of the prompt {version.title!r} is, and stays.")
