"""The rows of a view that only names columns: they are the source's as they lie there, and nothing has to be computed.

What `sql.every` says of them is held to here: which column a name means, and what is missing. Where anything else is asked
for (an expression, a `select`, another type) DuckDB computes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.signature import DataType
from modelwright.features import sql
from modelwright.features.definitions import FeatureView, identifier
from modelwright.store import analytics

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOMENT = "us"
FEW = 100  # rows
_ENDLESS = np.iinfo(np.int64).max  # DuckDB's infinite moments are this and its negative
_reserved: set[str] = set()  # words of SQL that stand for themselves, also where a column has that name


def rows(view: FeatureView, keys: Sequence[DataType], inputs: Sequence[str], source: pa.Table) -> pa.Table | None:
    """The rows of the source as `sql.every` has them, but the values raw: `cleaned` makes them what they are.

    None where that takes more than to name columns.
    """
    if view.select:
        return None
    found: dict[str, Any] = {}
    named = Names(source)
    for i, (name, kind) in enumerate(zip(view.entity, keys, strict=True)):
        found[f"k{i}"] = _column(named, identifier(name), kind)
    if view.event_time is None:
        found["event"] = pa.array(np.full(source.num_rows, sql.ALWAYS))
    else:
        found["event"] = _moments(named, view.event_time)
    if view.created_time is not None:
        found["known"] = _moments(named, view.created_time)
    for i, (text, each) in enumerate(zip(view.inputs, inputs, strict=True)):
        found[f"x{i}"] = None if each == sql.ARRAY else _column(named, text, DataType(each), raw=True)
    if any(each is None for each in found.values()):
        return None
    return pa.table(found)


def cleaned(values: Any, kind: str) -> Any:
    """Values of `rows` in the type that they are stored in; those that are not finite are missing."""
    if kind != DataType.FP64:
        return values.cast(_TYPES[DataType(kind)]) if kind in _TYPES else values
    numbers = values.cast(pa.float64(), safe=False)  # whole numbers that no float holds become the nearest, as in DuckDB
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def listed(values: Any, kind: str) -> list[Any]:
    """`cleaned`, as a list. Few are looked at one by one: a function of Arrow's takes as long as a hundred of them."""
    if kind == DataType.FP64 and len(values) <= FEW:
        return [float(each) if each is not None and math.isfinite(each) else None for each in values.to_pylist()]
    found: list[Any] = cleaned(values, kind).to_pylist()
    return found


class Names:
    """The columns of a table by what SQL calls them, which does not tell case apart."""

    def __init__(self, source: pa.Table) -> None:
        self.source = source
        self._places: dict[str, int | None] = {}
        for place, name in enumerate(source.column_names):
            folded = name.lower()
            self._places[folded] = None if folded in self._places else place

    def column(self, name: str) -> Any:
        """The one that a name means; None where it means none, or several."""
        place = self._places.get(name.lower())
        return None if place is None else self.source.column(place)


def _column(names: Names, text: str, kind: DataType, *, raw: bool = False) -> Any:
    """The column that an expression is, if it is one and of a type that is taken as it is."""
    column = _named(names, text)
    if column is None or kind not in _TYPES or not _fits(column.type, kind):
        return None
    return column if raw or column.type == _TYPES[kind] else column.cast(_TYPES[kind])


def _moments(names: Names, name: str) -> Any:
    column = _named(names, identifier(name))
    if column is None:
        return None
    if not pa.types.is_timestamp(column.type) or column.type.unit != _MOMENT or column.type.tz is None:
        return None
    ticks = column.cast(pa.int64())
    ends = pc.min_max(ticks).as_py()
    endless = ends["min"] is not None and (ends["min"] <= -_ENDLESS or ends["max"] >= _ENDLESS)
    return None if endless else ticks


def _named(names: Names, text: str) -> Any:
    """The column of the source that a name in SQL means; None where it means none, or something else."""
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        name = text[1:-1].replace('""', '"')
        if identifier(name) != text:
            return None
    elif _WORD.fullmatch(text):
        name = text
        if name.lower() in _reserved_words():
            return None
    else:
        return None
    return names.column(name)


def _reserved_words() -> set[str]:
    if not _reserved:
        session = analytics.locked()
        try:
            listed = session.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'")
            _reserved.update(word for (word,) in listed.fetchall())
        finally:
            session.close()
    return _reserved


def _fits(given: Any, kind: DataType) -> bool:
    if kind is DataType.INT64:
        return bool(pa.types.is_integer(given)) and given != pa.uint64()
    if kind is DataType.FP64:
        return bool(pa.types.is_float32(given) or pa.types.is_float64(given) or pa.types.is_integer(given))
    if kind is DataType.STRING:
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given))
    return bool(pa.types.is_boolean(given))


_TYPES = {DataType.BOOL: pa.bool_(), DataType.INT64: pa.int64(), DataType.FP64: pa.float64(), DataType.STRING: pa.string()}
