"""A detector on a stream of errors that is told how rarely it may cry wolf, and keeps to it.

The Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo: E-detectors, 2022): for each alternative error rate p1 the
statistic M <- (M + 1) * likelihood ratio grows when errors come more often than the baseline p0 allows; the alarm sounds
when the mean over a mixture of alternatives reaches the average run length that was asked for. Then the expected
number of outcomes until a false alarm is at least that length, whatever the true rate up to p0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from modelwright.core.errors import Invalid

ALTERNATIVES = 25
SMALLEST, LARGEST = 1.1, 4.0  # alternatives reach from this multiple of the baseline to that one


class EDetector(msgspec.Struct, frozen=True, kw_only=True):
    """Its state: plain numbers, so it is stored between batches of labels and continued."""

    baseline: float  # p0: the error rate held acceptable; best the upper confidence limit of the validation error
    run_length: float = 100_000.0  # outcomes between false alarms, at least, on average
    weights: tuple[float, ...] = (0.0,) * ALTERNATIVES
    seen: int = 0
    alarm_at: int | None = None  # the outcome (counted from 1) at which it first sounded

    @property
    def e_value(self) -> float:
        """The mean of the mixture; the alarm sounds where it reaches `run_length`."""
        return sum(self.weights) / len(self.weights)

    @property
    def alarmed(self) -> bool:
        return self.alarm_at is not None

    def after(self, errors: Iterable[bool]) -> EDetector:
        """The detector after further outcomes, in order: true where the model was wrong."""
        if not 0.0 < self.baseline < 1.0:
            raise Invalid(f"A baseline error rate lies between 0 and 1, not at {self.baseline}.")
        ratios = [(r / self.baseline, (1 - r) / (1 - self.baseline)) for r in _alternatives(self.baseline)]
        weights, seen, alarm_at = list(self.weights), self.seen, self.alarm_at
        ceiling = self.run_length * ALTERNATIVES * 1e6  # far past the alarm; keeps the numbers finite
        for wrong in errors:
            seen += 1
            side = 0 if wrong else 1
            weights = [min((m + 1.0) * ratio[side], ceiling) for m, ratio in zip(weights, ratios, strict=True)]
            if alarm_at is None and sum(weights) / ALTERNATIVES >= self.run_length:
                alarm_at = seen
        return msgspec.structs.replace(self, weights=tuple(weights), seen=seen, alarm_at=alarm_at)

    def restarted(self) -> EDetector:
        """As new, with the same promise: after an alarm was dealt with."""
        return EDetector(baseline=self.baseline, run_length=self.run_length)


def _alternatives(baseline: float) -> list[float]:
    """Error rates spaced evenly in ratio above the baseline, all below 1."""
    top = min(baseline * LARGEST, 1.0 - (1.0 - baseline) / 10)
    bottom = min(baseline * SMALLEST, (baseline + top) / 2)
    step = math.log(top / bottom) / (ALTERNATIVES - 1)
    return [bottom * math.exp(step * i) for i in range(ALTERNATIVES)]
