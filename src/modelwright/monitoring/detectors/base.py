"""What every detector takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelwright.core.errors import Invalid


class ColumnKind(StrEnum):
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True)
class Values:
    """One column of one sample: the values that are there, and how many are not.

    Numeric values are finite float64 (NaN and the infinities count as missing); categories are text.
    """

    kind: ColumnKind
    present: NDArray[Any]
    missing: int = 0
    other: int = 0  # rows with a category that is not named: the rare ones of a profile

    @property
    def rows(self) -> int:
        """All rows, with and without a value."""
        return len(self.present) + self.other + self.missing

    @cached_property
    def ordered(self) -> NDArray[Any]:
        """The values that are there, ascending."""
        return np.sort(self.present)

    @cached_property
    def distinct(self) -> NDArray[Any]:
        """The different values, ascending."""
        return np.unique(self.present)


@dataclass(frozen=True)
class Comparison:
    """What a detector found. `p_value` is the chance of at least this much difference were there none in truth."""

    effect: float  # in the detector's own unit, corrected for noise where the detector says so; 0 means no difference
    p_value: float


class Detector(Protocol):
    """Compares one column of the present with its reference.

    Guarantees, checked on every detector: the effect is finite and at least 0, the p-value lies in [0, 1]; a sample
    compared with itself has p = 1; two samples of one distribution rarely pass both p < 0.01 and the floor; a column
    with no values on one side is still answered; neither the order of rows nor NaN in place of null matters.
    """

    name: str
    floor: float  # the smallest effect that is worth somebody's attention
    kinds: frozenset[ColumnKind]

    def compare(self, reference: Values, current: Values) -> Comparison: ...


NO_DIFFERENCE = Comparison(effect=0.0, p_value=1.0)


def values_of(column: Any, kind: ColumnKind | None = None) -> Values:
    """A column (a pyarrow array, a NumPy array or a list) as `Values`; the kind is inferred where it is not given.

    Numbers and times are numeric, everything else is categorical, truth values too. A column that has no values at all
    is taken as numeric unless told otherwise.
    """
    import pyarrow as pa

    array = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = kind or _kind_of(array.type)
    if pa.types.is_null(array.type):
        return Values(kind, np.array([], dtype=float if kind is ColumnKind.NUMERIC else str), len(array))
    present = array.drop_null()
    if kind is ColumnKind.CATEGORICAL:
        texts = np.asarray([str(value) for value in present.to_pylist()], dtype=str)
        return Values(kind, texts, len(array) - len(texts))
    numbers = _numbers(present)
    finite = numbers[np.isfinite(numbers)]
    return Values(kind, finite, len(array) - len(finite))


def _kind_of(dtype: Any) -> ColumnKind:
    import pyarrow as pa

    t = pa.types
    numeric = t.is_integer(dtype) or t.is_floating(dtype) or t.is_decimal(dtype) or t.is_temporal(dtype) or t.is_null(dtype)
    return ColumnKind.NUMERIC if numeric else ColumnKind.CATEGORICAL


def _numbers(array: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    if pa.types.is_date32(array.type) or pa.types.is_time32(array.type):
        array = array.cast(pa.int32())
    elif pa.types.is_temporal(array.type):
        array = array.cast(pa.int64())
    try:
        numbers: NDArray[np.float64] = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid as error:
        raise Invalid(
            f"A column of {array.type} cannot be read as numbers: {error}.",
            mend="Watch it as categorical instead.",
        ) from None
    return numbers
