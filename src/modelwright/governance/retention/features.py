"""Features: rows that stand online, and rows that were pushed and are in no version yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.hashing import digest_bytes, digest_value
from modelwright.core.refs import Ref
from modelwright.core.wire import to_plain
from modelwright.features import Asked, OnlineState, OnlineStore, forget_pushes, overdue_pushes
from modelwright.governance.retention import queries
from modelwright.governance.retention.records import Covers, Due, Finished, Marked, RetentionClass
from modelwright.store import Transaction
from modelwright.store.scopes import lies_under

DEAD_ROWS = "dead rows and the log of PostgreSQL, until it vacuums and archives"
ONLINE = "what the online store's server has not written over yet (dead rows, snapshots, its log)"


def dead_rows(tx: Transaction) -> list[str]:
    """What a deletion leaves in the database itself: nothing in SQLite, which overwrites it with zeros."""
    return [] if tx.database.is_sqlite else [DEAD_ROWS]


class OnlineKeeper:
    """See `ports.Keeper`. A view version goes as a whole, once nothing younger than allowed is known in it."""

    covers = Covers.FEATURES

    def __init__(self, store: OnlineStore) -> None:
        self._store = store

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`. A live model that takes the view keeps it: its requests would be answered with nothing."""
        before, found, live = retention.before(now), [], None
        for view, state in sorted(self._store.states().items()):
            if state.fresh >= before or not lies_under(view.name, path):
                continue
            live = queries.live_models(tx) if live is None else live
            made, whole = queries.downstream(tx, view)
            served = [each for each in made if each in live]
            holds = [f"{name}, which is live, takes it: materialise it anew" for name in queries.may_name(tx, served)]
            holds += [] if whole else ["what takes it is too much to be followed"]
            found.append(
                Due(
                    retention=retention.name,
                    covers=self.covers,
                    ref=view,
                    since=state.fresh,
                    due=state.fresh + (now - before),
                    count=state.rows,
                    unit="entities",
                    holds=holds,
                )
            )
        return found

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`. The store cannot name each row: what is put down is the state, with generation and count."""
        state = self._state(due.ref)
        pieces = {} if state is None else {state.generation: digest_value(to_plain(state))}
        rows = 0 if state is None else state.rows
        unreached = ["predictions that were made of it; backups", *([] if self._store.near else [ONLINE])]
        return Marked(pieces=pieces, count=rows, unreached=unreached)

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`. What was published meanwhile is another generation, and stays."""
        state = self._state(Ref.parse(due[0]))
        if state is not None and state.generation in marked.pieces:
            self._store.drop(Ref.parse(due[0]))
        return Finished(gone=sorted(marked.pieces.values()))

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        state = self._state(Ref.parse(due[0]))
        there = state is not None and state.generation in marked.pieces
        return [f"generation {state.generation} of {due[0]} is there again"] if state is not None and there else []

    def _state(self, view: Ref) -> OnlineState | None:
        (found,) = self._store.read([Asked(view, ())])
        return found.state


class PushKeeper:
    """See `ports.Keeper`. Their ids stay, so that what is sent a second time does not come back."""

    covers = Covers.PUSHES

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`."""
        before = retention.before(now)
        found: dict[Ref, list[tuple[str, int, int]]] = defaultdict(list)
        for dataset, _, at, rows, data in overdue_pushes(tx, path, isoformat(before)):
            found[dataset].append((at, rows, len(data)))
        return [
            Due(
                retention=retention.name,
                covers=self.covers,
                ref=dataset,
                since=parse_time(pushed[0][0]),
                due=parse_time(pushed[0][0]) + (now - before),
                count=sum(rows for _, rows, _ in pushed),
                unit="rows",
                size=sum(size for *_, size in pushed),
            )
            for dataset, pushed in found.items()
        ]

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`."""
        last = isoformat(due.since + (tx.now - due.due))  # what was due when this was planned, and by now
        found = [each for each in overdue_pushes(tx, due.ref.name, last) if each[0] == due.ref]
        pieces = {str(number): digest_bytes(data) for _, number, _, _, data in found}
        forget_pushes(tx, due.ref, [number for _, number, *_ in found])
        size = sum(len(data) for *_, data in found)
        count = sum(rows for *_, rows, _ in found)
        unreached = ["rows that stand online of it; backups", *dead_rows(tx)]
        return Marked(pieces=pieces, count=count, size=size, unreached=unreached)

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`. They went with the transaction that marked them."""
        return Finished(gone=sorted(set(marked.pieces.values())), size=marked.size)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        held = {str(number) for ref, number, *_ in overdue_pushes(tx, Ref.parse(due[0]).name, "9") if str(ref) == due[0]}
        return [f"push {number} of {due[0]} is there again" for number in marked.pieces if number in held]
