"""The embedded caller: checks the permission, opens (or joins) the transaction, runs the body, leaves the event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.operations import Operation, Resource, Room
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.store.database import Database, Transaction, current_transaction


class Decision(Protocol):
    """The answer of an authorizer: whether, and by which rules."""

    @property
    def allow(self) -> bool: ...
    @property
    def visible(self) -> bool:
        """Whether the principal may know that the resource exists: decides between 403 and 404."""
        ...

    @property
    def rules(self) -> Sequence[str]: ...


class Authorizer(Protocol):
    """Decides what a principal may do. Implemented by `policy`."""

    def decide(self, tx: Transaction, principal: Principal, verb: str, resource: Resource) -> Decision: ...

    def readable(self, tx: Transaction, principal: Principal, kind: str) -> Sequence[str] | None:
        """The paths under which the principal may read things of a kind; None stands for all."""
        ...

    def denied(self, principal: Principal, verb: str, resource: Resource, rules: Sequence[str]) -> None:
        """Told of every refusal, after the transaction was rolled back: puts it on the record."""
        ...


# How a database says that it cannot hold a value: PostgreSQL in one way, SQLite in others.
UNFIT = (sa.exc.DataError, OverflowError, UnicodeEncodeError)

_acting: ContextVar[Principal | None] = ContextVar("modelwright_principal", default=None)


@contextmanager
def acting_as(principal: Principal) -> Iterator[None]:
    """Run what is inside as another principal: the server does so for each request, the operator for each turn."""
    token = _acting.set(principal)
    try:
        yield
    finally:
        _acting.reset(token)


def unfit() -> Invalid:
    """What `UNFIT` is told as."""
    return Invalid("A value is not one that the database can hold: a number or a text too large, or a NUL character.")


class Embedded:
    """A `Caller` on a database in this process."""

    def __init__(self, database: Database, blobs: Blobs, authorizer: Authorizer, principal: Principal) -> None:
        self.database = database
        self._blobs = blobs
        self._authorizer = authorizer
        self._principal = principal

    @property
    def blobs(self) -> Blobs:
        return self._blobs

    @property
    def principal(self) -> Principal:
        return _acting.get() or self._principal

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """See `Caller.call`."""
        accepted = operation.accept(arguments)
        tx = current_transaction(self.database)
        if tx is not None:
            if operation.writes and not tx.writes:
                raise RuntimeError(f"{operation.path} writes, but was called inside a reading transaction")
            return self._run(tx, room, operation, accepted)
        with self.transaction(write=operation.writes) as fresh:
            return self._run(fresh, room, operation, accepted)

    def require(self, resource: Resource, *verbs: str) -> None:
        """Raise (and put on the record) unless the principal may do one of these; for doors that are no operations."""
        with self.transaction(write=False) as tx:
            decisions = [self._authorizer.decide(tx, tx.principal, verb, resource) for verb in verbs]
            if not any(decision.allow for decision in decisions):
                raise _DeniedHere(tx.principal, verbs[0], resource, decisions[0])

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """A transaction as the acting principal, for the few callers that need several operations to be one."""
        try:
            with self.database.transaction(self.principal, write=write) as tx:
                tx.readable = _reader(self._authorizer, tx)
                tx.allowed = _asker(self._authorizer, tx)
                yield tx
        except UNFIT as error:
            raise unfit() from error
        except _DeniedHere as refusal:
            self._authorizer.denied(self.principal, refusal.verb, refusal.resource, refusal.rules)
            raise refusal.error from None

    def _run(self, tx: Transaction, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        verb = operation.verb_for(arguments)
        resource = operation.resource_for(room, tx, arguments)
        decision = self._authorizer.decide(tx, tx.principal, verb, resource)
        if not decision.allow:
            asked, named = arguments.get(operation.on), operation.on if operation.on in _NAMED else ""
            raise _DeniedHere(tx.principal, verb, resource, decision, asked=asked, named=named)
        with tx.operation(
            operation.event,
            resource,
            decision="allow",
            rules=decision.rules,
            reason=str(arguments.get("reason") or ""),
        ):
            return operation.function(room, tx, **arguments)


def _reader(authorizer: Authorizer, tx: Transaction) -> Callable[[str], Sequence[str] | None]:
    return lambda kind: authorizer.readable(tx, tx.principal, kind)


def _asker(authorizer: Authorizer, tx: Transaction) -> Callable[[str, Resource], bool]:
    return lambda verb, resource: authorizer.decide(tx, tx.principal, verb, resource).allow


_NAMED = frozenset(kind.value for kind in Kind)


class _DeniedHere(Exception):
    """Carries a refusal out of the transaction, so that it can be recorded in one of its own."""

    def __init__(
        self,
        principal: Principal,
        verb: str,
        resource: Resource,
        decision: Decision,
        *,
        asked: object = None,
        named: str = "",
    ) -> None:
        """`asked` is what the caller named: who may not know that a thing exists is not told the name it has here.

        `named` is the kind of that, where it is another than the one that rights are asked on.
        """
        self.verb, self.resource, self.rules = verb, resource, list(decision.rules)
        if decision.visible:
            self.error: Exception = Denied(
                f"{principal.id} may not {verb} {resource}.",
                mend=f"See who may: mw who-can {verb} {resource}",
                details={"verb": verb, "resource": str(resource), "rules": self.rules},
            )
        else:
            kind = asked.kind if isinstance(asked, Ref) else Kind(named) if named else resource.kind
            name = asked.name if isinstance(asked, Ref) else resource.name if asked is None else str(asked)
            self.error = NotFound(f"There is no {kind.noun} {name!r}.", mend=f"See what there is: mw list {kind.value}")
