"""Reading and writing what access control knows. Functions on an open transaction.

Every change of a principal, a grant or a role moves the epoch on; whoever holds a snapshot compares the epoch and reads
again when it has moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.principals import PrincipalKind
from modelwright.policy.records import Account, Credential, Grant, GrantRecord, Role, Scope
from modelwright.policy.tables import credentials, epoch, grants, principals, roles
from modelwright.store import Transaction

_p, _g, _c = principals.c, grants.c, credentials.c


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision needs, as of one epoch."""

    epoch: int
    roles: Mapping[str, Role]
    grants: Mapping[str, tuple[Grant, ...]]
    owners: Mapping[str, str]  # service account -> the person it acts for
    inactive: frozenset[str]

    def owned_by(self, person: str) -> frozenset[str]:
        """The service accounts that act for a person."""
        return frozenset(account for account, owner in self.owners.items() if owner == person)


def current_epoch(tx: Transaction) -> int:
    """The number of changes so far to who may do what."""
    return int(tx.execute(sa.select(epoch.c.epoch)).scalar() or 0)


def move_epoch(tx: Transaction) -> None:
    """State that who may do what has changed."""
    if tx.execute(epoch.update().values(epoch=epoch.c.epoch + 1)).rowcount == 0:
        tx.execute(epoch.insert().values(id=1, epoch=1))


def snapshot(tx: Transaction, standing: Mapping[str, Role]) -> Snapshot:
    """Read everything. `standing` are the roles that do not live in the database."""
    number = current_epoch(tx)
    held: dict[str, list[Grant]] = {}
    for row in tx.execute(sa.select(grants)):
        grant = Grant(principal=row.principal, role=row.role, scope=Scope.parse(row.scope), deny=row.deny)
        held.setdefault(row.principal, []).append(grant)
    people = tx.execute(sa.select(_p.id, _p.owner, _p.active)).all()
    return Snapshot(
        epoch=number,
        roles={**workspace_roles(tx), **standing},
        grants={who: tuple(each) for who, each in held.items()},
        owners={row.id: row.owner for row in people if row.owner},
        inactive=frozenset(row.id for row in people if not row.active),
    )


def workspace_roles(tx: Transaction) -> dict[str, Role]:
    """The roles that were defined in use."""
    return {
        row.name: Role(verbs=frozenset(msgspec.json.decode(row.verbs)), description=row.description)
        for row in tx.execute(sa.select(roles))
    }


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


def effective_identity(tx: Transaction, identity: str) -> str:
    """The person behind an account: a service account's owner, anybody else themselves."""
    found = account(tx, identity)
    return (found.owner if found else None) or identity
