"""Entity keys as the online store knows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.signature import Column, DataType

Key = tuple[bool | int | str, ...]
_PYTHON = {DataType.BOOL: bool, DataType.INT64: int, DataType.STRING: str}
_WORDS = {
    DataType.BOOL: ("true or false", "true"),
    DataType.INT64: ("a whole number", "7"),
    DataType.STRING: ("text", '"7"'),
}


def key_text(key: Sequence[bool | int | str]) -> str:
    """A key as text: JSON, so that 1, "1" and true are three different entities."""
    return msgspec.json.encode(key).decode()


def keys_of(columns: Sequence[Column], given: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """`key_of` each of some requests."""
    if len(columns) == 1 and columns[0].dtype is DataType.INT64:
        name = columns[0].name
        if {type(each.get(name)) for each in given} == {int}:  # then its text is the number's, between brackets
            return [f"[{each[name]}]" for each in given]
    return [key_of(columns, each) for each in given]


def key_of(columns: Sequence[Column], given: Mapping[str, Any]) -> str | None:
    """The key that a request names, or None where a part of it is missing: it then matches nothing, as in a join.

    `Invalid` where a column is not named at all or its value is of another type. Further columns are passed over.
    """
    parts: list[Any] = []
    for column in columns:
        if column.name not in given:
            names = ", ".join(each.name for each in columns)
            raise Invalid(f"The key {dict(given)!r} does not say {column.name!r}.", mend=f"A key names {names}.")
        value = given[column.name]
        if value is not None and type(value) is not _PYTHON[column.dtype]:
            said, written = _WORDS[column.dtype]
            raise Invalid(f"{column.name!r} is {said}, and the key says {value!r}.", mend=f"Write it like {written}.")
        parts.append(value)
    return None if None in parts else key_text(parts)
