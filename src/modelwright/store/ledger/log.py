"""Appending to the ledger, in the transaction of the change that it records."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import Clock, isoformat
from modelwright.core.errors import Invalid
from modelwright.store.driver import Prepared
from modelwright.store.ledger.merkle import extend, leaf_hash, pieces
from modelwright.store.tables import ledger_details, ledger_events, ledger_head, ledger_refs
from modelwright.store.upsert import insert

FORMAT = 1
MAX_BODY = 64 * 1024  # bytes; what makes an event larger is stored beside the log and named in it by its SHA-256
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1


# Every change pays for the event beside it.
_h = ledger_head.c
_READ = sa.select(_h.log_id, _h.size, _h.frontier, _h.last_ts)
_HEAD, _LOCK = Prepared(_READ), Prepared(_READ.with_for_update())
_ADD_EVENT = Prepared(ledger_events.insert(), *ledger_events.c.keys())
_ADD_REF = Prepared(ledger_refs.insert(), *ledger_refs.c.keys())
_MOVE_HEAD = Prepared(ledger_head.update(), "size", "frontier", "last_ts")  # there is one row


class Head(msgspec.Struct):
    """Where the log ends, as the one who may write knows it; its row is brought up to it before the commit (`keep`)."""

    log_id: str
    size: int
    frontier: list[bytes]
    last_ts: str
    stored: int  # the size that its row holds

    @property
    def state(self) -> tuple[int, list[bytes], str]:
        """What moves; to be put back where a part of the transaction is undone."""
        return self.size, self.frontier, self.last_ts

    @state.setter
    def state(self, state: tuple[int, list[bytes], str]) -> None:
        self.size, self.frontier, self.last_ts = state


def canonical(body: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an event: RFC 8785, to which sorted JSON is byte-identical where there are no floats."""
    check_domain(body)
    return msgspec.json.encode(body, order="sorted")


def check_domain(value: Any, depth: int = 0) -> None:
    """Raise `Invalid` for what an event must not hold: floats, large integers, lone surrogates, deep nesting."""
    if depth > MAX_DEPTH:
        raise Invalid(f"An event is nested more than {MAX_DEPTH} deep.")
    kind = type(value)
    if kind is dict:
        for key, each in value.items():
            if key not in _KEYS:
                _check_key(key)
            type_of = type(each)
            if type_of is str and each.isascii():  # most are, and need no further look; nor does what is not there
                continue
            if each is not None and not ((type_of is list or type_of is dict) and not each and depth < MAX_DEPTH):
                check_domain(each, depth + 1)
    elif kind is list or kind is tuple:
        for each in value:
            check_domain(each, depth + 1)
    elif kind is bool or value is None:
        return
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise Invalid(f"The integer {value} in an event is beyond 2^53 - 1.", mend="Write it as text.")
    elif isinstance(value, Mapping):
        check_domain(dict(value), depth)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        check_domain(list(value), depth)
    else:
        raise Invalid(f"An event cannot hold a {type(value).__name__} ({value!r}).", mend="Write decimals as text.")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid("An event holds a lone surrogate, which has no bytes in UTF-8.") from None


_KEYS: set[object] = set()  # those that were looked at already
MOST_KEYS = 4096


def _check_key(key: object) -> None:
    if not (isinstance(key, str) and key.isascii() and key.replace("_", "a").isalnum() and key == key.lower()):
        raise Invalid(f"The event key {key!r} is not of [a-z0-9_]+.")
    if len(_KEYS) < MOST_KEYS:
        _KEYS.add(key)


def lock(connection: sa.Connection, clock: Clock) -> Head:
    """Make this the one writer until the transaction ends, and tell where the log ends; creates it on first use."""
    held = _head(_LOCK, connection)
    if held is None:
        first = insert(connection, ledger_head).values(
            id=1, log_id=secrets.token_hex(16), size=0, frontier=b"", last_ts=isoformat(clock.now())
        )
        connection.execute(first.on_conflict_do_nothing())  # another process may be creating it at this moment
        held = _head(_LOCK, connection)
    if held is None:
        raise RuntimeError("the ledger's head was written and is not there")
    return held


def read(connection: sa.Connection) -> Head | None:
    """Where the log ends for whoever only reads; None while there is none."""
    return _head(_HEAD, connection)


def keep(connection: sa.Connection, head: Head) -> None:
    """Store where the log ends: the last thing before the commit."""
    if head.size != head.stored:
        _MOVE_HEAD.run(connection, size=head.size, frontier=b"".join(head.frontier), last_ts=head.last_ts)
        head.stored = head.size


def append(connection: sa.Connection, head: Head, ts: str, fields: Mapping[str, Any]) -> int:
    """Write one event, move `head` (what `lock` gave) on, and return the event's sequence number.

    `fields` are the event's own: action, actor, resource, inputs, outputs, ... (see docs/record.md).
    """
    ts = max(ts, head.last_ts)
    event = {"v": FORMAT, "log_id": head.log_id, "seq": head.size, "ts": ts, **fields}
    body = canonical(event)
    if len(body) > MAX_BODY:
        body = canonical(_put_aside(connection, event))
    if len(body) > MAX_BODY:
        raise Invalid(f"The event {fields['action']} is {len(body)} bytes; an event holds at most {MAX_BODY}.")
    leaf = leaf_hash(body)
    seq, frontier = head.size, extend(head.frontier, head.size, leaf)
    _ADD_EVENT.run(connection, seq=seq, ts=ts, action=fields["action"], actor=fields["actor"]["id"], body=body, leaf=leaf)
    _ADD_REF.run(connection, ref=fields["resource"]["ref"], seq=seq, role="subject")
    for role, refs in (("in", fields.get("inputs")), ("out", fields.get("outputs"))):
        for ref in dict.fromkeys(refs or ()):
            _ADD_REF.run(connection, ref=ref, seq=seq, role=role)
    head.size, head.frontier, head.last_ts = seq + 1, frontier, ts
    return seq


def _head(query: Prepared, connection: sa.Connection) -> Head | None:
    row = query.run(connection).fetchone()
    if row is None:
        return None
    log_id, size, frontier, last_ts = row
    return Head(log_id=log_id, size=size, frontier=pieces(frontier), last_ts=last_ts, stored=size)


def _put_aside(connection: sa.Connection, event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with `before` and `after` stored beside the log, and in it only by SHA-256 and size."""
    smaller = dict(event)
    for key in ("before", "after"):
        if event.get(key):
            body = canonical(event[key])
            name = sha256(body).hexdigest()
            if (
                connection.execute(sa.select(ledger_details.c.sha256).where(ledger_details.c.sha256 == name)).first()
                is None
            ):
                connection.execute(ledger_details.insert().values(sha256=name, body=body))
            smaller[key] = {"sha256": name, "size": len(body)}
    return smaller
