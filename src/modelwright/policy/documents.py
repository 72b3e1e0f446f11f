"""Policies as TOML: reading them strictly, saying them in English, and telling two of them apart.

name = "standard"

[tier.standard]
extends = "low"

[[tier.standard.require]]
id = "comparison"
evidence = "comparison"
against = "champion"
environments = ["production"]
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from modelwright.core.errors import Invalid
from modelwright.core.wire import convert, to_plain
from modelwright.policy.requirements import CHAMPION, SUBJECT, Condition, PolicyDocument, Requirement, Tier, TierRules

SHIPPED = "standard"
_TIER_KEYS = {"description", "extends", "require"}
_ID = re.compile(r"[a-z0-9][a-z0-9\-]*")


def shipped_text() -> str:
    """The TOML of the policy that comes with the program."""
    return resources.files("modelwright.policy").joinpath("standard.toml").read_text("utf-8")


@functools.cache
def shipped() -> PolicyDocument:
    """The policy that holds where the workspace has none of its own."""
    return parse(shipped_text())


def parse(text: str) -> PolicyDocument:
    """Read a policy; `Invalid` names the line, the key and what is wrong with it."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"The policy is not valid TOML: {error}.") from None
    lines = _Lines(text)
    _only(values, {"name", "description", "tier"}, lines, "")
    name, tables = values.get("name"), values.get("tier")
    if not isinstance(name, str) or not name:
        raise Invalid("The policy has no name.", mend='Begin it with name = "...".')
    if not isinstance(tables, dict) or not tables:
        raise Invalid("The policy has no tier.", mend="Write at least one [tier.standard] table.")
    for tier in tables:
        if tier not in set(Tier):
            known = ", ".join(Tier)
            raise Invalid(f"Line {lines.of_tier(tier)}: {tier!r} is not a risk tier.", mend=f"The tiers are {known}.")
    own = {Tier(tier): _rules(tier, table, lines) for tier, table in tables.items()}
    tiers = {tier: _complete(tier, tables, own, ()) for tier in own}
    return PolicyDocument(name=name, description=str(values.get("description", "")), tiers=tiers)


def _rules(tier: str, table: Any, lines: _Lines) -> TierRules:
    if not isinstance(table, dict):
        raise Invalid(f"Line {lines.of_tier(tier)}: tier.{tier} is not a table.")
    _only(table, _TIER_KEYS, lines, f"tier.{tier}")
    listed = table.get("require", [])
    if not isinstance(listed, list):
        raise Invalid(f"Line {lines.of_tier(tier)}: tier.{tier}.require is a list of tables.")
    found = [_requirement(tier, number, each, lines) for number, each in enumerate(listed)]
    return TierRules(description=str(table.get("description", "")), require=found)


def _requirement(tier: str, number: int, table: Any, lines: _Lines) -> Requirement:
    name = table.get("id", f"number {number + 1}") if isinstance(table, dict) else f"number {number + 1}"
    try:
        made: Requirement = convert(table, Requirement)
        _check(made)
    except Invalid as error:
        key = _key_in(error.message)
        line = lines.of_requirement(tier, number, key)
        raise Invalid(f"Line {line}, tier.{tier}, requirement {name!r}: {error.message}", mend=error.mend) from None
    return made


def _check(rule: Requirement) -> None:
    """What the types alone cannot say."""
    if not _ID.fullmatch(rule.id):
        raise Invalid(f"`id` is {rule.id!r}.", mend="An id is lower-case letters, digits and hyphens.")
    if bool(rule.evidence) == (rule.approvals > 0):
        raise Invalid("It needs either `evidence` or `approvals`, and not both.")
    if rule.approvals < 0 or (rule.each_role and rule.approvals < len(rule.roles)):
        raise Invalid(f"`approvals` is {rule.approvals}, too few for what it asks.")
    if rule.against not in ("", CHAMPION):
        raise Invalid(f"`against` is {rule.against!r}.", mend=f"It can only be {CHAMPION}.")
    if not rule.verdicts:
        raise Invalid("`verdicts` is empty: nothing could meet it.")
    if rule.max_age_days is not None and not rule.max_age_days > 0:
        raise Invalid("`max_age_days` must be more than 0.")
    for condition in rule.figures:
        if len(condition.comparators()) != 1:
            raise Invalid(
                f"`figures`: {condition.figure} needs exactly one comparator.", mend="For example at_least = 0.7."
            )


def _complete(
    tier: Tier, tables: Mapping[str, Any], own: Mapping[Tier, TierRules], on_the_way: tuple[Tier, ...]
) -> TierRules:
    """A tier with the requirements of the one it extends; its own of the same id replace those."""
    parent = tables[tier].get("extends")
    rules = own[tier]
    ids = [r.id for r in rules.require]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise Invalid(f"tier.{tier} has the requirement {twice[0]!r} twice.")
    if parent is None:
        return rules
    if parent not in tables or Tier(parent) in (*on_the_way, tier):
        raise Invalid(f"tier.{tier} extends {parent!r}, which is not another tier of this policy.")
    below = _complete(Tier(parent), tables, own, (*on_the_way, tier))
    inherited = [r for r in below.require if r.id not in ids]
    return TierRules(description=rules.description, require=[*inherited, *rules.require])


def _only(table: Mapping[str, Any], known: set[str], lines: _Lines, where: str) -> None:
    for key in table:
        if key not in known:
            raise Invalid(
                f"Line {lines.of_key(key)}: {where + '.' if where else ''}{key} is not a key of a policy.",
                mend=f"The keys here are {', '.join(sorted(known))}.",
            )


def _key_in(message: str) -> str:
    """The key that an error speaks of: the decoder writes `$.key` or names an unknown field, `_check` writes `key`."""
    for pattern in (r"`\$\.(\w+)", r"unknown field `(\w+)`", r"`(\w+)`"):
        if found := re.search(pattern, message):
            return found.group(1)
    return ""


class _Lines:
    """Where in the text a table or a key stands: the parser itself does not keep that."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def of_tier(self, tier: str) -> int:
        return self._find(re.compile(rf"\s*\[+\s*tier\s*\.\s*\"?{re.escape(tier)}\b"))

    def of_key(self, key: str) -> int:
        return self._find(re.compile(rf"\s*\[*\s*(?:[\w.]+\.)?\"?{re.escape(key)}\"?\s*(?:=|\])"))

    def of_requirement(self, tier: str, number: int, key: str) -> int:
        header = re.compile(rf"\s*\[\[\s*tier\s*\.\s*{re.escape(tier)}\s*\.\s*require\s*\]\]")
        starts = [at for at, line in enumerate(self._lines) if header.match(line)]
        if number >= len(starts):
            return self.of_tier(tier)
        start = starts[number]
        for at in range(start + 1, len(self._lines)):
            if self._lines[at].lstrip().startswith("["):
                break
            if key and re.match(rf"\s*{re.escape(key)}\s*=", self._lines[at]):
                return at + 1
        return start + 1

    def _find(self, pattern: re.Pattern[str]) -> int:
        return next((at + 1 for at, line in enumerate(self._lines) if pattern.match(line)), 1)


# In English


def sentence(rule: Requirement) -> str:
    """A requirement as a sentence that somebody can agree or disagree with."""
    text = _consent(rule) if rule.approvals else _knowledge(rule)
    return f"{text[0].upper()}{text[1:]}."


def _consent(rule: Requirement) -> str:
    people = "one person who is not an author" if rule.approvals == 1 else f"{rule.approvals} people who are not authors"
    text = f"{people} must approve"
    if rule.each_role:
        text += f", among them a {_and(rule.roles, 'and a')}"
    elif rule.roles:
        text += f", each as {_and(rule.roles, 'or')}"
    if rule.after:
        text += f", after the newest {_and(rule.after)}"
    return text.replace("_", " ")


def _knowledge(rule: Requirement) -> str:
    whose = "the version" if rule.about == SUBJECT else f"every {rule.about} version in its lineage"
    which = f"any {rule.evidence}" if rule.any else f"the newest {rule.evidence}"
    verdicts = _and([v.value for v in rule.verdicts], "or")
    text = f"{whose} must have evidence of the kind {rule.evidence}: {which} says {verdicts}"
    for condition in rule.figures:
        text += f", its {_condition(condition)}"
    if rule.against:
        text += f", compared with the {rule.against} of the moment (if there is one)"
    if rule.min_n is not None:
        text += f", on at least {rule.min_n:,} cases"
    if rule.max_age_days is not None:
        text += f", no older than {rule.max_age_days:g} days"
    if rule.independent:
        text += ", made by somebody who is not an author"
    return text


_SAID = {
    "at_least": "is at least", "at_most": "is at most", "above": "is above", "below": "is below", "equals": "is",
    "one_of": "is one of", "none_of": "is none of",
}  # fmt: skip


def _condition(condition: Condition) -> str:
    ((name, value),) = condition.comparators().items()
    shown = ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{condition.figure} {_SAID[name]} {shown}"


def _and(words: list[str], word: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"


def render(document: PolicyDocument) -> str:
    """The whole policy in English, tier by tier, for people who do not read TOML."""
    parts = [f"Policy {document.name}. {document.description}".strip()]
    for tier in sorted(document.tiers, key=lambda t: t.rank):
        rules = document.tiers[tier]
        parts.append(f"\nRisk tier {tier.value}. {rules.description}".rstrip())
        for rule in rules.require:
            parts.append(f"  {rule.id} ({_where(rule)}): {sentence(rule)}{' ' + rule.because if rule.because else ''}")
        if not rules.require:
            parts.append("  Nothing is required.")
    return "\n".join(parts) + "\n"


def _where(rule: Requirement) -> str:
    what = _and(rule.actions, "or") if rule.actions else "every action"
    return f"{what} in {_and(rule.environments, 'or')}" if rule.environments else what


def diff(before: PolicyDocument, after: PolicyDocument) -> list[str]:
    """What changed between two versions, a line for each requirement: `+` is new, `-` is gone, `~` is different."""
    lines: list[str] = []
    for tier in sorted({*before.tiers, *after.tiers}, key=lambda t: t.rank):
        old = {r.id: r for r in before.tiers[tier].require} if tier in before.tiers else {}
        new = {r.id: r for r in after.tiers[tier].require} if tier in after.tiers else {}
        for key in dict.fromkeys([*old, *new]):
            if key not in old:
                lines.append(f"+ {tier.value} {key} ({_where(new[key])}): {sentence(new[key])}")
            elif key not in new:
                lines.append(f"- {tier.value} {key} ({_where(old[key])}): {sentence(old[key])}")
            elif old[key] != new[key]:
                one, other = to_plain(old[key]), to_plain(new[key])
                fields = [name for name in one if one[name] != other[name]]
                said = "; ".join(f"{name} from {one[name]!r} to {other[name]!r}" for name in fields)
                lines.append(f"~ {tier.value} {key}: {said}")
    return lines
