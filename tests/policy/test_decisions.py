"""The pure core: who may do what, from roles and grants alone."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.operations import Resource
from modelwright.core.principals import OPERATOR, Principal
from modelwright.core.refs import Kind
from modelwright.policy.decisions import check_verb, decide, readable, shipped_roles, within
from modelwright.policy.records import Decision, Grant, Scope

ROLES = shipped_roles()
ADA = Principal(id="ada", auth="token")
PRICING = Resource(Kind.MODEL, "pricing/delay")


def grant(role: str, scope: str = "*", *, deny: bool = False) -> Grant:
    return Grant(principal="ada", role=role, scope=Scope.parse(scope), deny=deny)


def ask(verb: str, *grants: Grant, on: Resource = PRICING, who: Principal = ADA) -> Decision:
    return decide(ROLES, grants, who, verb, on)


def test_without_a_grant_nothing_is_allowed_and_nothing_is_visible() -> None:
    assert ask("read") == Decision(allow=False, visible=False, rules=("no-grant",))


def test_a_right_holds_on_its_path_and_below_and_nowhere_else() -> None:
    held = grant("viewer", "model:pricing")
    assert ask("read", held).allow
    assert ask("read", held, on=Resource(Kind.MODEL, "pricing")).allow
    assert not ask("read", held, on=Resource(Kind.MODEL, "pricing-two")).allow
    assert not ask("read", held, on=Resource(Kind.DATASET, "pricing/delay")).allow


def test_what_may_be_read_but_not_changed_is_visible() -> None:
    assert ask("write", grant("viewer")) == Decision(allow=False, visible=True, rules=("no-grant",))


def test_an_explicit_deny_wins_over_every_grant_and_hides_the_thing() -> None:
    answer = ask("read", grant("admin"), grant("scientist"), grant("viewer", "model:pricing", deny=True))
    assert not answer.allow and not answer.visible
    assert answer.rules == ("deny:viewer@model:pricing",)


def test_deploying_is_a_right_on_one_environment() -> None:
    assert ask("deploy.dev", grant("scientist")).allow
    assert not ask("deploy.production", grant("scientist")).allow
    assert ask("deploy.production", grant("operator")).allow


@pytest.mark.parametrize("verb", ["approve", "deploy.dev", "deploy.production", "waive", "policy.edit"])
def test_an_admin_neither_approves_nor_deploys(verb: str) -> None:
    assert not ask(verb, grant("admin")).allow


def test_an_auditor_reads_everything_and_writes_nothing() -> None:
    assert {"read", "audit.read"} == ROLES["auditor"].verbs


def test_the_operator_and_embedded_use_have_every_right() -> None:
    assert ask("kill", who=OPERATOR).rules == ("trusted",)


@pytest.mark.parametrize("verb", ["write", "deploy.dev", "kill"])
def test_a_token_never_allows_what_its_owner_may_not(verb: str) -> None:
    token = Principal(id="ada", auth="token", scopes=("write", "deploy.*", "kill"))
    assert not ask(verb, grant("viewer"), who=token).allow


def test_a_tokens_scopes_narrow_verb_and_place() -> None:
    token = Principal(id="ada", auth="token", scopes=("read@model:pricing", "register@model:pricing/delay"))
    held = grant("scientist")
    assert ask("read", held, who=token).allow
    assert ask("register", held, who=token).allow
    assert ask("write", held, who=token).rules == ("token-scope",)
    elsewhere = ask("read", held, who=token, on=Resource(Kind.MODEL, "credit"))
    assert not elsewhere.allow and not elsewhere.visible


def test_a_list_of_a_kind_needs_the_right_on_part_of_it_but_a_change_of_all_needs_all() -> None:
    every = Resource(Kind.MODEL)
    assert ask("read", grant("viewer", "model:pricing"), on=every).allow
    assert not ask("write", grant("scientist", "model:pricing"), on=every).allow
    assert ask("write", grant("scientist", "model:*"), on=every).allow
    assert ask("read", on=every).visible


def test_everybody_may_see_and_use_their_own_account_only() -> None:
    assert ask("use", on=Resource(Kind.PRINCIPAL, "ada")).rules == ("self",)
    assert not ask("use", on=Resource(Kind.PRINCIPAL, "grace")).visible
    own = decide(ROLES, (), ADA, "use", Resource(Kind.PRINCIPAL, "svc/ci"), owned=frozenset({"svc/ci"}))
    assert own.allow


def test_readable_paths_are_those_granted_without_the_denied() -> None:
    def paths(*grants: Grant, who: Principal = ADA) -> list[str] | None:
        return readable(ROLES, grants, who, "model")

    assert paths() == []
    assert paths(grant("viewer")) is None
    assert paths(grant("viewer", "model:b"), grant("viewer", "*:a")) == ["a", "b"]
    assert paths(grant("viewer", "model:a"), grant("viewer", "model:a/secret", deny=True)) == []
    assert paths(grant("viewer", "model:b"), grant("viewer", "model:a", deny=True)) == ["b"]
    narrow = Principal(id="ada", auth="token", scopes=("read@model:a/x",))
    assert paths(grant("viewer", "model:a"), who=narrow) == ["a/x"]
    assert paths(grant("viewer"), who=narrow) == ["a/x"]


def test_within_understands_patterns() -> None:
    assert within(["deploy.*"], "deploy.staging", PRICING)
    assert not within(["deploy.staging"], "deploy.production", PRICING)


@pytest.mark.parametrize("text", ["model", "model:", "nonsense:x", ""])
def test_a_scope_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("text", "mend"),
    [("run:a/*", "run:a"), ("run:a*", "run:a"), ("model:*/b", "model:*"), ("*:Späte Flüge", "*:Spte-Flge-")],
)
def test_a_scope_that_would_hold_nowhere_is_not_given(text: str, mend: str) -> None:
    with pytest.raises(Invalid, match="holds nowhere") as refused:
        Scope.given(text)
    assert mend in refused.value.mend
    assert Scope.given("run:a/b") == Scope.parse("run:a/b") and Scope.given("*") == Scope.parse("*")


@pytest.mark.parametrize("verb", ["frobnicate", "deploy.", "deploy", "deploy.*", "read.*", ""])
def test_a_verb_that_does_not_exist_is_refused(verb: str) -> None:
    with pytest.raises(Invalid):
        check_verb(verb)
