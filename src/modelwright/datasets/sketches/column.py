"""What is kept of one column, whatever its type: made of batches of Arrow values, put together, written and read."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.datasets.sketches.distinct import Distinct
from modelwright.datasets.sketches.frequent import Frequent, frequent_of
from modelwright.datasets.sketches.hashing import hash_numbers, hash_texts
from modelwright.datasets.sketches.quantiles import Quantiles

EXAMPLES: Final = 5
Raw = int | float | str | bool | None  # a value as it is counted: dates and times as whole numbers in their column's unit


class Written(msgspec.Struct, frozen=True, array_like=True):
    """A sketch as it is stored, with arrays as their bytes (little-endian)."""

    rows: int
    count: int
    finite: int
    mean: float
    squares: float
    least: Raw
    greatest: Raw
    low: float | None
    high: float | None
    few: bytes
    registers: bytes | None
    levels: list[bytes]
    values: list[Raw]
    counts: list[int]
    error: int
    examples: list[Raw]


class ColumnSketch:
    """Counts, extremes, moments, quantiles (of numbers), different and frequent values of some rows of a column.

    NaN is a missing value. Infinite ones are counted, and stand outside of moments and quantiles. `quoting` keeps frequent
    values, examples and extremes of text; a column about a person has none of them.
    """

    def __init__(self, *, quoting: bool = True) -> None:
        self.quoting = quoting
        self.rows = self.count = self.finite = 0
        self.mean = self.squares = 0.0  # squares: the sum of squared distances from the mean
        self.least: Raw = None
        self.greatest: Raw = None
        self.low: float | None = None  # the finite extremes of numbers
        self.high: float | None = None
        self.distinct, self.quantiles, self.frequent = Distinct(), Quantiles(), Frequent()
        self.examples: list[Raw] = []

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.rows - self.count

    @property
    def sd(self) -> float | None:
        """The standard deviation of the sample, n - 1."""
        return math.sqrt(self.squares / (self.finite - 1)) if self.finite > 1 else None

    def add(self, values: Any) -> None:
        """Take in an Arrow array."""
        self.rows += len(values)
        kind, here = values.type, values.drop_null() if values.null_count else values
        if not len(here):
            return
        if pa.types.is_dictionary(kind):
            self._texts_by_code(here)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._texts(here)
        elif (numbers := _numbers(here)) is not None:
            self._numbers(numbers, measured=_is_measured(kind), plainly=pa.types.is_boolean(kind))
        else:
            self.count += len(here)

    def merge(self, other: ColumnSketch) -> None:
        """Take in what another has seen: rows that come after these."""
        self.rows += other.rows
        self.count += other.count
        self._moments(other.finite, other.mean, other.squares, other.low, other.high)
        if other.least is not None:
            self._extremes(other.least, other.greatest)
        self.distinct.merge(other.distinct)
        self.quantiles.merge(other.quantiles)
        self.frequent.merge(other.frequent.counts, other.frequent.error)
        self.examples = [*self.examples, *other.examples][:EXAMPLES]

    def counted(self) -> tuple[Any, Any] | None:
        """The finite numbers in order, each once, with how often it is there, where that is known exactly."""
        if not self.quoting or self.frequent.error or not self.finite:
            return None
        held = sorted((x, n) for x, n in self.frequent.counts.items() if math.isfinite(x))
        return np.array([x for x, _ in held], np.float64), np.array([n for _, n in held])

    def write(self) -> Written:
        """As it is stored."""
        counted, seen = self.frequent, self.distinct
        return Written(
            self.rows,
            self.count,
            self.finite,
            self.mean,
            self.squares,
            self.least,
            self.greatest,
            self.low,
            self.high,
            seen.few.astype("<u8").tobytes(),
            None if seen.registers is None else seen.registers.tobytes(),
            [each.astype("<f8").tobytes() for each in self.quantiles.levels],
            list(counted.counts),
            list(counted.counts.values()),
            counted.error,
            self.examples,
        )

    @classmethod
    def read(cls, written: Written, *, quoting: bool) -> ColumnSketch:
        """From what is stored."""
        made = cls(quoting=quoting)
        for name in ("rows", "count", "finite", "mean", "squares", "least", "greatest", "low", "high"):
            setattr(made, name, getattr(written, name))
        made.distinct.few = np.frombuffer(written.few, "<u8")
        if written.registers is not None:
            made.distinct.registers = np.frombuffer(written.registers, np.uint8).copy()
        made.quantiles.n = written.finite if written.levels else 0
        made.quantiles.levels = [np.frombuffer(each, "<f8") for each in written.levels]
        made.frequent.counts = dict(zip(written.values, written.counts, strict=True))
        made.frequent.error = written.error
        made.examples = list(written.examples)
        return made

    def _numbers(self, numbers: Any, *, measured: bool, plainly: bool) -> None:
        """Whole numbers, floats, truth values, or times as whole numbers; `measured` are those that have moments."""
        if self.quoting and len(self.examples) < EXAMPLES:
            first = numbers[: EXAMPLES * 4]
            self._example([bool(x) if plainly else x for x in first.tolist() if x == x])
        ordered = np.sort(numbers)
        if ordered.dtype.kind == "f" and np.isnan(ordered[-1]):
            ordered = ordered[: np.searchsorted(ordered, np.nan)]
        if not len(ordered):
            return
        self.count += len(ordered)
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        self._see(ordered[starts], np.diff(np.append(starts, len(ordered))), hash_numbers(ordered[starts]), plainly)
        self._extremes(*(bool(x) if plainly else x for x in (ordered[0].item(), ordered[-1].item())))
        if measured:
            within = ordered
            if ordered.dtype.kind == "f" and (np.isinf(ordered[0]) or np.isinf(ordered[-1])):
                within = ordered[np.searchsorted(ordered, -np.inf, "right") : np.searchsorted(ordered, np.inf, "left")]
            if len(within):
                floats = within.astype(np.float64, copy=False)
                with np.errstate(over="ignore", invalid="ignore"):
                    mean = float(floats.mean())
                    squares = float(floats.var()) * len(floats)
                self._moments(len(floats), mean, squares, float(floats[0]), float(floats[-1]))
                self.quantiles.add(floats)

    def _texts_by_code(self, values: Any) -> None:
        """Texts as codes into a dictionary: only the dictionary is looked at."""
        counts = np.bincount(values.indices.to_numpy(zero_copy_only=False), minlength=len(values.dictionary))
        used = np.flatnonzero(counts)
        words = values.dictionary.take(pa.array(used)) if len(used) < len(counts) else values.dictionary
        self.count += len(values)
        if self.quoting:
            self._example(values[:EXAMPLES].dictionary_decode().to_pylist())
            self._extreme_texts(words)
        self._see(words, counts[used], hash_texts(words), False)

    def _texts(self, texts: Any) -> None:
        self.count += len(texts)
        hashes = hash_texts(texts)
        ordered = np.sort(hashes)
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        found = ordered[starts]
        self.distinct.add(found)
        if not self.quoting:
            return
        self._example(texts[:EXAMPLES].to_pylist())
        self._extreme_texts(texts)
        counts = np.diff(np.append(starts, len(ordered)))
        kept, cut = frequent_of(counts)
        if not len(kept):
            self.frequent.merge({}, cut)
            return
        wanted = found[kept]
        places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        rows = np.flatnonzero(wanted[places] == hashes)
        where = np.zeros(len(wanted), np.int64)
        where[places[rows]] = rows  # any row with that hash will do
        words = texts.take(pa.array(where)).to_pylist()
        self.frequent.merge(dict(zip(words, counts[kept].tolist(), strict=True)), cut)

    def _see(self, values: Any, counts: Any, hashes: Any, plainly: bool) -> None:
        """Different values, each once, with their counts."""
        self.distinct.add(hashes)
        if not self.quoting:
            return
        kept, cut = frequent_of(counts)
        chosen = values.take(pa.array(kept)).to_pylist() if isinstance(values, pa.Array) else values[kept].tolist()
        if plainly:
            chosen = [bool(each) for each in chosen]
        self.frequent.merge(dict(zip(chosen, counts[kept].tolist(), strict=True)), cut)

    def _extreme_texts(self, texts: Any) -> None:
        found = pc.min_max(texts).as_py()
        self._extremes(found["min"], found["max"])

    def _extremes(self, least: Any, greatest: Any) -> None:
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)

    def _moments(self, n: int, mean: float, squares: float, low: float | None, high: float | None) -> None:
        """By the update of Chan, Golub and LeVeque (1979)."""
        if not n or low is None or high is None:
            return
        total, apart = self.finite + n, mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            self.squares += squares + float(np.float64(apart) ** 2) * self.finite * n / total
        self.mean += apart * n / total
        self.finite = total
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def _example(self, values: list[Any]) -> None:
        self.examples = [*self.examples, *values][:EXAMPLES]


def _is_measured(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers(values: Any) -> Any:
    """The values as a NumPy array that can be put in order, or None if they are neither numbers nor times."""
    kind = values.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        values = values.cast(pa.float64())
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif pa.types.is_timestamp(kind) or pa.types.is_date64(kind) or pa.types.is_time64(kind):
        values = values.view(pa.int64())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        values = values.view(pa.int32())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    return values.to_numpy(zero_copy_only=False)
