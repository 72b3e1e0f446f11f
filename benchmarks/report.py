"""Telling the results: a table for people, JSON for programs, and what kind of machine it was."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.cases import Benchmark
from benchmarks.runner import Result, Skipped, Summary

RESULTS = Path(".bench") / "results.json"
GIBIBYTE = 2**30
WIDTH = 180  # characters, where the table is not shown on a terminal


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory / GIBIBYTE),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": round(os.getloadavg()[0], 1),  # what else ran when the benchmarks began
    }


def document(results: Sequence[Result | Skipped], about: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    """Everything as one JSON document."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": about,
        "results": [_plain(each) for each in results if isinstance(each, Result)],
        "skipped": [each._asdict() for each in results if isinstance(each, Skipped)],
    }


def write(told: dict[str, Any], path: Path = RESULTS) -> Path:
    """Write the document; results of benchmarks that did not run this time are not kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return path


def table(chosen: Benchmark, results: Sequence[Result | Skipped]) -> Table:
    """The results of one benchmark."""
    made = Table(title=f"{chosen.name}: {chosen.what}", title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("case", "median", "min to max", "p99", "peer", "ratio", "added", "bar"):
        made.add_column(column, justify="left" if column in ("case", "peer", "bar") else "right", overflow="fold")
    for each in results:
        if isinstance(each, Skipped):
            made.add_row(f"skipped: {each.why}")
        else:
            made.add_row(*_cells(each))
    return made


def console(*, error: bool = False) -> Console:
    """Where the table goes: the whole of a terminal, or as wide as it needs to be in a file."""
    made = Console(stderr=error, highlight=False)
    return made if made.is_terminal else Console(stderr=error, highlight=False, width=WIDTH)


def _cells(result: Result) -> list[str]:
    ours, peer = result.ours, result.peer
    return [
        result.label,
        f"{_number(ours.median)} {result.unit}",
        f"{_number(ours.low)} to {_number(ours.high)}",
        "" if ours.p99 is None else _number(ours.p99),
        "" if peer is None else "; ".join(_peer(*each) for each in [(result.against, peer), *result.others.items()]),
        "" if result.ratio is None else f"{result.ratio:.2f}" if result.ratio < 10 else f"{result.ratio:.1f}",
        "" if result.added is None else _number(result.added),
        _verdict(result),
    ]


def _peer(name: str, summary: Summary) -> str:
    worst = "" if summary.p99 is None else f", p99 {_number(summary.p99)}"
    return f"{_number(summary.median)}{worst} ({name})"


def _verdict(result: Result) -> str:
    if result.bar is None:
        return ""
    subject = "" if result.bar_of == "median" else f" {result.bar_of}"
    said = "" if result.met is None else "met" if result.met else "MISSED"
    return f"{said} ({_number(result.bar)}{subject})"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _plain(result: Result) -> dict[str, Any]:
    told = result._asdict()
    for side in ("ours", "peer"):
        if isinstance(told[side], Summary):
            told[side] = told[side]._asdict()
    told["others"] = {name: summary._asdict() for name, summary in result.others.items()}
    return told
