"""People, machines, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from modelwright.core.errors import Conflict, Denied, Invalid, NotFound, Refused
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.principals import PrincipalKind
from modelwright.core.refs import Kind, Ref
from modelwright.policy import decisions, queries, tables, tokens
from modelwright.policy.decisions import TokenScope, check_verb
from modelwright.policy.passwords import Passwords, check_strength
from modelwright.policy.records import (
    Account,
    Credential,
    GrantRecord,
    Holder,
    IssuedCredential,
    Right,
    Role,
    RoleRecord,
    Scope,
)
from modelwright.policy.tokens import TokenKind
from modelwright.store import Transaction

SERVICE_PREFIX = "svc/"
RESERVED = ("svc", "system", "anonymous", "token")
SETUP_LASTS = timedelta(hours=24)
LONGEST = {TokenKind.USER: 90, TokenKind.SERVICE: 365}  # days
ADMIN = "admin"


class Access(Room):
    """Accounts, their credentials, and the roles that they hold on paths of the workspace."""

    room, kind = "access", Kind.PRINCIPAL

    def __init__(self, caller: Caller, *, roles: Mapping[str, Role] | None = None) -> None:
        """`roles` are the project's own, from modelwright.toml."""
        super().__init__(caller)
        self._standing = decisions.standing_roles(roles or {})
        self._project = frozenset(roles or {})
        self._passwords = Passwords()

    # Accounts

    @operation("grant", event="access.user.created")
    def create_user(self, tx: Transaction, name: str, *, display: str = "", reason: str = "") -> Account:
        """Add a person, without a password and without a right: `invite` lets them set one, `grant` gives the other."""
        if name.split("/")[0] in RESERVED:
            raise Invalid(f"{name!r} is reserved.", mend="Choose a name that does not begin with svc, system or token.")
        return self._create(tx, name, PrincipalKind.USER, display, None)

    @operation("grant", event="access.service.created")
    def create_service(self, tx: Transaction, name: str, *, owner: str, display: str = "", reason: str = "") -> Account:
        """Add a service account, `svc/<name>`: it has tokens and no password, and for separation of duties is its owner."""
        if not name.startswith(SERVICE_PREFIX):
            raise Invalid(
                f"The service account {name!r} has the wrong kind of name.", mend=f"Call it {SERVICE_PREFIX}{name}."
            )
        if self._account(tx, owner).kind is not PrincipalKind.USER:
            raise Invalid(f"{owner} is not a person, and a service account acts for one.")
        return self._create(tx, name, PrincipalKind.SERVICE, display, owner)

    @operation("grant", event="access.account.switched")
    def set_active(self, tx: Transaction, name: str, *, active: bool, reason: str) -> Account:
        """Keep an account out, or let it in again. With a person go their service accounts; tokens stop at once."""
        held = self._account(tx, name)
        if held.active == active:
            tx.unchanged()
            return held
        tables.set_active(tx, name, active)
        queries.move_epoch(tx)
        tx.note(resource=_ref(name), before={"active": held.active}, after={"active": active})
        return self._account(tx, name)

    @operation("grant", event="access.setup.issued")
    def invite(self, tx: Transaction, name: str, *, reason: str = "") -> IssuedCredential:
        """A set-up token with which a person sets their password, once, within 24 hours; earlier ones are void."""
        if self._account(tx, name).kind is not PrincipalKind.USER:
            raise Invalid(f"{name} is a service account: it has tokens and no password.")
        tables.revoke_credentials(tx, name, kinds=[TokenKind.SETUP])
        token = tokens.issue(TokenKind.SETUP, tx.new_id())
        made = tables.add_credential(tx, token, name, expires_at=tx.now + SETUP_LASTS)
        tx.note(resource=_ref(name), after={"setup": made.id, "expires_at": made.expires_at})
        return IssuedCredential(token=token.text, credential=made)

    @operation("grant", event="access.admin.prepared")
    def first_admin(self, tx: Transaction, name: str = ADMIN) -> IssuedCredential:
        """The set-up token of the first admin, for `mw up` to print; `Conflict` once an admin can sign in."""
        admins = [g.principal for g in tables.list_grants(tx) if g.role == ADMIN and not g.deny]
        able = [a.id for a in tables.accounts(tx) if a.id in admins and a.active and a.has_password]
        if able:
            raise Conflict(f"There is an admin already: {', '.join(able)}.", mend="Ask them for an invitation.")
        if tables.account(tx, name) is None:
            tables.add_account(tx, name, PrincipalKind.USER, "", None)
        tables.add_grant(tx, name, ADMIN, "*", False)
        queries.move_epoch(tx)
        tx.note(resource=_ref(name), after={"role": ADMIN, "scope": "*"})
        return self.invite(name, reason="the first admin")

    @operation("use", event="access.password.set")
    def set_password(self, tx: Transaction, name: str, *, password: str) -> Account:
        """Set your own password, of 12 characters at least; your sessions end. A token cannot do it."""
        if tx.principal.auth == "token":
            raise Denied("A token cannot set a password: whoever found it could keep you out.", mend="Sign in first.")
        if self._account(tx, name).kind is not PrincipalKind.USER:
            raise Invalid(f"{name} is a service account: it has tokens and no password.")
        check_strength(password, name)
        tables.set_password(tx, name, self._passwords.hash(password))
        ended = tables.revoke_credentials(tx, name, kinds=[TokenKind.SESSION, TokenKind.SETUP])
        tx.note(resource=_ref(name), after={"revoked": ended})
        return self._account(tx, name)

    # Tokens

    @operation("use", event="access.token.issued")
    def create_token(
        self, tx: Transaction, name: str, *, label: str = "", scopes: Sequence[str] = (), days: int = 30
    ) -> IssuedCredential:
        """A token for yourself or a service account of yours; its secret is shown this once.

        `scopes` narrow it: `read`, `deploy.staging`, `serve.invoke@deployment:delay`; none means all that the account may,
        now and later. It lasts 90 days at most for a person, 365 for a service account, which may have several: that is
        how a secret is replaced without a pause.
        """
        account = self._account(tx, name)
        kind = TokenKind.SERVICE if account.kind is PrincipalKind.SERVICE else TokenKind.USER
        if not 1 <= days <= LONGEST[kind]:
            raise Invalid(f"A token of {name} lasts 1 to {LONGEST[kind]} days, not {days}.")
        for text in scopes:
            Scope.given(str(TokenScope.parse(text).scope))
        if tx.principal.scopes and (not scopes or not set(scopes) <= set(tx.principal.scopes)):
            raise Denied("A token cannot make one that may more than itself.", mend="Sign in, and make it there.")
        token = tokens.issue(kind, tx.new_id())
        until = tx.now + timedelta(days=days)
        made = tables.add_credential(tx, token, name, label=label, scopes=scopes, expires_at=until)
        tx.note(resource=_ref(name), after={"token": made.id, "label": label, "scopes": list(scopes), "expires_at": until})
        return IssuedCredential(token=token.text, credential=made)

    @operation("use", event="access.token.revoked")
    def revoke_token(self, tx: Transaction, name: str, token: str, *, reason: str = "") -> None:
        """End a token or session of yours by its id; the next request with it is refused."""
        self._end(tx, name, tables.revoke_credentials(tx, name, identity=token), token)

    @operation("grant", event="access.credentials.revoked")
    def revoke_all(self, tx: Transaction, name: str, *, reason: str) -> int:
        """End every token and session of an account at once; returns how many there were."""
        self._account(tx, name)
        ended = tables.revoke_credentials(tx, name)
        tx.note(resource=_ref(name), after={"revoked": ended})
        return len(ended)

    @operation("read")
    def tokens(self, tx: Transaction, name: str) -> Sequence[Credential]:
        """The tokens and sessions of an account, newest first, revoked and expired ones included; no secrets."""
        self._account(tx, name)
        return tables.list_credentials(tx, name)

    # Rights

    @operation("grant", event="access.role.granted")
    def grant(
        self, tx: Transaction, name: str, role: str, *, scope: str = "*", deny: bool = False, reason: str = ""
    ) -> GrantRecord:
        """Give an account a role on a scope (`*`, `model:*`, `model:pricing`, `*:pricing`) and all below it.

        With `deny` it is barred there from all that the role allows, whatever else it holds. Nobody gives rights to
        themselves or to a service account of their own.
        """
        self._not_to_oneself(tx, name)
        known = self._roles(tx)
        if role not in known:
            raise NotFound(f"There is no role {role!r}.", mend=f"The roles are {', '.join(sorted(known))}.")
        where = str(Scope.given(scope))
        made = tables.add_grant(tx, self._account(tx, name).id, role, where, deny)
        if made is None:
            tx.unchanged()
            return next(g for g in tables.list_grants(tx) if _same(g, name, role, where, deny))
        queries.move_epoch(tx)
        tx.note(resource=_ref(name), after={"role": role, "scope": where, "deny": deny})
        return made

    @operation("grant", event="access.role.revoked")
    def revoke(
        self, tx: Transaction, name: str, role: str, *, scope: str = "*", deny: bool = False, reason: str = ""
    ) -> None:
        """Take a role on a scope away again; nobody lifts a bar on themselves."""
        if deny:
            self._not_to_oneself(tx, name)
        where = str(Scope.parse(scope))
        if not tables.drop_grant(tx, name, role, where, deny):
            raise NotFound(f"{name} holds no {'bar on ' if deny else ''}{role} on {where}.")
        queries.move_epoch(tx)
        tx.note(resource=_ref(name), before={"role": role, "scope": where, "deny": deny})

    @operation("grant", event="access.role.defined", on="")
    def define_role(self, tx: Transaction, role: str, verbs: Sequence[str], *, description: str = "") -> RoleRecord:
        """Define a role of the workspace's own, or define it anew. The shipped and the project's roles stay as they are."""
        if role in self._standing:
            raise Conflict(f"{role} is a {self._origin(role)} role and cannot be redefined.", mend="Choose another name.")
        if not role.replace("_", "").replace("-", "").isalnum() or len(role) > 60 or not verbs:
            raise Invalid("A role has a name of letters, digits, - and _, and at least one verb.")
        for verb in verbs:
            check_verb(verb, pattern=True)
        tables.put_role(tx, role, verbs, description)
        queries.move_epoch(tx)
        tx.note(resource=_ref(tx.principal.id), after={"role": role, "verbs": sorted(verbs)})
        return RoleRecord(name=role, verbs=sorted(verbs), description=description, origin="workspace")

    @operation("read", on="")
    def roles(self, tx: Transaction) -> Sequence[RoleRecord]:
        """Every role: the shipped, the project's, and those defined in use."""
        return [
            RoleRecord(name=name, verbs=sorted(role.verbs), description=role.description, origin=self._origin(name))
            for name, role in sorted(self._roles(tx).items())
        ]

    @operation("read", on="")
    def grants(self, tx: Transaction) -> Sequence[GrantRecord]:
        """Who holds which role where, for the accounts that the caller may see."""
        return [g for g in tables.list_grants(tx) if queries.may_read(tx, _ref(g.principal))]

    @operation("read", on="")
    def who_can(self, tx: Transaction, verb: str, resource: str) -> Sequence[Holder]:
        """Who may do `verb` on a resource (`model:pricing/delay`, or `model:*` for all), and by which rules."""
        check_verb(verb)
        kind, _, path = resource.partition("@")[0].partition(":")
        if kind not in set(Kind) or not path:
            raise Invalid(f"{resource!r} is not a resource.", mend="Write kind:name, for example model:delay.")
        asked = Resource(Kind(kind), None if path == "*" else path)
        known = queries.snapshot(tx, self._standing)
        found = []
        for account in tables.accounts(tx):
            if not queries.may_read(tx, _ref(account.id)) or not known.lets_in(account.id):
                continue
            answer = decisions.decide(
                known.roles,
                known.grants.get(account.id, ()),
                account.principal(),
                verb,
                asked,
                owned=known.owned_by(account.id),
            )
            if answer.allow:
                found.append(Holder(principal=account.id, rules=list(answer.rules)))
        return found

    @operation("read")
    def what_can(self, tx: Transaction, name: str) -> Sequence[Right]:
        """What an account may: each of its roles with its scope and verbs. An account that is kept out may nothing."""
        self._account(tx, name)
        known = queries.snapshot(tx, self._standing)
        if not known.lets_in(name):
            return []
        return [
            Right(scope=str(g.scope), role=g.role, verbs=sorted(known.roles[g.role].verbs), deny=g.deny)
            for g in known.grants.get(name, ())
            if g.role in known.roles
        ]

    @operation("read", on="")
    def list(self, tx: Transaction) -> Sequence[Account]:
        """The accounts that the caller may see."""
        return [account for account in tables.accounts(tx) if queries.may_read(tx, _ref(account.id))]

    def _create(self, tx: Transaction, name: str, kind: PrincipalKind, display: str, owner: str | None) -> Account:
        ref = _ref(name)
        if tables.account(tx, name) is not None:
            raise Conflict(
                f"There is an account {name!r} already.", mend="Accounts keep their name for good; choose another."
            )
        made = tables.add_account(tx, name, kind, display, owner)
        queries.move_epoch(tx)
        tx.note(resource=ref, after={"kind": kind.value, "owner": owner or ""})
        return made

    def _account(self, tx: Transaction, name: str) -> Account:
        found = tables.account(tx, name)
        if found is None:
            raise NotFound(f"There is no account {name!r}.", mend="See who there is: workspace.access.list()")
        return found

    def _end(self, tx: Transaction, name: str, ended: Sequence[str], token: str) -> None:
        if not ended:
            raise NotFound(f"{name} has no live token {token!r}.")
        tx.note(resource=_ref(name), after={"revoked": list(ended)})

    def _not_to_oneself(self, tx: Transaction, name: str) -> None:
        if queries.effective_identity(tx, name) == tx.principal.effective_id and not tx.principal.trusted:
            raise Refused(f"{tx.principal.id} cannot change their own rights.", mend="Ask another admin.")

    def _roles(self, tx: Transaction) -> dict[str, Role]:
        return {**queries.workspace_roles(tx), **self._standing}

    def _origin(self, role: str) -> str:
        if role not in self._standing:
            return "workspace"
        return "project" if role in self._project else "shipped"


def _ref(name: str) -> Ref:
    return Ref(Kind.PRINCIPAL, name)


def _same(held: GrantRecord, name: str, role: str, scope: str, deny: bool) -> bool:
    return (held.principal, held.role, held.scope, held.deny) == (name, role, scope, deny)
