"""The same services through every door, on every database."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.policy.requirements import Tier
from modelwright.workspace import Workspace

STRICT = 'name = "standard"\n[tier.low]\n[[tier.low.require]]\nid = "drill"\nevidence = "drill"\n'


def test_a_policy_is_adopted_shown_told_apart_and_kept_in_every_version(workspace: Workspace) -> None:
    shipped = workspace.policy.show(Ref.parse("policy:standard"))
    assert "Risk tier high" in shipped.english
    first = workspace.policy.adopt(shipped.text)
    assert workspace.policy.adopt("# the same\n" + shipped.text) == first
    second = workspace.policy.adopt(STRICT, reason="drills first")
    assert (first.ref, second.ref) == ("policy:standard@1", "policy:standard@2")
    changes = workspace.policy.diff(Ref.parse(first.ref), Ref.parse(second.ref))
    assert any(line.startswith("+ low drill") for line in changes)
    assert [str(v.ref) for v in workspace.policy.list().items] == ["policy:standard@2"]
    with pytest.raises(Invalid, match="Line 2"):
        workspace.policy.adopt('name = "standard"\n[tier.huge]\n')


def test_a_tier_is_classified_and_unclassified_is_high(workspace: Workspace) -> None:
    model = Ref.parse("model:delay")
    assert workspace.policy.tier(model) is Tier.HIGH
    made = workspace.policy.classify(model, {"autonomy": "person-decides"})
    assert made.tier is Tier.HIGH and any("not answered" in reason for reason in made.reasons)
    assert workspace.policy.waivers() == []
    assert workspace.policy.remind() == []


def test_a_gate_on_what_does_not_exist_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        workspace.policy.gate(Ref.parse("model:nothing@1"), "promote", environment="production")


def test_accounts_rights_and_tokens(workspace: Workspace) -> None:
    access = workspace.access
    access.create_user("ada", display="Ada")
    access.create_service("svc/ci", owner="ada")
    with pytest.raises(Conflict):
        access.create_user("ada")
    assert access.grant("ada", "operator", scope="deployment:delay").scope == "deployment:delay"
    assert [h.principal for h in access.who_can("deploy.production", "deployment:delay")] == ["ada"]
    issued = access.create_token("svc/ci", label="build", scopes=["read"], days=300)
    assert issued.token.startswith("mw_svc_")
    assert [t.id for t in access.tokens("svc/ci")] == [issued.credential.id]
    access.revoke_token("svc/ci", issued.credential.id)
    assert access.tokens("svc/ci")[0].revoked_at is not None
    access.revoke("ada", "operator", scope="deployment:delay")
    assert list(access.grants()) == []
    assert [a.id for a in access.list()] == ["ada", "svc/ci"]
