"""The tables of access. Secrets are kept as digests only; versions of policies live in the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.principals import PrincipalKind
from modelwright.core.wire import encode_text
from modelwright.policy.records import Account, Credential, GrantRecord
from modelwright.policy.tokens import Token
from modelwright.store import Transaction
from modelwright.store.tables import metadata

ACCESS = "access"  # what is touched where accounts, credentials or rights change

principals = sa.Table(
    "policy_principals",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("display", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(200)),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("password", sa.String(200)),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Index("ix_policy_principals_owner", "owner"),
)

grants = sa.Table(
    "policy_grants",
    metadata,
    sa.Column("principal", sa.String(200), primary_key=True),
    sa.Column("role", sa.String(60), primary_key=True),
    sa.Column("scope", sa.String(300), primary_key=True),
    sa.Column("deny", sa.Boolean, primary_key=True),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

roles = sa.Table(
    "policy_roles",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("verbs", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
)

credentials = sa.Table(
    "policy_credentials",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("owner", sa.String(200), nullable=False, index=True),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("expires_at", sa.String(27)),
    sa.Column("last_used_at", sa.String(27)),
    sa.Column("revoked_at", sa.String(27)),
)

attempts = sa.Table(
    "policy_attempts",
    metadata,
    sa.Column("who", sa.String(200), primary_key=True),
    sa.Column("ip", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.String(27), nullable=False),
    sa.Column("locked_until", sa.String(27)),
)

epoch = sa.Table(
    "policy_epoch",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)


_p, _g, _c, _a = principals.c, grants.c, credentials.c, attempts.c


# Accounts


def account(tx: Transaction, identity: str) -> Account | None:
    """One principal, or None."""
    row = tx.execute(sa.select(principals).where(_p.id == identity)).first()
    return None if row is None else to_account(row)


def to_account(row: Any) -> Account:
    """A row of `policy_principals` as a record."""
    return Account(
        id=row.id,
        kind=PrincipalKind(row.kind),
        display=row.display,
        owner=row.owner,
        active=row.active,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        has_password=row.password is not None,
    )


def to_grant(row: Any) -> GrantRecord:
    """A row of `policy_grants` as a record."""
    return GrantRecord(
        principal=row.principal,
        role=row.role,
        scope=row.scope,
        deny=row.deny,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
    )


def to_credential(row: Any) -> Credential:
    """A row of `policy_credentials` as a record, without its secret."""
    return Credential(
        id=row.id,
        kind=row.kind,
        owner=row.owner,
        label=row.label,
        scopes=msgspec.json.decode(row.scopes),
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        expires_at=parse_time(row.expires_at) if row.expires_at else None,
        last_used_at=parse_time(row.last_used_at) if row.last_used_at else None,
        revoked_at=parse_time(row.revoked_at) if row.revoked_at else None,
    )


def add_account(tx: Transaction, identity: str, kind: PrincipalKind, display: str, owner: str | None) -> Account:
    """Add a principal."""
    tx.execute(
        principals.insert().values(
            id=identity,
            kind=kind.value,
            display=display,
            owner=owner,
            active=True,
            password=None,
            created_at=tx.stamp,
            created_by=tx.principal.id,
        )
    )
    return Account(id=identity, kind=kind, display=display, owner=owner, created_at=tx.now, created_by=tx.principal.id)


def accounts(tx: Transaction) -> list[Account]:
    """Every principal, by id."""
    return [to_account(row) for row in tx.execute(sa.select(principals).order_by(_p.id))]


def set_active(tx: Transaction, identity: str, active: bool) -> None:
    """Let a principal in or keep it out."""
    tx.execute(principals.update().where(_p.id == identity).values(active=active))


def password_of(tx: Transaction, identity: str) -> str | None:
    """The hash of a principal's password, or None where there is neither."""
    found: str | None = tx.execute(sa.select(_p.password).where(_p.id == identity)).scalar()
    return found


def set_password(tx: Transaction, identity: str, hashed: str) -> None:
    """Store the hash of a new password."""
    tx.touch(ACCESS)
    tx.execute(principals.update().where(_p.id == identity).values(password=hashed))


# Grants and roles


def add_grant(tx: Transaction, principal: str, role: str, scope: str, deny: bool) -> GrantRecord | None:
    """Give a role; None if the principal holds it there already."""
    row = {"principal": principal, "role": role, "scope": scope, "deny": deny}
    new = tx.insert(grants).values(**row, created_at=tx.stamp, created_by=tx.principal.id).on_conflict_do_nothing()
    if tx.execute(new).rowcount == 0:
        return None
    return GrantRecord(
        principal=principal, role=role, scope=scope, deny=deny, created_at=tx.now, created_by=tx.principal.id
    )


def drop_grant(tx: Transaction, principal: str, role: str, scope: str, deny: bool) -> bool:
    """Take a role away; False if it was not held."""
    which = (_g.principal == principal, _g.role == role, _g.scope == scope, _g.deny == deny)
    return tx.execute(grants.delete().where(*which)).rowcount > 0


def list_grants(tx: Transaction) -> list[GrantRecord]:
    """Every grant, by principal."""
    return [to_grant(r) for r in tx.execute(sa.select(grants).order_by(_g.principal, _g.scope, _g.role))]


def put_role(tx: Transaction, name: str, verbs: Sequence[str], description: str) -> None:
    """Define a role, or define it anew."""
    tx.execute(roles.delete().where(roles.c.name == name))
    tx.execute(roles.insert().values(name=name, verbs=encode_text(sorted(verbs)), description=description))


# Credentials


def add_credential(
    tx: Transaction,
    token: Token,
    owner: str,
    *,
    label: str = "",
    scopes: Sequence[str] = (),
    expires_at: datetime | None,
) -> Credential:
    """Store what is needed to know a token again: everything but its secret."""
    row = {
        "id": token.id,
        "kind": token.kind.value,
        "owner": owner,
        "label": label,
        "secret": token.digest,
        "scopes": encode_text(list(scopes)),
        "created_at": tx.stamp,
        "created_by": tx.principal.id,
        "expires_at": isoformat(expires_at) if expires_at else None,
    }
    tx.execute(credentials.insert().values(row))
    return Credential(
        id=token.id,
        kind=token.kind.value,
        owner=owner,
        label=label,
        scopes=list(scopes),
        created_at=tx.now,
        created_by=tx.principal.id,
        expires_at=expires_at,
    )


def find_credential(tx: Transaction, token: Token) -> Credential | None:
    """The credential that a token stands for; None if there is none, or the secret is not its."""
    row = tx.execute(sa.select(credentials).where(_c.id == token.id, _c.kind == token.kind.value)).first()
    if row is None or not token.matches(row.secret):
        return None
    return to_credential(row)


def list_credentials(tx: Transaction, owner: str) -> list[Credential]:
    """The tokens and sessions of a principal, newest first."""
    query = sa.select(credentials).where(_c.owner == owner).order_by(_c.id.desc())
    return [to_credential(row) for row in tx.execute(query)]


def touch_credential(tx: Transaction, identity: str) -> None:
    """Note that it was used now."""
    tx.execute(credentials.update().where(_c.id == identity).values(last_used_at=tx.stamp))


def revoke_credentials(tx: Transaction, owner: str, *, identity: str | None = None, kinds: Sequence[str] = ()) -> list[str]:
    """Revoke one credential of a principal, those of some kinds, or all; returns the ids that were live until now."""
    which = [_c.owner == owner, _c.revoked_at.is_(None)]
    which += [_c.id == identity] if identity else []
    which += [_c.kind.in_(list(kinds))] if kinds else []
    live = list(tx.execute(sa.select(_c.id).where(*which)).scalars())
    tx.touch(ACCESS)
    tx.execute(credentials.update().where(_c.id.in_(live)).values(revoked_at=tx.stamp))
    return live


# Failed attempts to sign in


def locked_until(tx: Transaction, who: str, ips: Sequence[str]) -> datetime | None:
    """Until when a name is locked from any of these addresses, or None."""
    query = sa.select(sa.func.max(_a.locked_until)).where(_a.who == who, _a.ip.in_(list(ips)))
    held = tx.execute(query).scalar()
    return parse_time(held) if held else None


def failures(tx: Transaction, who: str, ip: str) -> int:
    """How often in a row a name was tried in vain from an address."""
    return int(tx.execute(sa.select(_a.failures).where(_a.who == who, _a.ip == ip)).scalar() or 0)


def put_failures(tx: Transaction, who: str, ip: str, count: int, until: datetime | None, forget: datetime) -> None:
    """Store the count and the lock; counts that nobody has added to since `forget` are dropped."""
    tx.execute(attempts.delete().where(sa.or_(_a.last_at < isoformat(forget), sa.and_(_a.who == who, _a.ip == ip))))
    row = {"who": who, "ip": ip, "failures": count, "last_at": tx.stamp}
    tx.execute(attempts.insert().values(**row, locked_until=isoformat(until) if until else None))


def forget_failures(tx: Transaction, who: str) -> None:
    """A name has signed in: it starts anew."""
    tx.execute(attempts.delete().where(_a.who == who))
