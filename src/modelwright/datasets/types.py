"""Column types: Arrow's, a few plain words for them, and the one form in which a table is stored.

Stored tables hold no encodings: dictionaries, views and large offsets are written as what they stand for, times to the
microsecond and, where they have a zone, in UTC. So equal tables have equal bytes however they were made.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import Invalid
from modelwright.datasets.records import DatasetVersion

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)
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


def stored_type(kind: Any, *, inside: bool = False) -> Any:
    """The type a column of some Arrow type is stored in; `inside` others, arrays of one length are lists of any length.

    Of such in a struct Parquet does not read back those that are missing.
    """
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return stored_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):  # which few can compute with
        return pa.float32()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if any(check(kind) for check in _LISTS):
        return pa.list_(pa.field("element", stored_type(kind.value_type, inside=True)))  # the name that Parquet gives it
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", stored_type(kind.value_type, inside=True)), -1 if inside else kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(each.name, stored_type(each.type, inside=True)) for each in kind])
    if pa.types.is_map(kind):
        return pa.map_(stored_type(kind.key_type, inside=True), stored_type(kind.item_type, inside=True))
    return kind


def stored_schema(schema: Any, types: Mapping[str, str], origin: str) -> Any:
    """The columns of some rows in the form in which they are stored, with the types that were asked for.

    `Invalid` names a column that is not there, or that cannot be told from another.
    """
    check_names(schema.names, types, origin)
    if mixed := [each.name for each in schema if pa.types.is_union(each.type)]:
        raise Invalid(
            f"{origin}, column {mixed[0]!r}: values of several types in one column have no place in Parquet.",
            mend="Make it one column for each type, or text.",
        )
    if homeless := [each for each in schema if not _has_place(each.type)]:
        raise Invalid(
            f"{origin}, column {homeless[0].name!r}: {homeless[0].type} has no place in Parquet.",
            mend="Leave it out, or make it something else: an interval text or a number of days.",
        )
    return pa.schema(
        [
            pa.field(each.name, arrow_type(types[each.name]) if each.name in types else stored_type(each.type))
            for each in schema
        ]
    )


def _has_place(kind: Any) -> bool:
    """Whether Parquet can hold columns of a type: intervals and structs without fields it cannot, on any level."""
    if pa.types.is_interval(kind) or (pa.types.is_struct(kind) and not kind.num_fields):
        return False
    if pa.types.is_nested(kind):
        return all(_has_place(kind.field(at).type) for at in range(kind.num_fields))
    return True


def cast_rows(table: Any, schema: Any, origin: str) -> Any:
    """The columns of a schema out of a table, with its types; `Invalid` names one where a value does not survive that."""
    columns = []
    for field in schema:
        column = table[field.name]
        if pa.types.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        try:
            if "list_view" in str(column.type):  # of which Arrow's cast makes lists with too few offsets
                column = pa.chunked_array([pa.array(each.to_pylist(), field.type) for each in column.chunks], field.type)
            columns.append(column.cast(field.type) if column.type != field.type else column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Invalid(
                f"{origin}, column {field.name!r}: {column.type} does not become {field.type}: {error}",
                mend=f"Declare another type: types={{{field.name!r}: {_roomier(column.type)!r}}} would hold it.",
            ) from None
    return pa.Table.from_arrays(columns, schema=schema)


def _roomier(kind: Any) -> str:
    """A type that holds whatever values of a type there are, where the one that was tried does not."""
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return "int64"
    return str(kind) if pa.types.is_nested(kind) or pa.types.is_binary(kind) else "text"


def readable(schema: Any, missing: Container[str]) -> Any:
    """The same schema, with lists of any length for arrays of one length where values are `missing`; see `lacks_arrays`."""
    return pa.schema(
        [
            pa.field(each.name, pa.list_(pa.field("element", each.type.value_type)))
            if pa.types.is_fixed_size_list(each.type) and each.name in missing
            else each
            for each in schema
        ]
    )


def lacks_arrays(kind: Any, column: Any) -> bool:
    """Whether some of these arrays of one length are missing: Parquet takes them, and Arrow does not read them back."""
    return bool(pa.types.is_fixed_size_list(kind) and column.null_count)


def check_names(names: list[str], types: Mapping[str, str], origin: str) -> None:
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
        raise Invalid(f"{origin}: column {names.index('') + 1} has no name.", mend="Name it: in CSV, in the first line.")
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

    def untyped(self, schema: Any, empty: Container[str]) -> list[str]:
        """The columns that are text because there is no value in them (they are `empty`), and nobody said what they are."""
        return [
            field.name
            for field in schema
            if field.name not in self.for_text and pa.types.is_string(field.type) and field.name in empty
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
