"""Appending to the ledger, in the transaction of the change that it records."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.store.ledger.merkle import extend, leaf_hash, pieces
from modelwright.store.tables import ledger_details, ledger_events, ledger_head, ledger_refs
from modelwright.store.upsert import insert

FORMAT = 1
MAX_BODY = 64 * 1024  # bytes; what makes an event larger is stored beside the log and named in it by its SHA-256
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1


class _Prepared:
    """A statement as the driver takes it, compiled once for each dialect.

    Every change pays for the event beside it, and SQLAlchemy's own preparation costs more than the database's work.
    """

    def __init__(self, statement: sa.Insert | sa.Update, table: sa.Table, *names: str) -> None:
        self._statement = statement
        self._names = names or tuple(table.c.keys())
        self._compiled: dict[str, Any] = {}

    def run(self, connection: sa.Connection, *rows: Mapping[str, Any]) -> None:
        """Run it once for each row."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=list(self._names))
            self._compiled[dialect.name] = compiled
        order = compiled.positiontup
        given = [row if order is None else tuple(row[name] for name in order) for row in rows]
        connection.exec_driver_sql(compiled.string, given if len(given) > 1 else given[0])


# Made once: building a statement costs more than running it.
_HEAD = sa.select(ledger_head).with_for_update()
_ADD_EVENT = _Prepared(ledger_events.insert(), ledger_events)
_ADD_REFS = _Prepared(ledger_refs.insert(), ledger_refs)
_MOVE_HEAD = _Prepared(ledger_head.update(), ledger_head, "size", "frontier", "last_ts")  # there is one row


class Head(msgspec.Struct):
    """Where the log ends, as the one transaction that may write knows it."""

    log_id: str
    size: int
    frontier: list[bytes]
    last_ts: str


def canonical(body: Mapping[str, Any]) -> bytes:
    """The canonical bytes of an event: RFC 8785, to which sorted JSON is byte-identical where there are no floats."""
    check_domain(body)
    return msgspec.json.encode(body, order="sorted")


def check_domain(value: Any, depth: int = 0) -> None:
    """Raise `Invalid` for what an event must not hold: floats, large integers, lone surrogates, deep nesting."""
    if depth > MAX_DEPTH:
        raise Invalid(f"An event is nested more than {MAX_DEPTH} deep.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise Invalid(f"The integer {value} in an event is beyond 2^53 - 1.", mend="Write it as text.")
    elif isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 - the first is far the quicker question
        for key, each in value.items():
            if not _is_key(key):
                raise Invalid(f"The event key {key!r} is not of [a-z0-9_]+.")
            if not (type(each) is str and each.isascii()):  # most are, and that is all there is to see about them
                check_domain(each, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        for each in value:
            check_domain(each, depth + 1)
    else:
        raise Invalid(f"An event cannot hold a {type(value).__name__} ({value!r}).", mend="Write decimals as text.")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid("An event holds a lone surrogate, which has no bytes in UTF-8.") from None


@lru_cache(maxsize=4096)
def _is_key(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.replace("_", "a").isalnum() and key == key.lower()


def lock(connection: sa.Connection, now: str) -> Head:
    """Make this the one writer until the transaction ends, and tell where the log ends; creates it on first use."""
    held = connection.execute(_HEAD).first()
    if held is None:
        first = insert(connection, ledger_head).values(
            id=1, log_id=secrets.token_hex(16), size=0, frontier=b"", last_ts=now
        )
        connection.execute(first.on_conflict_do_nothing())  # another process may be creating it at this moment
        held = connection.execute(_HEAD).one()
    return Head(log_id=held.log_id, size=held.size, frontier=pieces(held.frontier), last_ts=held.last_ts)


def append(connection: sa.Connection, head: Head, ts: str, fields: Mapping[str, Any]) -> int:
    """Write one event, move the head, and return the event's sequence number. `head` is what `lock` gave the transaction.

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
    row = {"seq": seq, "ts": ts, "action": fields["action"], "actor": fields["actor"]["id"]}
    _ADD_EVENT.run(connection, {**row, "body": body, "leaf": leaf})
    refs = [("subject", fields["resource"]["ref"]), *(("in", r) for r in fields.get("inputs", ()))]
    refs += [("out", r) for r in fields.get("outputs", ())]
    rows = [{"seq": seq, "role": role, "ref": ref, "thing": ref.partition("@")[0]} for role, ref in dict.fromkeys(refs)]
    _ADD_REFS.run(connection, *rows)
    _MOVE_HEAD.run(connection, {"size": seq + 1, "frontier": b"".join(frontier), "last_ts": ts})
    head.size, head.frontier, head.last_ts = seq + 1, frontier, ts
    return seq


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
