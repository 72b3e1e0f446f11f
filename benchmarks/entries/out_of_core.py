"""A training set larger than it is comfortable: ten million rows with ten views, and what memory it takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import MEBIBYTES, SECONDS, Bar, Case, Measured, Setting, benchmark

VIEWS = 10
MOST = 4 * 1024  # MiB, of the process and of what it starts


@benchmark("out-of-core", what="a training set of ten million rows with ten views: its time, and the most memory it held")
def out_of_core(setting: Setting) -> Iterator[Case]:
    """In a process of its own, whose memory holds the rows that are asked for and the table that comes of them, too."""
    rows, each = setting.size(10_000_000, 200_000), setting.size(2_000_000, 50_000)
    folder, memory = setting.folder / "project", list[float]()
    _side(folder, rows, each)

    def join(_: object) -> Measured:
        seconds, held = map(float, _side(folder, rows, each).split())
        memory.append(held)
        return Measured(seconds)

    label = f"{rows:,} rows, {VIEWS} views of {each:,}"
    yield Case(label=label, unit=SECONDS, run=join, runs=1, warmups=0)
    yield Case(
        label=f"{label}: peak memory",
        unit=MEBIBYTES,
        run=lambda _: Measured(memory.pop()),
        runs=1,
        warmups=0,
        bar=Bar(MOST),
    )


def _side(folder: Path, rows: int, each: int) -> str:
    command = [sys.executable, "-m", "benchmarks.out_of_core_side", *map(str, (folder, rows, VIEWS, each))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The side ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
