"""What a running server does for privacy by itself: what was done to keys and vaults and not told comes on the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from modelwright.datasets.privacy.service import Privacy

EVERY: Final = timedelta(minutes=1)


class PrivacyTurn:
    """A `Reconciler` of the operator."""

    name = "privacy"

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy
        self._looked: datetime | None = None

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        if self._looked is not None and now - self._looked < EVERY:
            return []
        self._looked = now
        return self._privacy.settle()
