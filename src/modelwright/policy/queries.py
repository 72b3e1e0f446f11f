"""Reading and writing what access control knows. Functions on an open transaction.

Every change of a principal, a grant or a role moves the epoch on; whoever holds a snapshot compares the epoch and reads
again when it has moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.refs import Kind, Ref
from modelwright.policy import tables
from modelwright.policy.records import Grant, Role, Scope
from modelwright.policy.requirements import APPROVAL, WAIVER
from modelwright.policy.tables import ACCESS, credentials, epoch, grants, principals, roles
from modelwright.store import Evidence, Transaction, evidence, scopes
from modelwright.store.queries import inputs_of
from modelwright.store.tables import catalog_dependencies, catalog_versions, ledger_events, ledger_refs
from modelwright.store.tables import evidence as evidence_table

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

    def lets_in(self, account: str, owner: str | None = None) -> bool:
        """Whether an account is active: a person who is kept out takes their service accounts along."""
        behind = self.owners.get(account, owner or account)
        return account not in self.inactive and behind not in self.inactive


def current_epoch(tx: Transaction) -> int:
    """The number of changes so far to who may do what."""
    return int(tx.execute(sa.select(epoch.c.epoch)).scalar() or 0)


def move_epoch(tx: Transaction) -> None:
    """State that who may do what has changed."""
    tx.touch(ACCESS)
    if tx.execute(epoch.update().values(epoch=epoch.c.epoch + 1)).rowcount == 0:
        tx.execute(epoch.insert().values(id=1, epoch=1))


def snapshot(tx: Transaction, standing: Mapping[str, Role]) -> Snapshot:
    """Read everything. `standing` are the roles that do not live in the database."""
    number = current_epoch(tx)
    held: dict[str, list[Grant]] = {}
    for row in tx.execute(sa.select(grants)):
        held.setdefault(row.principal, []).append(_grant(row))
    people = tx.execute(sa.select(_p.id, _p.owner, _p.active)).all()
    return Snapshot(
        epoch=number,
        roles={**workspace_roles(tx), **standing},
        grants={who: tuple(each) for who, each in held.items()},
        owners={row.id: row.owner for row in people if row.owner},
        inactive=frozenset(row.id for row in people if not row.active),
    )


def grants_of(tx: Transaction, principal: str) -> list[Grant]:
    """What one principal holds."""
    return [_grant(row) for row in tx.execute(sa.select(grants).where(_g.principal == principal))]


def _grant(row: Any) -> Grant:
    return Grant(principal=row.principal, role=row.role, scope=Scope.parse(row.scope), deny=row.deny)


def may_read(tx: Transaction, ref: Ref) -> bool:
    """Whether whoever asks may read the thing: for lists that an operation filters by itself."""
    return scopes.may_read(tx, ref.kind)(ref.name)


def workspace_roles(tx: Transaction) -> dict[str, Role]:
    """The roles that were defined in use."""
    return {
        row.name: Role(verbs=frozenset(msgspec.json.decode(row.verbs)), description=row.description)
        for row in tx.execute(sa.select(roles))
    }


def effective_identity(tx: Transaction, identity: str) -> str:
    """The person behind an account: a service account's owner, anybody else themselves."""
    found = tables.account(tx, identity)
    return (found.owner if found else None) or identity


# Evidence that only this room can make

WAIVER_REQUEST, WAIVER_ALERT = "waiver-request", "waiver-alert"
GATE, CLASSIFICATION = "gate", "classification"
APPROVED, WAIVED, CONSENT_REVOKED = "policy.version.approved", "policy.waiver.granted", "policy.consent.revoked"
GATE_DECIDED, CLASSIFIED = "policy.gate.decided", "policy.thing.classified"

_VOUCHED_BY = {
    APPROVAL: {APPROVED, CONSENT_REVOKED},
    WAIVER: {WAIVED, CONSENT_REVOKED},
    GATE: {GATE_DECIDED},
    CLASSIFICATION: {CLASSIFIED},
}


def vouched(tx: Transaction, pieces: Sequence[Evidence]) -> list[Evidence]:
    """The pieces without forgeries: consent, gates and tiers count only if an operation of this room made them.

    Any room may attach evidence of any kind; but the event that an operation leaves names its own outputs, and nobody
    else leaves events of ours.
    """
    ours = [e for e in pieces if e.kind in _VOUCHED_BY]
    if not ours:
        return list(pieces)
    r = ledger_refs.c
    query = (
        sa.select(r.ref, ledger_events.c.action)
        .join(ledger_events, ledger_events.c.seq == r.seq)
        .where(r.role == "out", r.ref.in_([str(e.ref) for e in ours]))
    )
    made_by: dict[str, set[str]] = {}
    for row in tx.execute(query):
        made_by.setdefault(row.ref, set()).add(row.action)
    return [e for e in pieces if e.kind not in _VOUCHED_BY or made_by.get(str(e.ref), set()) & _VOUCHED_BY[e.kind]]


def evidence_of(tx: Transaction, kind: str, *, since: datetime | None = None) -> list[Evidence]:
    """All evidence of a kind, whatever it speaks of, oldest first."""
    query = sa.select(evidence_table.c.id).where(evidence_table.c.kind == kind).order_by(evidence_table.c.seq)
    if since is not None:
        query = query.where(evidence_table.c.created_at >= isoformat(since))
    return vouched(tx, [evidence.get(tx, identity) for identity in tx.execute(query).scalars()])


# Where a version comes from


def sources(tx: Transaction, made: Collection[str]) -> list[str]:
    """One step upstream: the refs that went into the events these came out of, and those they depend on."""
    d = catalog_dependencies.c
    needs = sa.select(d.needs).where(d.dependant.in_(made)).order_by(d.needs)
    return [*inputs_of(tx, made), *tx.execute(needs).scalars()]


def registrars(tx: Transaction, kind: Kind, digest: str) -> list[str]:
    """The accounts that registered this content, under whatever name."""
    v = catalog_versions.c
    return list(tx.execute(sa.select(v.created_by).where(v.kind == kind, v.digest == digest)).scalars())


def first_events(tx: Transaction, refs: Sequence[Ref], *, role: str | None = None) -> list[int]:
    """For each ref the event that began it: the first that names it (with `role`, that names it so)."""
    r = ledger_refs.c
    query = sa.select(sa.func.min(r.seq)).where(r.ref.in_([str(ref) for ref in refs])).group_by(r.ref)
    return list(tx.execute(query.where(r.role == role) if role else query).scalars())


def actors(tx: Transaction, seqs: Iterable[int]) -> dict[int, str]:
    """The person behind each event, by sequence number."""
    query = sa.select(ledger_events.c.seq, ledger_events.c.body).where(ledger_events.c.seq.in_(list(seqs)))
    found = {}
    for row in tx.execute(query):
        actor: dict[str, Any] = msgspec.json.decode(row.body)["actor"]
        found[row.seq] = actor["on_behalf_of"] or effective_identity(tx, actor["id"])
    return found
