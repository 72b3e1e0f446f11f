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
from benchmarks.cases import REGISTERED, Benchmark, Case, Measured, Setting, Skip

ENOUGH = 60.0  # seconds for one case; then what was measured, but at least three runs of each, has to do
LEAST = 3


class Summary(NamedTuple):
    """The figures of one side, in the case's unit."""

    median: float
    low: float
    high: float
    p99: float | None  # of a hundred runs or more; where runs measured single calls, of these, in milliseconds
    runs: int


class Result(NamedTuple):
    """What came of one case."""

    benchmark: str
    label: str
    unit: str
    ours: Summary
    peer: Summary | None
    against: str
    others: dict[str, Summary]  # peers that did worse than `peer`
    times: float | None  # how many times as good as the peer, whether it is a time or a rate
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
    peers = dict(case.peers) if case.peer is None else {case.against: case.peer, **case.peers}
    sides = [case.run, *peers.values()]
    for _ in range(case.warmups):
        for side in sides:
            _measured(case, side)
    taken: list[list[Measured]] = [[] for _ in sides]
    gc.collect()
    began = perf_counter()
    for turn in range(min(case.runs, LEAST) if quick else case.runs):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for at in order:
            taken[at].append(_measured(case, sides[at]))
        if turn + 1 >= LEAST and perf_counter() - began > ENOUGH:
            break
    found = [_summary(case, each) for each in taken]
    return _result(name, case, found[0], dict(zip(peers, found[1:], strict=True)))


def _measured(case: Case, side: Callable[[object], object]) -> Measured:
    given = case.before()
    started = perf_counter()
    told = side(given)
    seconds = perf_counter() - started
    return told if isinstance(told, Measured) else Measured(seconds)


def _summary(case: Case, taken: Sequence[Measured]) -> Summary:
    figures = sorted(case.unit.figure(run.value, case.amount) for run in taken)
    calls = sorted(seconds * 1e3 for run in taken for seconds in run.each)
    worst = calls or (figures[::-1] if case.unit.rate else figures)
    p99 = worst[min(len(worst) - 1, len(worst) * 99 // 100)] if len(worst) >= 100 else None
    return Summary(statistics.median(figures), figures[0], figures[-1], p99, len(figures))


def _result(name: str, case: Case, ours: Summary, peers: dict[str, Summary]) -> Result:
    ranked = sorted(peers, key=lambda each: peers[each].median, reverse=case.unit.rate)
    against = ranked[0] if ranked else case.against
    peer = peers.pop(against) if ranked else None
    added = None if peer is None else ours.median - peer.median
    ratio = None if peer is None else ours.median / peer.median
    times = ratio if ratio is None or case.unit.rate else 1 / ratio
    found = None
    if case.bar is not None:
        found = {"median": ours.median, "added": added, "p99": ours.p99, "times": times}[case.bar.of]
    met = None
    if case.bar is not None and found is not None:
        least = case.bar.of == "times" or (case.unit.rate and case.bar.of != "p99")
        met = found >= case.bar.limit if least else found <= case.bar.limit
    return Result(
        benchmark=name,
        label=case.label,
        unit=case.unit.name,
        ours=ours,
        peer=peer,
        against=against,
        others=peers,
        times=times,
        ratio=ratio,
        added=added,
        bar=case.bar.limit if case.bar else None,
        bar_of=case.bar.of if case.bar else "",
        met=met,
    )
