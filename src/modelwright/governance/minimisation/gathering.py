"""What is known of inputs, features and columns: who takes what, and what it is about. On an open transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from modelwright.core.errors import NotFound
from modelwright.core.paging import Filter, every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets import Datasets, DatasetVersion
from modelwright.evaluation.records import IMPORTANCE
from modelwright.features.records import ViewRecord
from modelwright.governance.minimisation.records import PersonalInput
from modelwright.models import ModelRecord
from modelwright.store import State, Transaction, Version, catalog, evidence, scopes


def newest(tx: Transaction, kind: Kind, under: str) -> Iterator[Version]:
    """The latest version of each thing of a kind that the caller may read and that is in use."""
    found = every(partial(catalog.list_things, tx, kind), Filter(under=under or None))
    return (each for each in found if each.state is State.ACTIVE)


def taken(tx: Transaction, whole: Ref, names: Sequence[str]) -> dict[Ref, set[str]]:
    """By each model version in use that depends on a view or a dataset, which of some names it takes.

    A model that does not say what goes in takes all of them.
    """
    found: dict[Ref, set[str]] = {}
    for ref in catalog.dependants(tx, whole):
        version = catalog.find(tx, ref) if ref.kind is Kind.MODEL else None
        if version is None or version.state is not State.ACTIVE:
            continue
        inputs = (version.record.get("signature") or {}).get("inputs")
        named = set(names) if inputs is None else {each["name"] for each in inputs}
        found[ref] = named & set(names)
    return found


def personal_inputs(tx: Transaction, datasets: Datasets, version: Version) -> list[PersonalInput]:
    """The inputs of a model version that come of columns about people: through views, or as columns of its datasets."""
    record: ModelRecord = convert(version.record, ModelRecord)
    names = [each.name for each in record.signature.inputs]
    behind: dict[str, list[tuple[DatasetVersion, str]]] = {name: [] for name in names}
    for ref in record.features:
        view = catalog.find(tx, ref)
        if view is None:
            continue
        held: ViewRecord = convert(view.record, ViewRecord)
        source = _known(tx, datasets, held.source)
        for name in (each for each in held.view.names if each in behind and source is not None):
            behind[name] += [(source, column) for column in held.origins.get(name, []) if source is not None]
    for ref in record.datasets:
        source = _known(tx, datasets, ref)
        for name in names if source is not None else []:
            if name in source.names and not behind[name]:  # type: ignore[union-attr]
                behind[name].append((source, name))  # type: ignore[arg-type]
    return [found for name in names if (found := _about(tx, datasets, name, behind[name])) is not None]


def _about(
    tx: Transaction, datasets: Datasets, name: str, behind: Sequence[tuple[DatasetVersion, str]]
) -> PersonalInput | None:
    told = {(str(v.ref), c): [e.tag for e in v.classes_of(c) if e.masked] for v, c in behind}
    people = {key: tags for key, tags in told.items() if tags}
    if not people:
        return None
    permitted = all(datasets.permit_of(tx, Ref.parse(ref), column) is not None for ref, column in people)
    return PersonalInput(
        name=name,
        classes=sorted({tag for tags in people.values() for tag in tags}),
        sources=_named(tx, sorted(people)),
        permitted=permitted,
    )


def _named(tx: Transaction, columns: Sequence[tuple[str, str]]) -> list[str]:
    """Columns as they are told: of datasets that the caller may not read, only that there are some."""
    may = scopes.may_read(tx, Kind.DATASET)
    shown = [f"{ref} {column}" for ref, column in columns if may(Ref.parse(ref).name)]
    return shown + (["columns that you may not read"] if len(shown) < len(columns) else [])


def weightless(tx: Transaction, version: Version) -> list[str]:
    """The inputs whose importance, by the newest evidence of that kind, has an interval that includes 0."""
    given = evidence.about(tx, version.ref, IMPORTANCE)
    figures: dict[str, Any] = given[0].figures if given else {}
    return sorted(name for name, each in figures.items() if _includes_zero(each))


def _includes_zero(figures: Any) -> bool:
    low, high = (figures.get(side) for side in ("low", "high")) if isinstance(figures, dict) else (None, None)
    return isinstance(low, int | float) and isinstance(high, int | float) and low <= 0 <= high


def _known(tx: Transaction, datasets: Datasets, ref: Ref) -> DatasetVersion | None:
    try:
        return datasets.known(tx, ref)
    except NotFound:
        return None
