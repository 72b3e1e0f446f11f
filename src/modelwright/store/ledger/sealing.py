"""Keeping the ledger sealed: the reconciler that the operator turns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modelwright.core.errors import NotFound
from modelwright.store.ledger.checkpoints import LedgerSettings, due
from modelwright.store.ledger.service import Audit


class Sealing:
    """Signs a checkpoint when one is due; `finish` signs the rest at the end."""

    name = "ledger"

    def __init__(self, audit: Audit, settings: LedgerSettings = LedgerSettings()) -> None:
        self._audit = audit
        self._settings = settings

    def turn(self, now: datetime) -> Sequence[str]:
        """Seal the ledger if enough happened, or anything long enough ago."""
        try:
            head = self._audit.head()
        except NotFound:
            return []
        return self._seal() if due(head.size, head.sealed, now, self._settings) else []

    def finish(self) -> Sequence[str]:
        """Seal whatever is not sealed yet: before the process ends."""
        try:
            head = self._audit.head()
        except NotFound:
            return []
        return self._seal() if head.sealed is None or head.sealed.size < head.size else []

    def _seal(self) -> Sequence[str]:
        sealed = self._audit.checkpoint()
        return [f"Sealed {sealed.size} events under the root {sealed.root[:16]}."]
