"""Checks and profile of a table: beside Pandera, and beside DuckDB's own aggregates.

Pandera is not installed with the rest: `pip install --group peers`. Each side begins with the same Parquet file, and each
is a process of its own, so that what it takes to import a library and to read the file counts for all.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.cases import MEBIBYTES, SECONDS, Bar, Case, Measured, Setting, Skip, benchmark

ROWS: Final = 10_000_000
PIECE: Final = 1_000_000  # rows made at a time


@benchmark("quality", what="checks and a profile of a table of 30 columns, from its Parquet file")
def quality(setting: Setting) -> Iterator[Case]:
    """Every column is checked for its type and for missing values, numbers for a range, words for being allowed, the id for
    being there once, and one condition over two columns. The profile is beside DuckDB's `SUMMARIZE`, which finds less and
    is not mergeable. Pandera checks what it can in each of its two ways, with pandas and with polars.
    """
    path = setting.folder / "rows.parquet"
    rows = setting.size(ROWS, 200_000)
    _write(path, rows)
    label = f"{rows:,} rows of 30 columns"
    runs = {"runs": 3, "warmups": 0}
    theirs = {f"Pandera, {frame}": _run(path, f"pandera_{frame}") for frame in ("pandas", "polars") if _there(frame)}
    for unit, what in ((SECONDS, "wall"), (SECONDS, "CPU"), (MEBIBYTES, "peak memory")):
        yield Case(
            label=f"checks, {label}: {what}",
            unit=unit,
            run=_of(what, _run(path, "checks")),
            peers={name: _of(what, run) for name, run in theirs.items()},
            bar=Bar(5, of="times") if what == "wall" and theirs else None,
            **runs,
        )
        yield Case(
            label=f"profile, {label}: {what}",
            unit=unit,
            run=_of(what, _run(path, "profile")),
            peer=_of(what, _run(path, "summarize")),
            against="DuckDB SUMMARIZE",
            bar=Bar(0.5, of="times") if what == "wall" else None,
            **runs,
        )
    if not theirs:
        raise Skip("Pandera is not installed: pip install --group peers")


Figures = dict[str, float]


def _there(frame: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("pandera", frame))


def _of(what: str, run: Callable[[], Figures]) -> Callable[[object], Measured]:
    return lambda _: Measured(run()[what])


def _run(path: Path, side: str) -> Callable[[], Figures]:
    """One side as a process; its seconds on the clock, of the processors, and its memory in MiB."""

    def run() -> Figures:
        begun = os.times()
        command = [sys.executable, "-m", "benchmarks.quality_sides", side, str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{side} ended with {done.returncode}:\n{done.stderr}")
        ended = os.times()
        processors = ended.children_user + ended.children_system - begun.children_user - begun.children_system
        memory = float(done.stdout.split()[-1])
        return {"wall": ended.elapsed - begun.elapsed, "CPU": processors, "peak memory": memory}

    return run


def _write(path: Path, rows: int) -> None:
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, PIECE):
        table = _piece(start, min(PIECE, rows - start))
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=131_072)
    if writer is not None:
        writer.close()


def _piece(start: int, rows: int) -> Any:
    import pyarrow as pa

    made = np.random.default_rng(start)
    columns: dict[str, Any] = {"id": np.arange(start, start + rows)}
    columns["at"] = pa.array(start * 500 + np.cumsum(made.integers(0, 1000, rows))).cast(pa.timestamp("us", tz="UTC"))
    columns |= {f"x{number}": np.round(made.normal(size=rows), 3) for number in range(8)}
    columns |= {f"f{number}": made.normal(size=rows).astype(np.float32) for number in range(2)}
    columns |= {f"n{number}": made.integers(0, 10 ** (number + 1), rows) for number in range(8)}
    words = np.array(["north", "south", "east", "west"])
    columns |= {f"w{number}": words[made.integers(0, 4, rows)] for number in range(4)}
    columns |= {f"b{number}": made.random(rows) < 0.3 for number in range(2)}
    columns |= {f"g{number}": pa.array(made.exponential(size=rows), mask=made.random(rows) < 0.05) for number in range(3)}
    columns["user"] = np.char.add("user-", made.integers(0, 1_000_000, rows).astype(str))
    return pa.table(columns)
