"""What a process remembers of a metric that it logs: the last step, and an outline of the curve to draw."""

from __future__ import annotations

from modelwright.experiments.records import Number

MOST = 256  # values that are remembered; beyond, every other one is dropped


class Trace:
    """One metric."""

    __slots__ = ("every", "last", "seen", "step", "values")

    def __init__(self) -> None:
        self.step: int | None = None
        self.last: Number = "NaN"
        self.values: list[float] = []
        self.every = 1  # of so many values one is remembered
        self.seen = 0

    def add(self, value: Number, step: int | None, *, known: bool) -> int | None:
        """Take a value in. Returns its step: the one given, or one after the last; None where that is not known."""
        if step is None and (known or self.step is not None):
            step = 0 if self.step is None else self.step + 1
        if step is not None:
            self.step = step
        self.last = value
        if self.seen % self.every == 0:
            self.values.append(float(value))
            if len(self.values) > MOST:
                del self.values[1::2]
                self.every *= 2
        self.seen += 1
        return step
