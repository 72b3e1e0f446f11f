"""From a table to findings: a sample of each column's distinct values, what its name says, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from modelwright.datasets.classes import Finding
from modelwright.datasets.detecting.hints import hinted
from modelwright.datasets.detecting.values import FEW, Match, detect, share_of

SAMPLE: Final = 1000  # distinct values that are looked at
ROWS: Final = 20_000  # rows, evenly over the table, that they are taken from
LEAST: Final = 0.5  # confidence from which on it is a finding
LONGEST: Final = 2000  # characters of a value that are looked at
_NAME_ALONE: Final = 0.6
_PLAIN_NAME: Final = {  # what values have to be like for the column's name alone to count, beside being text
    "pii.email": lambda value: "@" in value,
    "pii.phone": lambda value: sum(map(str.isdigit, value)) >= 6,
    "pii.ip": lambda value: "." in value or ":" in value,
    "pii.iban": lambda value: sum(map(str.isdigit, value)) >= 6,
    "pii.card": lambda value: sum(map(str.isdigit, value)) >= 4,
    "pii.national_id": lambda value: sum(map(str.isdigit, value)) >= 4,
    "pii.address": lambda value: any(map(str.isalpha, value)) and len(value) >= 4,
    "pii.name": lambda value: any(map(str.isalpha, value)) and not any(map(str.isdigit, value)),
    "pii.text": lambda value: len(value.split()) >= 3,
}
EPOCH: Final = date(1970, 1, 1).toordinal()
_OF_NUMBERS: Final = frozenset(("pii.phone", "pii.card", "pii.national_id", "pii.iban"))


def scan(tables: Sequence[pa.Table]) -> list[Finding]:
    """What the columns of some tables, which have the same ones, are about: the likeliest class of each family."""
    if not tables:
        return []
    return [finding for name in tables[0].column_names for finding in _of_column(name, tables)]


def scan_columns(columns: Mapping[str, Any]) -> list[Finding]:
    """The same of columns by name, which need not be of one length: samples of what a table holds."""
    return [finding for name, column in columns.items() for finding in _of_column(name, [pa.table({name: column})])]


def _of_column(name: str, tables: Sequence[pa.Table]) -> list[Finding]:
    kind = tables[0].schema.field(name).type
    hints = hinted(name)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind):
        return _of_nested(name, kind, tables)
    if pa.types.is_floating(kind):
        values = _texts(_distinct(name, tables))
        if values and all(value.endswith(".0") for value in values):
            return _joined(name, hints, [value[:-2] for value in values], number=True)
        return _of_places(name, hints, values)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _joined(name, [h for h in hints if h == "pii.birth_date"], _days(_distinct(name, tables)), dates=True)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return _joined(name, hints, _texts(_distinct(name, tables)), number=pa.types.is_integer(kind))
    if pa.types.is_boolean(kind):
        return _joined(name, [h for h in hints if h.startswith("special")], _texts(_distinct(name, tables)), flag=True)
    return []


def _of_nested(name: str, kind: Any, tables: Sequence[pa.Table]) -> list[Finding]:
    """Of lists, structs and maps what is in them, by the names of their fields too: a class holds for the whole column."""
    column = pa.chunked_array([chunk for table in tables for chunk in table[name].chunks], kind)
    if pa.types.is_struct(kind):
        parts = [(kind.field(i).name, pc.struct_field(column, [i])) for i in range(kind.num_fields)]
    elif pa.types.is_map(kind):
        parts = [
            (name, pa.chunked_array([chunk.keys for chunk in column.chunks], kind.key_type)),
            (name, pa.chunked_array([chunk.items for chunk in column.chunks], kind.item_type)),
        ]
    elif pa.types.is_union(kind):
        return []
    else:
        parts = [(name, pc.list_flatten(column))]
    found: dict[str, Finding] = {}
    for inner, values in parts:
        for each in _of_column(inner, [pa.table({inner: values})]):
            family = each.tag.partition(".")[0]
            if family not in found or each.confidence > found[family].confidence:
                found[family] = replace(each, column=name)
    return list(found.values())


def _distinct(name: str, tables: Sequence[pa.Table]) -> Any:
    """Some of a column's distinct values."""
    columns = [table[name] for table in tables]
    column = pa.chunked_array([chunk for each in columns for chunk in each.chunks], columns[0].type)
    if column.null_count:
        column = column.drop_null()
    if len(column) > ROWS:
        step = len(column) / ROWS
        column = column.take(places(0, ROWS, 1, step))
    found = pc.unique(column)
    if len(found) > SAMPLE:
        step = len(found) / SAMPLE
        found = found.take(places(0, SAMPLE, 1, step))
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def places(first: int, end: int, step: int, times: float = 1.0) -> Any:
    """Whole numbers from one up to another, in steps, `times` a factor: as an array of Arrow, and no object for each."""
    found = (np.arange(first, end, step) * times).astype(np.int64)
    return pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)])


def _texts(values: Any) -> list[str]:
    return [text for value in values.to_pylist() if (text := str(value)[:LONGEST].strip())]


def _days(values: Any) -> list[str]:
    """Days as text; those that no calendar has are nobody's."""
    numbers = pc.unique(values.cast(pa.date32(), safe=False)).cast(pa.int32()).to_pylist()
    first, last = (each.toordinal() - EPOCH for each in (date.min, date.max))
    return [str(date.fromordinal(number + EPOCH)) for number in numbers if first <= number <= last]


def _of_places(name: str, hints: Sequence[str], values: Sequence[str]) -> list[Finding]:
    """Of fractions: coordinates, where the column is called so and they are fine enough to be somebody's."""
    if "pii.location" not in hints or len(values) < FEW:
        return []
    share = share_of(values, lambda v: abs(float(v)) <= 180 and len(v.partition(".")[2]) >= 3)
    return [_finding(name, "pii.location", "name hint + coordinates", share, values, 0.8)] if share >= 0.8 else []


def _joined(
    name: str, hints: Sequence[str], values: Sequence[str], *, number: bool = False, dates: bool = False, flag: bool = False
) -> list[Finding]:
    """What name and values say together: the likeliest of each family."""
    matches = {} if flag else _best(detect(values, numbers=number))
    if dates:
        matches = {family: match for family, match in matches.items() if match.tag == "pii.birth_date"}
    found = []
    for hint in hints:
        family = hint.partition(".")[0]
        match = matches.get(family)
        if match is not None and match.tag == hint:
            both = 1 - (1 - match.confidence) * (1 - _NAME_ALONE)
            matches[family] = match._replace(detector=f"name hint + {match.detector}", confidence=both)
        elif match is None and values and _bears_out(hint, values, number=number, dates=dates, flag=flag):
            matches[family] = Match(hint, "name hint", 0.0, _NAME_ALONE)
    for match in matches.values():
        if match.confidence >= LEAST:
            found.append(_finding(name, match.tag, match.detector, match.share, values, match.confidence))
    return found


def _bears_out(hint: str, values: Sequence[str], *, number: bool, dates: bool, flag: bool) -> bool:
    """Whether values may be what a column's name says, although no detector knows them."""
    if flag or dates or hint == "proxy":
        return True
    if hint == "pii.birth_date" or hint == "pii.location":
        return False  # text or numbers that are none
    if number and hint not in _OF_NUMBERS:
        return False
    test = _PLAIN_NAME.get(hint)
    return test is None or share_of(values, test) >= 0.6


def _best(matches: Sequence[Match]) -> dict[str, Match]:
    best: dict[str, Match] = {}
    for match in matches:
        family = match.tag.partition(".")[0]
        if family not in best or match.confidence > best[family].confidence:
            best[family] = match
    return best


def _finding(column: str, tag: str, detector: str, share: float, values: Sequence[str], confidence: float) -> Finding:
    return Finding(
        column=column,
        tag=tag,
        detector=detector,
        share=round(share, 4),
        sample=len(values),
        confidence=round(confidence, 3),
    )
