"""Masking columns of Arrow tables: each different value is masked once, and the types stay as they are.

`token` is HMAC-SHA-256 (RFC 2104) under the key of a purpose, cut to its first 128 bits, as 32 hexadecimal characters:
equal values have equal tokens in every table of one purpose, and unrelated ones in another. A column of 64-bit whole
numbers takes 62 bits. `vault` is a token of the same form that was drawn (see `vault`). What a mask cannot be applied to,
is missing afterwards: nothing passes because it was unexpected.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa

from modelwright.datasets.classes import ColumnMask
from modelwright.datasets.privacy.keys import Pseudonymizer, number_of, token_of

_YEAR: Final = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
_MONTH: Final = re.compile(r"((?:1[89]|20)\d\d)-(\d\d)-\d\d")


def mask_table(table: pa.Table, masks: Sequence[ColumnMask], made: Pseudonymizer, subject: str | None = None) -> pa.Table:
    """A table with some of its columns masked. Dates shift by as many days as the row's `subject` says, all alike."""
    masked = table
    for each in masks:
        place = table.schema.get_field_index(each.column)
        if place < 0:
            continue
        name, _, how = each.mask.partition(":")
        if name == "shift":
            by = table[subject] if subject is not None and subject in table.column_names else None
            column = _shifted(table[each.column], by, made.secret, int(how))
        else:
            column = mask_column(table[each.column], each.mask, made)
        masked = masked.set_column(place, table.schema.field(place).with_type(column.type), column)
    return masked


def mask_column(column: Any, mask: str, made: Pseudonymizer) -> Any:
    """One column masked; see `ColumnMask` for what masks there are."""
    kind = column.type
    each = _masker(kind, mask, made)
    if each is None:
        if pa.types.is_fixed_size_list(kind):  # of which Parquet gives no missing one back
            kind = pa.list_(kind.value_type)
        return pa.chunked_array([pa.nulls(len(column), kind)])
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    values = _days(encoded.dictionary) if _is_day(kind) else encoded.dictionary.to_pylist()
    return pa.chunked_array([_fitting(each(values), kind).take(encoded.indices)])


def _fitting(values: list[Any], kind: Any) -> Any:
    """Masked values as an array; one that the type does not hold is missing (-128 cut to tens, in eight bits)."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError):
        return pa.array([_holds(kind, value) for value in values], kind)


def _holds(kind: Any, value: Any) -> Any:
    try:
        return pa.scalar(value, kind).as_py()
    except (pa.ArrowInvalid, OverflowError):
        return None


def mask_values(values: Sequence[Any], mask: str, made: Pseudonymizer) -> list[Any]:
    """Some values of one type masked, as `mask_column` would."""
    kind = pa.infer_type(values)
    each = _masker(kind, mask, made)
    return [None] * len(values) if each is None else each(values)


def _masker(kind: Any, mask: str, made: Pseudonymizer) -> Callable[[Sequence[Any]], list[Any]] | None:
    """What is done to values of a type, missing ones among them; None where nothing of them may be left."""
    name, _, how = mask.partition(":")
    if name == "vault":
        if not (_is_text(kind) or _is_long(kind)):
            return None
        return lambda values: _vaulted(values, made, frozenset(how.split("+")))
    one = _single(kind, name, how, made.secret)
    return None if one is None else lambda values: [None if value is None else one(value) for value in values]


def _vaulted(values: Sequence[Any], made: Pseudonymizer, families: frozenset[str]) -> list[Any]:
    there = [value for value in values if value is not None]
    tokens = iter(made.vault.issue(there, families) if there else ())
    return [None if value is None else next(tokens) for value in values]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_day(kind: Any) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _is_long(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) and kind.bit_width == 64)


def _single(kind: Any, name: str, how: str, secret: bytes) -> Callable[[Any], Any] | None:
    """What is done to one value of a type by a mask that needs no other."""
    text, whole = _is_text(kind), pa.types.is_integer(kind)
    day = _is_day(kind)
    number = whole or pa.types.is_floating(kind)
    if name == "token" and text:
        return lambda value: token_of(secret, value)
    if name == "token" and _is_long(kind):
        return lambda value: number_of(secret, value)
    if name == "bucket" and number:
        width = float(how)
        if not width:
            return None
        return lambda value: _cut(value, width, whole=whole)
    if name == "truncate" and how in ("year", "month"):
        if day:
            return lambda value: value.replace(day=1, **({"month": 1} if how == "year" else {}), **_midnight(value))
        return (lambda value: _text_date(value, how)) if text else None
    if name == "truncate" and how == "net":
        return _net if text else None
    if name == "truncate":
        if text:
            return lambda value: value[: int(how)]
        if whole:
            return lambda value: value // 10 ** int(how) * 10 ** int(how)
        return (lambda value: _round_down(value, int(how))) if number else None
    return None


def _midnight(value: Any) -> dict[str, int]:
    return {"hour": 0, "minute": 0, "second": 0, "microsecond": 0} if hasattr(value, "hour") else {}


def _cut(value: float, width: float, *, whole: bool) -> float | None:
    if not math.isfinite(value):
        return None
    if whole and width.is_integer():  # exactly, also where a float has not so many digits
        return int(value) // int(width) * int(width)
    low = math.floor(value / width) * width
    return int(low) if whole else low


def _round_down(value: float, decimals: int) -> float | None:
    return math.floor(value * 10**decimals) / 10**decimals if math.isfinite(value) else None


def _text_date(value: str, how: str) -> str | None:
    if how == "month" and (found := _MONTH.search(value)):
        return f"{found[1]}-{found[2]}"
    year = _YEAR.search(value)
    return year[1] if year else None


def _net(value: str) -> str | None:
    """The network of an address: /24, or /48."""
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return None
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False).network_address)


def _shifted(column: Any, subject: Any, secret: bytes, most: int) -> Any:
    """Days moved by up to `most`, for one subject always by as many: what lies between two days of a subject stays."""
    kind = column.type
    if not _is_day(kind):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    whose = [""] * len(column) if subject is None else subject.to_pylist()
    moves: dict[Any, timedelta] = {}
    for each in whose:
        if each not in moves:
            moves[each] = timedelta(days=int(token_of(secret, f"shift {each}")[:12], 16) % (2 * most + 1) - most)
    times = [_moved(value, moves[who]) for value, who in zip(_days(column), whose, strict=True)]
    return pa.chunked_array([_fitting(times, kind)])


def _moved(value: date | None, by: timedelta) -> date | None:
    try:
        return None if value is None else value + by
    except OverflowError:  # before the year 1, or after 9999
        return None


def _days(column: Any) -> list[Any]:
    """The moments or days of a column; one outside of the years 1 to 9999 is missing."""
    from modelwright.datasets.engine import cells

    found = [None if isinstance(value, str) else value for value in cells(column)]
    zoned = pa.types.is_date(column.type) or column.type.tz is not None
    return found if zoned else [v and v.replace(tzinfo=None) for v in found]
