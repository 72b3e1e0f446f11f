"""The authorizer: decides from a snapshot of roles and grants, read again only when their epoch has moved."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence

from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.policy import decisions, queries
from modelwright.policy.denials import Denials
from modelwright.policy.records import Decision, Grant, Role
from modelwright.policy.tables import ACCESS
from modelwright.store import Database, Transaction

_GONE = Decision(allow=False, visible=False, rules=("account-disabled",))


class Rights:
    """Answers `Authorizer`, the port that the embedded caller asks.

    The epoch is read once per transaction, with its first question, which comes before any of its changes: so every
    process sees a grant or a revocation in the next transaction. A snapshot that holds what may still be rolled back, since
    it was read behind others who are not committed yet, is not kept for the next.
    """

    def __init__(self, database: Database, roles: Mapping[str, Role] | None = None) -> None:
        """`roles` are the project's own, from modelwright.toml."""
        self.denials = Denials(database)
        self._database = database
        self._standing = decisions.standing_roles(roles or {})
        self._lock = threading.Lock()
        self._latest: queries.Snapshot | None = None
        self._seen: weakref.WeakKeyDictionary[Transaction, queries.Snapshot] = weakref.WeakKeyDictionary()

    @property
    def version(self) -> int:
        """Another number after each change of accounts, credentials or rights by this process: what caches go by."""
        return self._database.touched(ACCESS)

    def decide(self, tx: Transaction, principal: Principal, verb: str, resource: Resource) -> Decision:
        """Whether the principal may; see `decisions.decide`."""
        if principal.trusted:
            return decisions.decide({}, (), principal, verb, resource)
        known = self.snapshot(tx)
        if not known.lets_in(principal.id, principal.on_behalf_of):
            return _GONE
        grants, owned = _held(known, principal), known.owned_by(principal.id)
        return decisions.decide(known.roles, grants, principal, verb, resource, owned=owned)

    def readable(self, tx: Transaction, principal: Principal, kind: str) -> Sequence[str] | None:
        """The paths under which the principal may read things of a kind; None stands for all."""
        if principal.trusted:
            return None
        known = self.snapshot(tx)
        if not known.lets_in(principal.id, principal.on_behalf_of):
            return []
        grants, owned = _held(known, principal), known.owned_by(principal.id)
        return decisions.readable(known.roles, grants, principal, kind, owned=owned)

    def denied(self, principal: Principal, verb: str, resource: Resource, rules: Sequence[str]) -> None:
        """Put a refusal on the record, in a transaction of its own."""
        self.denials.note(principal, verb, resource, rules)

    def snapshot(self, tx: Transaction) -> queries.Snapshot:
        """What this transaction decides by."""
        with self._lock:
            known = self._seen.get(tx)
            if known is None:
                known = self._latest
                if known is None or known.epoch != queries.current_epoch(tx):
                    known = queries.snapshot(tx, self._standing)
                    if not tx.tentative:
                        self._latest = known
                self._seen[tx] = known
            return known


def _held(known: queries.Snapshot, principal: Principal) -> tuple[Grant, ...]:
    return known.grants.get(principal.id, ())
