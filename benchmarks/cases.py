"""What a benchmark is made of: a generator that sets something up, yields cases, and clears away after the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple


class Unit(NamedTuple):
    """How a figure is told: as time for each of a number of things, or as things for each second."""

    name: str
    scale: float
    rate: bool = False

    def figure(self, seconds: float, amount: float) -> float:
        """The figure for `amount` things done in so many seconds."""
        return amount * self.scale / seconds if self.rate else seconds * self.scale / amount


SECONDS: Final = Unit("s", 1.0)
MILLISECONDS: Final = Unit("ms", 1e3)
MICROSECONDS: Final = Unit("µs", 1e6)
MEGABYTES: Final = Unit("MB/s", 1e-6, rate=True)
EVENTS: Final = Unit("events/s", 1.0, rate=True)
ROWS: Final = Unit("rows/s", 1.0, rate=True)
CALLS: Final = Unit("calls/s", 1.0, rate=True)
MEBIBYTES: Final = Unit("MiB", 1.0)  # of memory: what a run returns as `Measured`


class Bar(NamedTuple):
    """What was promised: `limit` at most, or for a rate at least. `added` is what we take beyond the peer.

    `times` is how many times as good as the best peer the median is, whether it is a time or a rate.
    """

    limit: float
    of: Literal["median", "added", "p99", "times"] = "median"


class Measured(NamedTuple):
    """What a run returns that has measured for itself: the figure in seconds (or MiB), and each single call in seconds."""

    value: float
    each: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to time. `before` is not timed; what it returns is handed to `run` or `peer`.

    Where there are several peers, they are `peers` by what they are, and the ratio is to the best of them.
    """

    label: str
    unit: Unit
    run: Callable[[Any], object]
    peer: Callable[[Any], object] | None = None
    against: str = ""  # what the peer is, in a few words
    peers: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    amount: float = 1  # things done in one run: bytes, events, operations
    runs: int = 7
    warmups: int = 1
    bar: Bar | None = None


@dataclass(frozen=True)
class Setting:
    """What a benchmark is given: an empty folder that is removed afterwards, and whether a rough look is enough."""

    folder: Path
    quick: bool = False

    def size(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full


class Skip(Exception):
    """Raised by a benchmark that cannot run here; says why."""


Body = Callable[[Setting], Iterator[Case]]


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark."""

    name: str
    what: str
    cases: Body


REGISTERED: Final[dict[str, Benchmark]] = {}


def benchmark(name: str, *, what: str) -> Callable[[Body], Body]:
    """Register a generator of cases. `what` is one line on what is measured."""

    def register(body: Body) -> Body:
        if name in REGISTERED:
            raise ValueError(f"two benchmarks are named {name!r}")
        REGISTERED[name] = Benchmark(name, what, body)
        return body

    return register
