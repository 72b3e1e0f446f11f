"""Checkpoints: the signed roots that make the log evident to others, kept here and in an outside place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.errors import Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.store.database import Transaction
from modelwright.store.ledger import merkle
from modelwright.store.ledger.keys import Keyring, SigningKey, write_note
from modelwright.store.ledger.log import Head
from modelwright.store.ledger.tree import Tree
from modelwright.store.records import Sealed
from modelwright.store.tables import ledger_checkpoints, ledger_events

LEDGER = Ref(Kind.WORKSPACE, "ledger")
CREATED, ROTATED = "ledger.key.created", "ledger.key.rotated"
_c, _e = ledger_checkpoints.c, ledger_events.c


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the ledger's keys and outside checkpoints lie, and how often it is sealed."""

    keys: str = ""  # the folder of the signing keys; empty: this process does not sign
    outside: str = ""  # a folder on another volume that gets a copy of every checkpoint; empty: none
    events: int = 1000  # seal when that many events are new,
    seconds: int = 60  # or when any are and the last seal is that old


def due(size: int, sealed: Sealed | None, now: datetime, settings: LedgerSettings) -> bool:
    """Whether it is time for a checkpoint."""
    new = size - (sealed.size if sealed else 0)
    if new <= 0 or sealed is None:
        return new > 0
    return new >= settings.events or now - sealed.at >= timedelta(seconds=settings.seconds)


def origin_of(log_id: str) -> str:
    """The first line of the log's checkpoints, and the name of its keys."""
    return f"modelwright/{log_id}"


def seal(tx: Transaction, keyring: Keyring) -> Sealed:
    """Sign the log as it stands; the newest checkpoint if there is nothing new. The first makes and announces the key."""
    last, head = newest(tx), _head(tx)
    if last is not None and last.size == head.size:
        return last
    announced = keys_announced(tx.connection)
    origin = origin_of(head.log_id)
    key = keyring.load(origin, announced[-1]["key_id"]) if announced else _announce(tx, CREATED, keyring, None, "")
    return _sign(tx, [key])


def rotate(tx: Transaction, keyring: Keyring, reason: str) -> Sealed:
    """Put a new key in the place of the present one, which signs the checkpoint that covers the change."""
    if not keys_announced(tx.connection):
        return seal(tx, keyring)
    old = keyring.load(origin_of(_head(tx).log_id), keys_announced(tx.connection)[-1]["key_id"])
    return _sign(tx, [_announce(tx, ROTATED, keyring, old, reason), old])


def keys_announced(connection: sa.Connection) -> list[dict[str, str]]:
    """What the log announced of its keys, oldest first: `key_id` and `verifier_key`."""
    query = sa.select(_e.body).where(_e.action.in_([CREATED, ROTATED])).order_by(_e.seq)
    return [msgspec.json.decode(body)["after"] for body in connection.execute(query).scalars()]


def newest(tx: Transaction, up_to: int | None = None) -> Sealed | None:
    """The newest checkpoint, or the newest of at most that size."""
    query = sa.select(ledger_checkpoints).order_by(_c.size.desc()).limit(1)
    row = tx.execute(query if up_to is None else query.where(_c.size <= up_to)).first()
    return None if row is None else _sealed(row)


def covering(tx: Transaction, seq: int) -> Sealed | None:
    """The first checkpoint that covers an event."""
    row = tx.execute(sa.select(ledger_checkpoints).where(_c.size > seq).order_by(_c.size).limit(1)).first()
    return None if row is None else _sealed(row)


def after(tx: Transaction, size: int, limit: int) -> list[Sealed]:
    """The checkpoints beyond a size, smallest first."""
    rows = tx.execute(sa.select(ledger_checkpoints).where(_c.size > size).order_by(_c.size).limit(limit))
    return [_sealed(row) for row in rows]


def copy_outside(folder: Path, log_id: str, sealed: Sequence[Sealed]) -> None:
    """Write checkpoints to the outside place as `<log id>/<size>.note`, flushed; what is there already stays."""
    place = folder / log_id
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        for each in sealed:
            target = place / f"{each.size:016d}.note"
            if target.exists():
                continue
            partial = target.with_suffix(".part")
            with partial.open("w", encoding="utf-8") as file:
                file.write(each.note)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
    except OSError as error:
        raise Unavailable(
            f"The checkpoint could not be copied to {folder}: {error.strerror or error}.",
            mend="Make that folder writable; the next checkpoint copies what is missing.",
        ) from error


def copied_size(folder: Path, log_id: str) -> int:
    """The size of the newest checkpoint in the outside place; 0 if there is none."""
    return max((int(note.stem) for note in (folder / log_id).glob("*.note") if note.stem.isdigit()), default=0)


def _announce(tx: Transaction, action: str, keyring: Keyring, old: SigningKey | None, reason: str) -> SigningKey:
    key = keyring.create(origin_of(_head(tx).log_id))
    before = {"key_id": old.id} if old else {}
    tx.record(action, LEDGER, before=before, after={"key_id": key.id, "verifier_key": str(key.verifier)}, reason=reason)
    return key


def _sign(tx: Transaction, keys: Sequence[SigningKey]) -> Sealed:
    head = _head(tx)
    root = merkle.root(head.frontier)
    Tree(tx.connection).store(head.size)
    note = write_note(origin_of(head.log_id), head.size, root, keys)
    tx.execute(ledger_checkpoints.insert().values(size=head.size, root=root, note=note, at=tx.stamp))
    return Sealed(size=head.size, root=root.hex(), note=note, at=tx.now)


def _head(tx: Transaction) -> Head:
    if tx.head is None:
        raise RuntimeError("a transaction that writes knows where the ledger ends")
    return tx.head


def _sealed(row: Any) -> Sealed:
    return Sealed(size=row.size, root=bytes(row.root).hex(), note=row.note, at=parse_time(row.at))
