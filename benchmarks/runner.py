"""Timing: warm up, then ours and the peer's by turns, so that whatever else the machine does falls on both alike."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from benchmarks import entries
from benchmarks.cases import REGISTERED, Benchmark, Case, Setting, Skip

ENOUGH = 60.0  # seconds for one case; then what was measured, but at least three runs of each, has to do
LEAST = 3


class Summary(NamedTuple):
    """The figures of one side, in the case's unit."""

    median: float
    low: float
    high: float
    p99: float | None  # where there are a hundred runs or more
    runs: int


class Result(NamedTuple):
    """What came of one case."""

    benchmark: str
    label: str
    unit: str
    ours: Summary
    peer: Summary | None
    against: str
    ratio: float | None  # how many times the peer's time; for rates, of the peer's speed
    added: float | None  # the difference of the medians
    bar: float | None
    bar_of: str
    met: bool | None


class Skipped(NamedTuple):
    """A benchmark that could not run here."""

    benchmark: str
    why: str


def load() -> dict[str, Benchmark]:
    """Import every entry; the benchmarks by name."""
    for found in pkgutil.iter_modules(entries.__path__):
        importlib.import_module(f"{entries.__name__}.{found.name}")
    return REGISTERED


def run(chosen: Benchmark, *, quick: bool = False) -> Iterator[Result | Skipped]:
    """Run the cases of a benchmark one after another, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-", ignore_cleanup_errors=True) as folder:
        cases = chosen.cases(Setting(Path(folder), quick))
        try:
            for case in cases:
                yield measure(chosen.name, case, quick=quick)
        except Skip as skip:
            yield Skipped(chosen.name, str(skip))


def measure(name: str, case: Case, *, quick: bool = False) -> Result:
    """Time one case."""
    sides = [case.run] if case.peer is None else [case.run, case.peer]
    for _ in range(case.warmups):
        for side in sides:
            _seconds(case, side)
    taken: list[list[float]] = [[] for _ in sides]
    gc.collect()
    began = perf_counter()
    for turn in range(min(case.runs, LEAST) if quick else case.runs):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            taken[side].append(_seconds(case, sides[side]))
        if turn + 1 >= LEAST and perf_counter() - began > ENOUGH:
            break
    return _result(name, case, *(_summary(case, each) for each in taken))


def _seconds(case: Case, side: Callable[[object], object]) -> float:
    given = case.before()
    started = perf_counter()
    side(given)
    return perf_counter() - started


def _summary(case: Case, taken: Sequence[float]) -> Summary:
    figures = sorted(case.unit.figure(seconds, case.amount) for seconds in taken)
    worst = figures[::-1] if case.unit.rate else figures
    p99 = worst[min(len(worst) - 1, len(worst) * 99 // 100)] if len(worst) >= 100 else None
    return Summary(statistics.median(figures), figures[0], figures[-1], p99, len(figures))


def _result(name: str, case: Case, ours: Summary, peer: Summary | None = None) -> Result:
    added = None if peer is None else ours.median - peer.median
    found = None if case.bar is None else {"median": ours.median, "added": added, "p99": ours.p99}[case.bar.of]
    met = None
    if case.bar is not None and found is not None:
        met = found >= case.bar.limit if case.unit.rate else found <= case.bar.limit
    return Result(
        benchmark=name,
        label=case.label,
        unit=case.unit.name,
        ours=ours,
        peer=peer,
        against=case.against,
        ratio=None if peer is None else ours.median / peer.median,
        added=added,
        bar=case.bar.limit if case.bar else None,
        bar_of=case.bar.of if case.bar else "",
        met=met,
    )
