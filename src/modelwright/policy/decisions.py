"""May they? The pure core of access control: roles, grants and a question give a decision.

The rules, in their order:

1. A trusted principal (embedded use, the operator) has every right. Gates and separation of duties bind it all the same.
2. A token's scopes only ever narrow: what they do not name is refused, whatever its owner may do.
3. An explicit deny wins over every grant.
4. Rights hold for the path they were given on and everything below.
5. A person may read and use their own account, and those of the service accounts that act for them.
6. Who holds no right at all on a thing is not told that it exists.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind
from modelwright.core.wire import convert
from modelwright.policy.records import Decision, Grant, Role, Scope

Matrix = Mapping[str, Role]

VERBS = frozenset(
    {
        "read", "write", "use", "train", "register", "evaluate", "validate", "approve", "serve.invoke", "rollback", "kill",
        "label", "erase", "export", "grant", "audit.read", "policy.edit", "waive", "break_glass", "reveal.pii",
        "reveal.special", "hold",
    }
)  # fmt: skip
SELF_VERBS = frozenset({"read", "use"})

_TRUSTED = Decision(allow=True, visible=True, rules=("trusted",))


@functools.cache
def shipped_roles() -> Mapping[str, Role]:
    """The ten roles that come with the program."""
    text = resources.files("modelwright.policy").joinpath("roles.toml").read_text("utf-8")
    return read_roles(tomllib.loads(text))


def read_roles(tables: Mapping[str, object]) -> dict[str, Role]:
    """Roles from the tables of a TOML file, one per role; `Invalid` names the role and the verb that is wrong."""
    found: dict[str, Role] = {}
    for name, table in tables.items():
        try:
            role: Role = convert(table, Role)
        except Invalid as error:
            raise Invalid(f"The role {name!r}: {error.message}") from None
        for verb in role.verbs:
            check_verb(verb, pattern=True)
        found[name] = role
    return found


def standing_roles(project: Mapping[str, Role]) -> dict[str, Role]:
    """The shipped roles and the project's; `Invalid` where a project's role takes a shipped name or an unknown verb."""
    shipped = shipped_roles()
    for name, role in project.items():
        if name in shipped:
            raise Invalid(f"The role {name!r} of modelwright.toml has the name of a shipped one.", mend="Rename it.")
        for verb in role.verbs:
            check_verb(verb, pattern=True)
    return {**shipped, **project}


def check_verb(verb: str, *, pattern: bool = False) -> str:
    """The verb itself, or `Invalid` with the verbs that there are. A pattern may end in `.*`."""
    head, dot, rest = verb.partition(".")
    family = {known for known in VERBS if known.startswith(f"{head}.")}
    if verb in VERBS or (head == "deploy" and rest.replace("-", "_").isidentifier()):
        return verb
    if pattern and dot and rest == "*" and (family or head == "deploy"):
        return verb
    raise Invalid(f"{verb!r} is not a verb.", mend=f"The verbs are {', '.join(sorted(VERBS))} and deploy.<environment>.")


def decide(
    matrix: Matrix,
    grants: Sequence[Grant],
    principal: Principal,
    verb: str,
    resource: Resource,
    *,
    owned: frozenset[str] = frozenset(),
) -> Decision:
    """Whether the principal, who holds these grants, may do this to that. `owned` are the accounts that act for it."""
    if principal.trusted:
        return _TRUSTED
    allowed: list[str] = []
    denied: list[str] = []
    own_only = resource.kind is Kind.PRINCIPAL and verb == "use"  # nobody acts with somebody else's account
    visible = resource.name is None  # that a kind exists is no secret
    for grant in grants:
        if not (grant.scope.covers(resource) or (not grant.deny and _lists(grant.scope, verb, resource))):
            continue
        role = matrix.get(grant.role)
        if role is None:
            continue
        if grant.deny:
            if role.allows(verb):
                denied.append(grant.rule)
            if role.allows("read"):
                return _barred(grant, resource)
            continue
        visible = visible or bool(role.verbs)
        if role.allows(verb) and not own_only:
            allowed.append(grant.rule)
    if resource.kind is Kind.PRINCIPAL and (resource.name == principal.id or resource.name in owned):
        visible = True
        if verb in SELF_VERBS:
            allowed.append("self")
    if denied:
        return Decision(allow=False, visible=visible, rules=tuple(denied))
    if not allowed:
        return Decision(allow=False, visible=visible, rules=("no-grant",))
    if principal.scopes and not within(principal.scopes, verb, resource):
        known = resource.name is None or within(principal.scopes, "read", resource)
        return Decision(allow=False, visible=known, rules=("token-scope",))
    return Decision(allow=True, visible=True, rules=tuple(allowed))


def _lists(scope: Scope, verb: str, resource: Resource) -> bool:
    """Listing a kind needs the right on some part of it only: the list shows just that part."""
    return verb == "read" and resource.name is None and scope.covers_kind(resource.kind)


def _barred(grant: Grant, resource: Resource) -> Decision:
    return Decision(allow=False, visible=resource.name is None, rules=(grant.rule,))


class TokenScope(msgspec.Struct, frozen=True):
    """One of a token's limits: a verb, and where it holds."""

    verb: str
    scope: Scope

    @classmethod
    def parse(cls, text: str) -> TokenScope:
        """Read `verb` or `verb@scope`: `read`, `deploy.staging`, `serve.invoke@deployment:delay`."""
        verb, _, scope = text.partition("@")
        return cls(check_verb(verb, pattern=True), Scope.parse(scope or "*"))


def within(scopes: Sequence[str], verb: str, resource: Resource) -> bool:
    """Whether a token's limits leave room for this."""
    for text in scopes:
        limit = TokenScope.parse(text)
        covered = limit.scope.covers(resource) or _lists(limit.scope, verb, resource)
        if covered and Role(verbs=frozenset({limit.verb})).allows(verb):
            return True
    return False


def readable(
    matrix: Matrix, grants: Sequence[Grant], principal: Principal, kind: str, *, owned: frozenset[str] = frozenset()
) -> list[str] | None:
    """The paths under which a principal may read things of a kind; None stands for all, an empty list for none.

    A path with something denied below it cannot be given out as a whole: it is left out, so that a list never shows
    what a direct look would refuse. What is still allowed there can be opened by its name.
    """
    if principal.trusted:
        return None
    reading = [g for g in grants if g.scope.covers_kind(kind) and g.role in matrix and matrix[g.role].allows("read")]
    paths = {g.scope.path for g in reading if not g.deny}
    if principal.scopes:
        limits = [TokenScope.parse(text) for text in principal.scopes]
        paths = _meet(paths, {t.scope.path for t in limits if t.verb == "read" and t.scope.covers_kind(kind)})
    if kind == Kind.PRINCIPAL and (not principal.scopes or any(text == "read" for text in principal.scopes)):
        paths |= {principal.id, *owned}
    barred = {g.scope.path for g in reading if g.deny}
    paths = {p for p in paths if not any(_below(p, b) or _below(b, p) for b in barred)}
    return None if "" in paths else sorted(paths)


def _meet(one: set[str], other: set[str]) -> set[str]:
    """The paths that lie within both sets: of two nested ones, the narrower."""
    return {a if _below(a, b) else b for a in one for b in other if _below(a, b) or _below(b, a)}


def _below(path: str, above: str) -> bool:
    return not above or path == above or path.startswith(above + "/")
