"""Which columns hold the key of another dataset: told by profiles and sketches first, so that few have to be looked up.

What a sketch says no to is sure: the hashes of a part are among those of the whole, and no register of its HyperLogLog
exceeds the whole's. What it says yes to is verified row by row before it is suggested. Columns of texts may have any name.
Small whole numbers lie in many a key by accident, so columns of numbers must be named for it (`customer`, `customer_id` for
`id` of `customers`) or hold at least half of the key's values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modelwright.datasets.checks import References
from modelwright.datasets.kinds import is_number
from modelwright.datasets.records import ColumnProfile, DatasetVersion, Profile
from modelwright.datasets.sketches.column import ColumnSketch
from modelwright.datasets.sketches.distinct import Distinct

LEAST: Final = 3  # different values, of which fewer say nothing
COVERED: Final = 0.5  # of a key's values: so many are no accident
_ENDINGS: Final = ("_id", "_key", "_code", "_no", "_nr", "_number")
_FAMILIES: Final = (("int", "uint"), ("string", "large_string"), ("date",), ("timestamp",))


def possible(version: DatasetVersion, profile: Profile, other: DatasetVersion, keyed: Profile) -> Iterator[References]:
    """References from columns of one version to the key of another that their profiles do not rule out."""
    if len(other.key) > 1:
        if all(name in version.names and _alike(version.column(name).type, other.column(name).type) for name in other.key):
            yield References(columns=list(other.key), to=other.ref.whole)
        return
    for name in other.key:
        key = keyed.column(name)
        for column in profile.columns:
            if _alike(column.type, key.type) and _within(column, key) and _likely(column, key, other):
                yield References(
                    columns=[column.name], to=other.ref.whole, to_columns=[name] if name != column.name else []
                )


def may_lie_in(part: ColumnSketch, whole: ColumnSketch) -> bool:
    """Whether all values of one column can be among those of another; False is sure."""
    one, other = part.distinct, whole.distinct
    if one.registers is None and other.registers is None:
        return bool(len(one.few) <= len(other.few)) and set(one.few.tolist()) <= set(other.few.tolist())
    if other.registers is None:
        return False  # more values than the whole has
    if one.registers is None:
        both = Distinct()
        both.registers = other.registers.copy()
        both.add(one.few)
        return bool((both.registers == other.registers).all())
    return bool((one.registers <= other.registers).all())


def _alike(one: str, other: str) -> bool:
    return any(one.startswith(family) and other.startswith(family) for family in _FAMILIES)


def _within(column: ColumnProfile, key: ColumnProfile) -> bool:
    """As far as counts and extremes say."""
    if not column.count or (column.distinct or 0) < LEAST or (key.distinct or 0) < LEAST:
        return False
    low, high = column.minimum, column.maximum
    if None in (low, high, key.minimum, key.maximum):
        return True
    return bool(key.minimum <= low and high <= key.maximum)  # type: ignore[operator]


def _likely(column: ColumnProfile, key: ColumnProfile, other: DatasetVersion) -> bool:
    if not is_number(column.type):
        return True
    thing = other.ref.name.rpartition("/")[2].lower()
    said = column.name.lower()
    stem = next((said.removesuffix(ending) for ending in _ENDINGS if said.endswith(ending)), said)
    named = said == key.name.lower() != "id" or stem in (thing, thing.removesuffix("s"), thing.removesuffix("es"))
    return named or (column.distinct or 0) >= COVERED * (key.distinct or 0)
