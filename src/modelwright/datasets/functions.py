"""Checks that are functions in Python: all of them in one pass over the rows, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.datasets.checks import Function
from modelwright.datasets.engine import cells
from modelwright.datasets.kinds import quoted
from modelwright.datasets.records import DatasetVersion
from modelwright.datasets.scans import Rows, batches_of

BATCH: Final = 131_072  # rows that a function is given at once, at most


class Tally:
    """What a function has said so far."""

    def __init__(self, check: Function) -> None:
        self.check = check
        self.failing = 0
        self.sample: list[dict[str, Any]] = []
        self.problem = ""  # why it was given up


def run_functions(checks: Mapping[int, Function], version: DatasetVersion, files: Rows, sample: int) -> dict[int, Tally]:
    """Call functions with all rows of a version; what each found, by its number.

    A function that raises, or gives something else than a truth value for each row, is given up with its reason.
    """
    tallies = {number: Tally(check) for number, check in checks.items()}
    quoting = not any(column.personal for column in version.columns)
    for tally in tallies.values():
        if strange := [name for name in tally.check.columns if name not in version.names]:
            tally.problem = f"There is no column {strange[0]!r}; the columns are {', '.join(version.names)}."
        elif not tally.check.columns:
            tally.problem = "No column is named that it is given."
    start = 1
    for batch in _batches(files, version, [each for each in tallies.values() if not each.problem]):
        for tally in tallies.values():
            if tally.problem:
                continue
            try:
                wrong = _wrong(tally.check.run(batch.select(tally.check.columns)), batch.num_rows)
            except Exception as error:  # noqa: BLE001 - whatever it raises is why it could not run
                said = f"{type(error).__name__}: {error}" if quoting or isinstance(error, Invalid) else _withheld(error)
                tally.problem = said.partition("\n")[0]
                continue
            tally.failing += len(wrong)
            tally.sample += _shown(batch, version, tally.check, wrong[: sample - len(tally.sample)], start)
        start += batch.num_rows
    return tallies


def _batches(files: Rows, version: DatasetVersion, tallies: Sequence[Tally]) -> Any:
    """The rows, of the columns that functions ask for and of the key."""
    asked = {name for tally in tallies for name in tally.check.columns}
    if not asked:
        return
    wanted = [name for name in version.names if name in asked or name in version.key]
    yield from batches_of(files, wanted, BATCH)


def _wrong(said: Any, rows: int) -> Any:
    """The places where it is not said that a row is right; `Invalid` if that is not said of each row."""
    if isinstance(said, pa.ChunkedArray):
        said = said.combine_chunks()
    if isinstance(said, pa.Array):
        if not pa.types.is_boolean(said.type):
            raise Invalid(f"It gave {said.type}, not truth values.")
        said = said.fill_null(False).to_numpy(zero_copy_only=False)
    found = np.asarray(said)
    if found.dtype != np.bool_ or found.shape != (rows,):
        raise Invalid(f"It gave {found.dtype} of shape {found.shape}, not {rows} truth values.")
    return np.flatnonzero(~found)


def _shown(batch: Any, version: DatasetVersion, check: Function, places: Any, start: int) -> list[dict[str, Any]]:
    if not len(places):
        return []
    names = [n for n in dict.fromkeys([*version.key, *check.columns]) if not version.column(n).personal]
    taken = {name: cells(batch.column(name).take(pa.array(places))) for name in names}
    return [
        {"row": start + int(place), **{name: quoted(taken[name][at]) for name in names}} for at, place in enumerate(places)
    ]


def _withheld(error: Exception) -> str:
    return f"{type(error).__name__} (withheld: the dataset has personal columns)"
