"""What is asked of each sort of data that retention covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from modelwright.core.refs import Ref
from modelwright.governance.retention.records import Covers, Due, Finished, Marked, RetentionClass
from modelwright.store import Transaction


class Keeper(Protocol):
    """One sort of data: what of it is due, putting that out of reach, letting go of its bytes, looking for what is left.

    `mark` writes in the transaction that it is given and nowhere else, so that a kill before its commit leaves everything
    as it was. `finish` may be called again after a kill, and then does what is left to do. Neither looks at holds: whoever
    calls has done so in the same transaction.
    """

    covers: Covers

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """What below a path is older than the class allows, with what keeps it but for legal holds.

        Where it saves work, no more than what is or belongs to `only`.
        """
        ...

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """Put it out of reach, with a tombstone where it was, and say what has to go."""
        ...

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """Let go of it; `due` is the ref and the part of it."""
        ...

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """What is there (again) that should have gone; empty where the proof holds."""
        ...
