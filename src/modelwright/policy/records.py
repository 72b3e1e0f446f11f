"""The nouns of access: roles, grants, accounts, credentials, and the answer to "may they?". Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelwright.core.errors import BadRef, Invalid
from modelwright.core.names import path_for
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal, PrincipalKind
from modelwright.core.refs import Kind, Ref

EVERYTHING = "*"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a principal may, whether it may know that the resource exists, and the rules that say so."""

    allow: bool
    visible: bool
    rules: tuple[str, ...] = ()


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named set of verbs. `deploy.*` stands for every verb that begins with `deploy.`."""

    verbs: frozenset[str]
    description: str = ""

    def allows(self, verb: str) -> bool:
        """Whether the verb is one of the role's own or covered by one of its patterns."""
        if verb in self.verbs:
            return True
        head, dot, _ = verb.partition(".")
        return bool(dot) and f"{head}.*" in self.verbs


class Scope(msgspec.Struct, frozen=True):
    """Where a grant holds: a kind (or `*` for all) and a path (or empty for all); everything below it is included."""

    kind: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read `*`, `kind:*`, `kind:path` or `*:path`; `Invalid` says what is wrong with anything else."""
        if text == EVERYTHING:
            return cls(EVERYTHING, "")
        kind, colon, path = text.partition(":")
        if not colon or not path or (kind != EVERYTHING and kind not in {k.value for k in Kind}):
            raise Invalid(
                f"{text!r} is not a scope.", mend="Write * for everything, or kind:path, for example model:pricing."
            )
        return cls(kind, "" if path == EVERYTHING else path.rstrip("/"))

    @classmethod
    def given(cls, text: str) -> Scope:
        """The same from somebody who gives a right: `Invalid` for a path that nothing has."""
        found = cls.parse(text)
        try:
            if found.path:
                Ref(Kind.MODEL, found.path)
        except BadRef:
            above = found.path.partition("*")[0].rstrip("/") if EVERYTHING in found.path else path_for(found.path)
            raise Invalid(
                f"{text!r} holds nowhere: {found.path!r} is no path that a thing can have.",
                mend=f"A scope holds for a path and all below it: {found.kind}:{above or EVERYTHING}",
            ) from None
        return found

    def __str__(self) -> str:
        if self.kind == EVERYTHING and not self.path:
            return EVERYTHING
        return f"{self.kind}:{self.path or EVERYTHING}"

    def covers_kind(self, kind: str) -> bool:
        """Whether it speaks of that kind at all."""
        return self.kind in (EVERYTHING, kind)

    def covers(self, resource: Resource) -> bool:
        """Whether a resource lies within. A kind as a whole lies only within a scope without a path."""
        if self.kind != EVERYTHING and self.kind != resource.kind:
            return False
        if not self.path:
            return True
        name = resource.name
        return name is not None and (name == self.path or name.startswith(self.path + "/"))


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A principal holds a role within a scope; with `deny`, it is barred there from whatever the role allows."""

    principal: str
    role: str
    scope: Scope
    deny: bool = False

    @property
    def rule(self) -> str:
        """How a decision names it."""
        return f"{'deny' if self.deny else 'grant'}:{self.role}@{self.scope}"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A principal that the workspace knows: a person, or a service account that acts for one."""

    id: str
    kind: PrincipalKind
    display: str = ""
    owner: str | None = None  # the person a service account acts for
    active: bool = True
    created_at: datetime
    created_by: str
    has_password: bool = False

    def principal(self) -> Principal:
        """The principal that it is when it asks, without any limits of a token."""
        return Principal(id=self.id, kind=self.kind, on_behalf_of=self.owner, auth="password")


class GrantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it is listed, with who gave it and when."""

    principal: str
    role: str
    scope: str
    deny: bool
    created_at: datetime
    created_by: str


class RoleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A role as it is listed. `origin` is shipped, project (from modelwright.toml) or workspace (defined in use)."""

    name: str
    verbs: list[str]
    description: str
    origin: str


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token or a session as it is listed: everything but the secret, which nobody has kept."""

    id: str
    kind: str  # user | svc | sess | setup
    owner: str
    label: str = ""
    scopes: list[str] = []
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class IssuedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh credential with its secret: the only time that the secret is shown."""

    token: str
    credential: Credential


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may, and the rules by which."""

    principal: str
    rules: list[str]


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal may within a scope, by a role; or, with `deny`, may not."""

    scope: str
    role: str
    verbs: list[str]
    deny: bool = False
