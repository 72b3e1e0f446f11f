"""The pages of policy: what must hold before a model reaches people, in sentences, and what was set aside."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

from starlette.requests import Request

from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.policy.service import PolicyVersion
from modelwright.server.pages.render import allowed, known, named
from modelwright.workspace import Workspace

EARLIER = 20
_RULE = re.compile(r"  (?P<id>\S+) \((?P<where>[^)]*)\): (?P<text>.*)")


class Rule(NamedTuple):
    """A requirement in words."""

    id: str
    where: str
    text: str


class TierText(NamedTuple):
    """What a risk tier asks for."""

    title: str
    description: str
    rules: list[Rule]


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """The policies in force, and the waivers that were granted."""
    adopted = workspace.policy.list(Filter(limit=100)).items
    policies = [workspace.policy.show(version.ref) for version in adopted]
    standard = Ref(Kind.POLICY, "standard")
    if not any(Ref.parse(each.ref).whole == standard for each in policies):
        policies.insert(0, workspace.policy.show(standard))
    return {"policies": policies, "waivers": allowed(workspace.policy.waivers) or [], "tiers": _tiers}


def policy(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One version of a policy, what it changed, and the versions before it."""
    found = workspace.policy.show(named(request, Kind.POLICY))
    ref = Ref.parse(found.ref)
    number = ref.version or 0
    versions = [known(partial(workspace.policy.show, ref.at(n))) for n in _before(workspace, ref)]
    return {
        "policy": found,
        "ref": ref,
        "tiers": _tiers(found),
        "versions": [each for each in versions if each is not None],
        "diff": known(lambda: workspace.policy.diff(ref.at(number - 1), ref)) if number > 1 else None,
        "events": (known(lambda: workspace.record.history(ref).items) or [])[:20],
    }


def _before(workspace: Workspace, ref: Ref) -> list[int]:
    latest = known(lambda: workspace.record.show(ref.whole))
    newest = latest.ref.version if latest is not None else None
    return list(range(newest, max(0, newest - EARLIER), -1)) if newest else []


def _tiers(found: PolicyVersion) -> list[TierText]:
    """The policy's English, taken apart into tiers and rules, so that a page can set it."""
    tiers: list[TierText] = []
    for line in found.english.splitlines():
        if line.startswith("Risk tier "):
            title, _, description = line.partition(". ")
            tiers.append(TierText(title, description, []))
        elif tiers and (match := _RULE.match(line)):
            tiers[-1].rules.append(Rule(match["id"], match["where"], match["text"]))
    return tiers
