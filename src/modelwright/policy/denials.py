"""Refusals on the record, without letting whoever is refused flood it.

The first refusal of an actor, verb and resource within a minute is written at once; repeats are counted and written as
one event when the minute is over. An actor who tries more than `DISTINCT` resources in a minute has the rest counted
under the kind. A crash can lose the count of repeats in the running minute, never the first refusal.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

import msgspec

from modelwright.core.errors import BadRef
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.store import Database, Transaction

DISTINCT = 50
MAX_NAME = 200


class _Key(msgspec.Struct, frozen=True):
    minute: str
    actor: str
    verb: str
    resource: str


class _Count(msgspec.Struct):
    principal: Principal
    subject: Ref
    rules: Sequence[str]
    repeats: int = 0


class Denials:
    """Writes refusals to the ledger, at most one event per actor, verb, resource and minute, and one for its repeats."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counts: dict[_Key, _Count] = {}

    def note(self, principal: Principal, verb: str, resource: Resource, rules: Sequence[str]) -> None:
        """Put one refusal on the record; call it outside any transaction."""
        with self._lock:
            now = self._database.clock.now()
            due = self._due(now)
            key = self._key(now, principal, verb, resource)
            known = self._counts.get(key)
            if known is not None:
                known.repeats += 1
            else:
                self._counts[key] = known = _Count(principal, _subject(principal, resource), rules)
                due.append((key, _Count(principal, known.subject, rules, repeats=-1)))
        self._write(due)

    def settle(self) -> int:
        """Write the repeats of minutes that are over; returns how many events that made. The operator calls it."""
        with self._lock:
            due = self._due(self._database.clock.now())
        self._write(due)
        return len(due)

    def _key(self, now: datetime, principal: Principal, verb: str, resource: Resource) -> _Key:
        minute = _minute(now)
        key = _Key(minute, principal.id, verb, str(resource)[:MAX_NAME])
        if key not in self._counts:
            tried = sum(1 for each in self._counts if each.actor == principal.id)
            if tried >= DISTINCT:
                return _Key(minute, principal.id, verb, f"{resource.kind.value}:*")
        return key

    def _due(self, now: datetime) -> list[tuple[_Key, _Count]]:
        over = [key for key in self._counts if key.minute < _minute(now)]
        closed = [(key, self._counts.pop(key)) for key in over]
        return [(key, count) for key, count in closed if count.repeats]

    def _write(self, due: Sequence[tuple[_Key, _Count]]) -> None:
        for key, count in due:
            with self._database.transaction(count.principal, write=True) as tx:
                _record(tx, key, count)


def _record(tx: Transaction, key: _Key, count: _Count) -> None:
    after = {"verb": key.verb, "resource": key.resource}
    first = count.repeats < 0
    tx.record(
        "access.denied" if first else "access.denials.repeated",
        count.subject,
        after=after if first else {**after, "repeats": count.repeats, "minute": key.minute},
        decision="deny",
        rules=count.rules,
        outcome="denied",
    )


def _minute(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%MZ")


def _subject(principal: Principal, resource: Resource) -> Ref:
    """The resource if it can be named; else whoever asked: a name that breaks the grammar must not spoil the record."""
    if resource.name is not None:
        try:
            return Ref(resource.kind, resource.name)
        except BadRef:
            pass
    return Ref(Kind.PRINCIPAL, principal.id)
