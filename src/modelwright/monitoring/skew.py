"""Training/serving skew: what comparisons of features online with offline say, made into alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modelwright.core.refs import Ref
from modelwright.features import Features
from modelwright.monitoring.service import Monitoring


class SkewTurn:
    """A `Reconciler` of the operator. It remembers what it has judged; forgetting that does no harm."""

    name = "skew"

    def __init__(self, monitoring: Monitoring, features: Features) -> None:
        self._monitoring = monitoring
        self._features = features
        self._judged: dict[Ref, datetime] = {}

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        told = []
        for parity in self._features.parity():
            if self._judged.get(parity.view) == parity.at:
                continue
            alert = self._monitoring.skew(parity.view, parity)
            self._judged[parity.view] = parity.at
            if alert is not None:
                told.append(f"{alert.ref} about {parity.view} is {alert.state.value}: {alert.summary}")
        return told
