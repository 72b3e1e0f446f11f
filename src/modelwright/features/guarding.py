"""Functions in Python as DuckDB calls them: what they give is looked at, and that each row is computed from itself."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.features.transformations import Transformation, code_of

PROVEN: Final = 8  # rows of the first batch that are computed once more, each alone


class Guarded:
    """A function as DuckDB calls it: what it gives is looked at, and that a row is computed from that row alone."""

    def __init__(self, definition: Transformation) -> None:
        self.definition = definition
        self._given_up: tuple[str, BaseException | None] = "", None
        self._run = code_of(definition)
        self._proven = False
        places = [inspect.Parameter(f"c{at}", inspect.Parameter.POSITIONAL_ONLY) for at in range(len(definition.takes))]
        self.__signature__ = inspect.Signature(places)  # by which DuckDB tells how many arguments there are

    def __call__(self, *columns: Any) -> Any:
        """One batch, from one array for each argument; whatever goes wrong is kept for `given_up`."""
        try:
            arrays = [each.combine_chunks() if hasattr(each, "combine_chunks") else each for each in columns]
            made = self._checked(arrays)
            if not self._proven and len(made) > 1:
                self._prove(arrays, made)
            return made
        except Exception as error:
            self._given_up = error.message if isinstance(error, Invalid) else _told(error), error
            raise

    def given_up(self) -> tuple[str, BaseException | None]:
        """Why it failed since this was last asked, and the error; nothing where it did not."""
        told, self._given_up = self._given_up, ("", None)
        return told

    def _checked(self, arrays: Sequence[Any]) -> Any:
        made, rows = self._run(*arrays), len(arrays[0])
        if isinstance(made, pa.ChunkedArray):
            made = made.combine_chunks()
        if not isinstance(made, pa.Array) or len(made) != rows:
            what = f"{len(made)} values" if isinstance(made, pa.Array) else f"a {type(made).__name__}"
            raise Invalid(f"it gave {what} for {rows} rows, where an Arrow array of as many is expected")
        return made.cast(_arrow(self.definition.gives))

    def _prove(self, arrays: Sequence[Any], made: Any) -> None:
        """Compute the first rows again, each alone: what looks at others, or at the time or by chance, gives others."""
        for at in range(min(PROVEN, len(made))):
            alone = self._checked([each.slice(at, 1) for each in arrays])
            if not _same(alone[0].as_py(), made[at].as_py()):
                raise Invalid("it gives a row another value among others than alone, and must compute each from itself")
        self._proven = True


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def _told(error: Exception) -> str:
    """What it raised and where, without its words: values of rows may stand in these."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"it raised {type(error).__name__}" + (f" (line {lines[-1]})" if lines else "")


def _arrow(kind: str) -> Any:
    return {
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "text": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "floats": pa.list_(pa.float64()),
    }[kind]
