"""What a running server does for retention by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelwright.governance.retention.service import Retention


class RetentionTurn:
    """A `Reconciler` of the operator: what is due goes, what a kill left half done is finished."""

    name = "retention"

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._every = timedelta(seconds=retention.settings.every)
        self._looked: datetime | None = None

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        if not self._every or (self._looked is not None and now - self._looked < self._every):
            return []
        self._looked = now
        done = [each for each in self._retention.carry_out() if each.finished_at is not None]
        if done:
            self._looked = None  # there may be more than goes in one turn
        return [f"Let go of {each.what} ({each.counted}): {each.id}" for each in done]
