"""DuckDB sessions for the SQL of views: they see the tables that they are given, and the functions of one view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.core.wire import encode
from modelwright.features.definitions import FeatureView
from modelwright.features.guarding import Guarded
from modelwright.features.transformations import KINDS, Transformation
from modelwright.store import analytics

MOST_EQUIPPED: Final = 16  # instances of DuckDB with functions in Python that are kept


@contextmanager
def session(source: pa.Table, view: FeatureView) -> Iterator[Any]:
    """A connection in memory whose one table is `source`, in UTC, with the functions of a view.

    A definition's SQL was written by somebody else, perhaps: it can reach no file, no network and no setting.
    """
    with sessions(view.functions) as connection:
        connection.register("source", source)
        yield connection


@contextmanager
def sessions(functions: Sequence[Transformation] = ()) -> Iterator[Any]:
    """The same without a table yet, for one `source` after another: to open one takes longer than many a query."""
    equipped = _equipped_with(functions) if functions else None
    connection = analytics.locked(equipped.instance) if equipped else analytics.locked()
    try:
        yield connection
    except duckdb.Error as error:
        if equipped and "Python exception" in str(error):
            equipped.tell()
        raise Invalid(f"DuckDB cannot compute this: {str(error).strip()}") from error
    finally:
        connection.close()


class _Equipped:
    """An instance of DuckDB that has functions in Python: in the one that all share, others' SQL could call them."""

    def __init__(self, functions: Sequence[Transformation]) -> None:
        self._guarded = [Guarded(each) for each in functions]
        self.instance = analytics.Instance(locked=True, define=self._define)

    def _define(self, connection: Any) -> None:
        for each in self._guarded:
            called = each.definition
            asked = "SELECT 1 FROM duckdb_functions() WHERE lower(function_name) = ? LIMIT 1"
            if connection.execute(asked, [called.name.lower()]).fetchone():
                raise Invalid(f"{called.name}() is a function of DuckDB's.", mend="Give yours another name.")
            takes, gives = [KINDS[kind] for kind in called.takes], KINDS[called.gives]
            connection.create_function(called.name, each, takes, gives, type="arrow", null_handling="special")

    def tell(self) -> None:
        """Raise what a function gave up over. Each is told once: what one failed at before is not why another does now."""
        failed = [(each.definition.name, *each.given_up()) for each in self._guarded]
        for name, problem, cause in failed:
            if problem:
                raise Invalid(
                    f"The function {name}() cannot be used: {problem}.",
                    mend="Try it out by itself, mend it where it is defined, and apply the view again.",
                ) from cause


_equipped: dict[bytes, _Equipped] = {}  # by the functions


def _equipped_with(functions: Sequence[Transformation]) -> _Equipped:
    asked = encode(functions)
    held = _equipped.get(asked)
    if held is None:
        held = _Equipped(functions)
        if len(_equipped) >= MOST_EQUIPPED:
            _equipped.clear()
        _equipped[asked] = held
    return held
