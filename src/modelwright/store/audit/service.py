"""The ledger for those who check it: what happened, how it stands, proofs, export, verification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.refs import Kind
from modelwright.store import queries
from modelwright.store.audit import checkpoints
from modelwright.store.audit.checkpoints import LedgerSettings
from modelwright.store.database import Transaction
from modelwright.store.ledger import export, merkle, verify
from modelwright.store.ledger.keys import Keyring
from modelwright.store.ledger.tree import Tree
from modelwright.store.records import (
    ConsistencyProof,
    Event,
    EventFilter,
    ExportPage,
    InclusionProof,
    LedgerHead,
    Sealed,
)
from modelwright.store.tables import ledger_details, ledger_events

_e = ledger_events.c


class Audit(Room):
    """The auditor's half of the record. Exports and verification happen at the caller's side."""

    room, kind = "record", Kind.WORKSPACE

    def __init__(self, caller: Caller, *, ledger: LedgerSettings = LedgerSettings()) -> None:
        super().__init__(caller)
        self._ledger = ledger

    @operation("audit.read", on="")
    def events(self, tx: Transaction, where: EventFilter = EventFilter()) -> Page[Event]:
        """List what everybody did to anything, newest first; narrowed by actor, action and time."""
        return queries.events(tx, where)

    @operation("audit.read", on="")
    def head(self, tx: Transaction) -> LedgerHead:
        """Say how the ledger stands: its size and root, the keys it announced, and its newest checkpoint."""
        head = tx.head
        if head is None:
            raise NotFound("Nothing has happened here yet: the ledger is empty.")
        return LedgerHead(
            log_id=head.log_id,
            origin=checkpoints.origin_of(head.log_id),
            size=head.size,
            root=merkle.root(head.frontier).hex(),
            keys=[each["verifier_key"] for each in checkpoints.keys_announced(tx.connection)],
            sealed=checkpoints.newest(tx),
        )

    @operation("audit.read", on="", data=True)
    def checkpoint(self, tx: Transaction) -> Sealed:
        """Sign the ledger as it stands, and copy the checkpoint to the outside place; nothing new, nothing signed."""
        sealed = checkpoints.seal(tx, self._keyring())
        self._copy_outside(tx)
        return sealed

    @operation("grant", on="", data=True)
    def rotate_key(self, tx: Transaction, reason: str) -> Sealed:
        """Replace the key that signs checkpoints; the old one signs the checkpoint that covers the change as well."""
        sealed = checkpoints.rotate(tx, self._keyring(), reason)
        self._copy_outside(tx)
        return sealed

    @operation("audit.read", on="")
    def checkpoints(self, tx: Transaction, after: int = 0, limit: int = 100) -> list[Sealed]:
        """List the checkpoints of more than `after` events, smallest first."""
        return checkpoints.after(tx, after, _limit(limit))

    @operation("audit.read", on="")
    def proof(self, tx: Transaction, seq: int) -> InclusionProof:
        """Prove that one event is in the ledger, against the first checkpoint that covers it (else its head)."""
        body = tx.execute(sa.select(_e.body).where(_e.seq == seq)).scalar()
        if body is None:
            raise NotFound(f"The ledger has no event {seq}; it holds {tx.next_seq}, counted from 0.")
        sealed, tree = checkpoints.covering(tx, seq), Tree(tx.connection)
        size = sealed.size if sealed else tx.next_seq
        return InclusionProof(
            seq=seq,
            event=bytes(body).decode(),
            size=size,
            root=tree.hash_of(0, size).hex(),
            path=[step.hex() for step in merkle.inclusion_path(seq, size, tree.hash_of)],
            checkpoint=sealed.note if sealed else "",
        )

    @operation("audit.read", on="")
    def consistency(self, tx: Transaction, first: int, second: int) -> ConsistencyProof:
        """Prove that the ledger of `second` events begins with the ledger of `first`."""
        held = tx.next_seq
        if not 0 <= first <= second <= held:
            raise Invalid(f"There is no proof from {first} to {second}: the ledger holds {held} events.")
        tree = Tree(tx.connection)
        return ConsistencyProof(
            first=first,
            second=second,
            first_root=tree.hash_of(0, first).hex(),
            second_root=tree.hash_of(0, second).hex(),
            path=[step.hex() for step in merkle.consistency_path(first, second, tree.hash_of)],
        )

    @operation("audit.read", on="")
    def export_events(self, tx: Transaction, start: int = 0, limit: int = MAX_LIMIT) -> ExportPage:
        """A stretch of the ledger, byte for byte, from sequence number `start`."""
        query = sa.select(_e.body, _e.leaf).where(_e.seq >= start).order_by(_e.seq).limit(_limit(limit) + 1)
        rows = tx.execute(query).all()
        page = rows[:limit]
        events = [bytes(row.body).decode() for row in page]
        return ExportPage(
            events=events,
            leaves=[bytes(row.leaf).hex() for row in page],
            details=_details(tx, events),
            next=start + limit if len(rows) > limit else None,
        )

    # At the caller's side

    def export(self, path: Path) -> Path:
        """Write the ledger as a zip that anybody can verify with the `verify.py` in it."""
        head = self.head()
        sealed = self._checkpoints_at(head)
        proved = [each.size for each in sealed if each.size <= head.size][-export.MAX_PROOFS :]
        proofs = (self.consistency(size, head.size) for size in proved)
        return export.write(path, head, self._pages(head.size), sealed, proofs)

    def verify(self, *, outside: Sequence[str] = (), pinned: Sequence[str] = (), strict: bool = False) -> verify.Report:
        """Read the whole ledger and recompute it here. `outside` are checkpoints kept elsewhere (their text)."""
        head = self.head()
        evidence = verify.Evidence(
            events=lambda: (text.encode() for page in self._pages(head.size) for text in page.events),
            leaves=lambda: b"".join(bytes.fromhex(leaf) for page in self._pages(head.size) for leaf in page.leaves),
            notes=[each.note for each in self._checkpoints_at(head)],
            keys=head.keys,
            size=head.size,
            root=bytes.fromhex(head.root),
            outside=outside,
            pinned=pinned,
        )
        return verify.verify(evidence, strict=strict)

    def _pages(self, size: int) -> Iterator[ExportPage]:
        """The ledger as it was when its head was read: what was added since is left out."""
        start: int | None = 0
        while start is not None and start < size:
            page = self.export_events(start, min(MAX_LIMIT, size - start))
            yield page
            start = page.next

    def _checkpoints_at(self, head: LedgerHead) -> list[Sealed]:
        """The checkpoints that were there when the head was read.

        Those signed since are of a longer ledger. One that is longer than its own ledger stays: that was cut short.
        """
        newest = head.sealed.size if head.sealed else 0
        found: list[Sealed] = []
        while batch := self.checkpoints(found[-1].size if found else 0, MAX_LIMIT):
            found += batch
        return [each for each in found if each.size <= newest]

    def _keyring(self) -> Keyring:
        if not self._ledger.keys:
            raise Unavailable("This process has no folder of signing keys, so it cannot sign a checkpoint.")
        return Keyring(Path(self._ledger.keys))

    def _copy_outside(self, tx: Transaction) -> None:
        if not self._ledger.outside:
            return
        folder, log_id = Path(self._ledger.outside), tx.head.log_id if tx.head else ""
        missing = checkpoints.after(tx, checkpoints.copied_size(folder, log_id), MAX_LIMIT)
        tx.committed.append(lambda: checkpoints.copy_outside(folder, log_id, missing))


def _details(tx: Transaction, events: Sequence[str]) -> dict[str, str]:
    names = {found for text in events if '"sha256":' in text for found in export.detail_names(text)}
    query = sa.select(ledger_details).where(ledger_details.c.sha256.in_(names))
    return {row.sha256: bytes(row.body).decode() for row in tx.execute(query)} if names else {}


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"One page holds 1 to {MAX_LIMIT}, not {limit}.")
    return limit
