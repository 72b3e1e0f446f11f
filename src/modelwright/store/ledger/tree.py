"""The hashes of ranges of the ledger, read from the database in few steps: what the proofs are made of."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.store.ledger.merkle import node_hash, root_of, split
from modelwright.store.tables import ledger_events, ledger_nodes

LEVEL = 8
BLOCK = 1 << LEVEL  # leaves of the smallest range whose hash is stored
AT_ONCE = 64  # blocks whose leaves are held in memory

_e, _n = ledger_events.c, ledger_nodes.c


class Tree:
    """The tree over the events of a log, on an open transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def hash_of(self, start: int, end: int) -> bytes:
        """The hash over the leaves from `start` up to but not including `end`."""
        size = end - start
        if size <= BLOCK:
            return root_of(self._leaves(start, end))
        if size & (size - 1) == 0 and start % size == 0:
            stored = self._stored(size.bit_length() - 1, start // size)
            if stored is not None:
                return stored
        middle = start + split(size)
        return node_hash(self.hash_of(start, middle), self.hash_of(middle, end))

    def store(self, size: int) -> None:
        """Store the hashes of all complete ranges among the first `size` leaves that are not stored yet."""
        done = self._connection.execute(sa.select(sa.func.max(_n.position)).where(_n.level == LEVEL)).scalar()
        first, last = 0 if done is None else int(done) + 1, size // BLOCK
        for begin in range(first, last, AT_ONCE):
            self._store(begin, min(begin + AT_ONCE, last))

    def _store(self, first: int, last: int) -> None:
        """Those that begin with the blocks from `first` up to but not including `last`, and what they complete."""
        leaves = self._leaves(first * BLOCK, last * BLOCK)
        made: dict[tuple[int, int], bytes] = {}
        for position in range(first, last):
            start = (position - first) * BLOCK
            level, node = LEVEL, root_of(leaves[start : start + BLOCK])
            made[level, position] = node
            while position & 1:
                left = made.get((level, position - 1)) or self._stored(level, position - 1)
                if left is None:
                    raise RuntimeError(f"ledger node {level}/{position - 1} is missing beside a later one")
                level, position, node = level + 1, position >> 1, node_hash(left, node)
                made[level, position] = node
        rows = [{"level": level, "position": position, "hash": node} for (level, position), node in made.items()]
        self._connection.execute(ledger_nodes.insert(), rows)

    def _stored(self, level: int, position: int) -> bytes | None:
        query = sa.select(_n.hash).where(_n.level == level, _n.position == position)
        found = self._connection.execute(query).scalar()
        return None if found is None else bytes(found)

    def _leaves(self, start: int, end: int) -> list[bytes]:
        query = sa.select(_e.leaf).where(_e.seq >= start, _e.seq < end).order_by(_e.seq)
        return [bytes(leaf) for leaf in self._connection.execute(query).scalars()]
