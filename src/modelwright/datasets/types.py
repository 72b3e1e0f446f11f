"""Column types: Arrow's, a few plain words for them, and the one form in which a table is stored.

Stored tables hold no encodings: dictionaries, views and large offsets are written as what they stand for, times to the
microsecond and, where they have a zone, in UTC. So equal tables have equal bytes however they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from modelwright.core.errors import Invalid
from modelwright.datasets.records import DatasetVersion

WORDS = {
    "int": pa.int64(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "number": pa.float64(),
    "text": pa.string(),
    "str": pa.string(),
    "category": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "date32[day]": pa.date32(),
    "date64[ms]": pa.date64(),
    "datetime": pa.timestamp("us"),
    "time": pa.timestamp("us", tz="UTC"),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "timestamp[us]": pa.timestamp("us"),
    "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
}


def arrow_type(name: str) -> Any:
    """The Arrow type that a name stands for, or `Invalid` with the words there are.

    `time` and `timestamp` are moments (in UTC), `datetime` has no zone; Arrow's own names are understood too.
    """
    if name in WORDS:
        return WORDS[name]
    try:
        return stored_type(pa.type_for_alias(name))
    except ValueError:
        words = "int, float, text, bool, date, time, datetime"
        raise Invalid(
            f"{name!r} is not a column type.", mend=f"Write {words}, or a name of Arrow's such as int32."
        ) from None


def stored_type(kind: Any) -> Any:
    """The type a column of some Arrow type is stored in."""
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):  # which few can compute with
        return pa.float32()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", stored_type(kind.value_type)))  # the name that Parquet gives it
    return kind


def stored_form(table: Any, types: dict[str, str], origin: str) -> Any:
    """The table in the form in which it is stored, with the types that were asked for.

    `Invalid` names the column where a value does not survive the change of type, or that is not there at all.
    """
    check_names(table.column_names, types, origin)
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        wanted = arrow_type(types[field.name]) if field.name in types else stored_type(field.type)
        try:
            if lacks_arrays(wanted, column):
                wanted = pa.list_(pa.field("element", wanted.value_type))
            columns.append(column.cast(wanted) if column.type != wanted else column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Invalid(
                f"{origin}, column {field.name!r}: {field.type} does not become {wanted}: {error}",
                mend=f"Declare another type: types={{{field.name!r}: ...}}",
            ) from None
        fields.append(pa.field(field.name, wanted))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def lacks_arrays(kind: Any, column: Any) -> bool:
    """Whether some of these arrays of one length are missing: Parquet takes them, and Arrow does not read them back."""
    return bool(pa.types.is_fixed_size_list(kind) and column.null_count)


def check_names(names: list[str], types: dict[str, str], origin: str) -> None:
    """`Invalid` unless every column has a name of its own (SQL does not tell case apart) and every type its column."""
    if not names:
        raise Invalid(f"{origin} has no columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(f"{origin} has more than one column named {twice[0]!r}.", mend="Give each column a name of its own.")
    folded = [name.casefold() for name in names]
    alike = sorted(name for name in names if folded.count(name.casefold()) > 1)
    if alike:
        raise Invalid(f"{origin}: the columns {', '.join(alike)} differ only in case.", mend="Rename one of them.")
    if "" in names:
        raise Invalid(f"{origin}: column {names.index('') + 1} has no name.", mend="Name it in the first line.")
    unknown = sorted(types.keys() - set(names))
    if unknown:
        raise Invalid(f"{origin} has no column {unknown[0]!r} to give a type to.", mend=f"It has {', '.join(names)}.")


class TypePlan:
    """Which types a source's columns shall have: those declared, and for CSV else those of the version before."""

    def __init__(self, declared: dict[str, str], inherited: dict[str, str], origin: str) -> None:
        for kind in declared.values():
            arrow_type(kind)
        self.declared = declared
        self._inherited = inherited
        self._origin = origin

    @classmethod
    def of(cls, declared: dict[str, str], before: DatasetVersion | None) -> TypePlan:
        """The plan for what follows a version, or (None) for the first of its name."""
        if before is None:
            return cls(declared, {}, "")
        known = [c for c in before.columns if c.name not in before.untyped and _is_nameable(c.type)]
        return cls(declared, {c.name: c.type for c in known}, str(before.ref))

    @property
    def for_text(self) -> dict[str, str]:
        """Types for columns whose values are text that has yet to be read."""
        return {**self._inherited, **self.declared}

    def untyped(self, tables: Sequence[Any]) -> list[str]:
        """The columns of some tables that are text because there is no value in them, and nobody said what they are."""
        return [
            field.name
            for field in tables[0].schema
            if field.name not in self.for_text
            and pa.types.is_string(field.type)
            and all(table[field.name].null_count == table.num_rows for table in tables)
        ]

    def reason(self, column: str) -> str:
        """Why a column has to have its type, as far as the caller may not know."""
        return "" if column in self.declared or column not in self._inherited else f"its type in {self._origin}"


def _is_nameable(kind: str) -> bool:
    """Whether a type can be found again by its name: not so for lists, structs and decimals."""
    try:
        arrow_type(kind)
    except Invalid:
        return False
    return True
