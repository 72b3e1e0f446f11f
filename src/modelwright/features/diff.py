"""How two versions of a view differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelwright.core.refs import Ref
from modelwright.core.signature import Column
from modelwright.core.wire import to_plain
from modelwright.features.records import FieldChange, ViewDiff, ViewRecord


def diff(before: tuple[Ref, ViewRecord], after: tuple[Ref, ViewRecord]) -> ViewDiff:
    """Features that came and went by name, and every field of the definition that changed."""
    (old_ref, old), (new_ref, new) = before, after
    old_parts, new_parts = _features(old), _features(new)
    changes = list(_fields("", _definition(old), _definition(new)))
    changes += _fields("", _types(old.keys), _types(new.keys))
    for name in old_parts.keys() & new_parts.keys():
        changes += _fields(f"{name}.", old_parts[name], new_parts[name])
    changes += _fields("", _functions(old), _functions(new))
    return ViewDiff(
        before=old_ref,
        after=new_ref,
        added=[name for name in new_parts if name not in old_parts],
        removed=[name for name in old_parts if name not in new_parts],
        changes=sorted(changes, key=lambda change: change.field),
    )


def _definition(record: ViewRecord) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(record.view)
    plain.pop("features")
    plain.pop("on_demand")
    plain.pop("functions")
    return plain | {"checked_against": str(record.source)}


def _features(record: ViewRecord) -> dict[str, dict[str, Any]]:
    types = {column.name: column.dtype.value for column in record.columns}
    features = [*record.view.features, *record.view.on_demand]
    return {each.name: {**to_plain(each), "dtype": types[each.name]} for each in features}


def _functions(record: ViewRecord) -> dict[str, Any]:
    return {f"{each.name}()": each.source for each in record.view.functions}


def _types(columns: Sequence[Column]) -> dict[str, Any]:
    return {f"{column.name}.dtype": column.dtype.value for column in columns}


def _fields(prefix: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[FieldChange]:
    for field in before | after:
        if before.get(field) != after.get(field):
            yield FieldChange(field=prefix + field, before=before.get(field), after=after.get(field))
