"""What changed between two versions, and whether a caller would notice. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright.core.signature import Column, Signature
from modelwright.core.wire import to_plain
from modelwright.models.records import Change, ModelDiff, ModelVersion


def diff(before: ModelVersion, after: ModelVersion) -> ModelDiff:
    """Every difference in signature, parameters, lineage, format and files, in that order."""
    pairs = zip(_facets(before).items(), _facets(after).values(), strict=True)
    changes = [change for (what, old), new in pairs for change in _changes(what, old, new)]
    return ModelDiff(
        before=before.ref,
        after=after.ref,
        changes=changes,
        compatible=compatible(before.record.signature, after.record.signature),
    )


def compatible(before: Signature, after: Signature) -> bool:
    """Whether every batch for the one fits the other, and every output is still given as it was.

    A new input may only be nullable (it can be left out); an input may become nullable, gain levels, or be dropped only
    if the caller need not change, which extra columns being refused by default rules out.
    """
    had = {column.name: column for column in before.inputs}
    takes = {column.name: column for column in after.inputs}
    gives = {column.name: column for column in after.outputs}
    return (
        had.keys() <= takes.keys()
        and all(column.nullable for name, column in takes.items() if name not in had)
        and all(_accepts(takes[name], column) for name, column in had.items())
        and all(column.name in gives and _accepts(column, gives[column.name]) for column in before.outputs)
    )


def _accepts(taker: Column, given: Column) -> bool:
    """Whether every value of one column is a value of the other."""
    if taker.dtype is not given.dtype or (given.nullable and not taker.nullable):
        return False
    if taker.categories is None:
        return True
    return given.categories is not None and set(given.categories) <= set(taker.categories)


def _facets(version: ModelVersion) -> dict[str, Mapping[str, Any]]:
    record = version.record
    return {
        "inputs": {column.name: to_plain(column) for column in record.signature.inputs},
        "outputs": {column.name: to_plain(column) for column in record.signature.outputs},
        "params": record.params,
        "made from": {str(ref.whole): str(ref) for ref in record.needs},
        "package": {"format": record.format.value, "framework": record.framework, "size": record.size},
        "files": record.files,
    }


def _changes(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = dict.fromkeys([*before, *after])
    return [
        Change(what=f"{what}.{name}", before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]
