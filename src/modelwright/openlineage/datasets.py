"""Versions as datasets: how a thing of ours is described to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets.records import DatasetRecord
from modelwright.experiments import Run
from modelwright.features import Columns, Origin
from modelwright.features.records import ViewRecord
from modelwright.models.records import ModelRecord
from modelwright.openlineage import facets
from modelwright.openlineage.naming import own_name
from modelwright.openlineage.records import Party, PartyKind
from modelwright.openlineage.statements import TableColumn, followed, table_name
from modelwright.pipelines.records import Execution
from modelwright.store import Version


class Known(NamedTuple):
    """What can be looked up while events are told; each answers None for what is not there, or not any more."""

    namespace: str
    version: Callable[[Ref], Version | None]
    party: Callable[[Ref], Party | None]
    run: Callable[[Ref], Run | None]
    execution: Callable[[Ref], Execution | None]
    origins: Callable[[Ref], Columns | None]


def named(known: Known, ref: Ref) -> dict[str, Any] | None:
    """A thing as a dataset, by name and version alone; None for what is none."""
    if ref.kind is Kind.EXTERNAL:
        party = known.party(ref)
        return {"namespace": party.namespace, "name": party.name} if party and party.kind is PartyKind.DATASET else None
    name = own_name(ref)
    if name is None:
        return None
    said: dict[str, Any] = {"namespace": known.namespace, "name": name}
    return said | ({"facets": {"version": facets.version(ref.version)}} if ref.version else {})


def all_named(known: Known, refs: Iterable[Ref]) -> list[dict[str, Any]]:
    """Those of the refs that are datasets."""
    return [said for said in (named(known, ref) for ref in refs) if said is not None]


def described(known: Known, ref: Ref) -> dict[str, Any] | None:
    """A version as a dataset with all that is known of it."""
    said, version = named(known, ref), known.version(ref)
    if said is None or version is None:
        return said
    more = {Kind.DATASET: _table, Kind.FEATURES: _view, Kind.MODEL: _model}.get(ref.kind)
    found = said.setdefault("facets", {})
    if version.description:
        found["documentation"] = facets.documentation(version.description)
    if more is not None:
        found |= more(known, version)
    return said


def written(known: Known, refs: Sequence[Ref]) -> list[dict[str, Any]]:
    """Outputs, described, with how much was written."""
    found = []
    for ref in refs:
        said, version = described(known, ref), known.version(ref)
        if said is None:
            continue
        if version is not None and ref.kind is Kind.DATASET:
            record = convert(version.record, DatasetRecord)
            said["outputFacets"] = {"outputStatistics": facets.statistics(record.rows, record.bytes)}
        found.append(said)
    return found


def _table(known: Known, version: Version) -> dict[str, Any]:
    record = convert(version.record, DatasetRecord)
    said = {"datasetType": facets.dataset_type("TABLE" if record.is_table else "FILE")}
    if record.is_table:
        said["schema"] = facets.schema((column.name, column.type) for column in record.columns)
    if inputs := _asked(record):
        said["columnLineage"] = inputs
    if record.lake is not None:
        return said | {"symlinks": facets.symlink(*_lake_name(record.lake.address))}
    place = record.manifest or (record.parts[0].digest if record.parts else "")
    return said | ({"symlinks": facets.symlink(f"{known.namespace}/objects", place)} if place else {})


def _asked(record: DatasetRecord) -> facets.Facet | None:
    """Of rows that a database answered: the columns of its tables that each column is made of."""
    kept, found = record.statement, followed(record.statement)
    if kept is None or found is None:
        return None

    def told(made: Sequence[TableColumn]) -> list[facets.Facet]:
        return [facets.input_field(*table_name(kept.place, each.table), each.column, _how(each)) for each in made]

    return facets.column_lineage({name: told(found.column(name)) for name in record.names}, told(found.rows()))


def _lake_name(address: str) -> tuple[str, str]:
    """Namespace and name of a table that lies elsewhere, as OpenLineage names what lies in a bucket or a folder."""
    if address.startswith("s3://"):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return f"s3://{bucket}", key or "/"
    return "file", address


def _view(known: Known, version: Version) -> dict[str, Any]:
    record = convert(version.record, ViewRecord)
    listed = [*record.keys, *record.columns]
    said = {
        "datasetType": facets.dataset_type("VIEW", "FEATURES"),
        "schema": facets.schema((column.name, str(column.dtype.value)) for column in listed),
    }
    if record.view.owner:
        said["ownership"] = facets.ownership(record.view.owner)
    found, source = known.origins(version.ref), own_name(record.source)
    if found is not None and source is not None:
        inputs = {
            name: [facets.input_field(known.namespace, source, each.column, _how(each)) for each in made]
            for name, made in found.features.items()
        }
        rows = [facets.input_field(known.namespace, source, each.column, _how(each)) for each in found.rows]
        said["columnLineage"] = facets.column_lineage(inputs, rows)
    return said


def _how(origin: Origin | TableColumn) -> tuple[str, str]:
    return "DIRECT" if origin.use.direct else "INDIRECT", origin.use.value


def _model(known: Known, version: Version) -> dict[str, Any]:
    record = convert(version.record, ModelRecord)
    model = facets.custom(
        "ModelDatasetFacet",
        format=record.format.value,
        framework=record.framework,
        digest=version.digest,
        size=record.size,
        aliases=version.aliases,
    )
    return {"datasetType": facets.dataset_type("MODEL", record.format.value), "modelwright_model": model}
