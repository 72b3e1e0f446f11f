"""The facets that we write, each with the address of the schema that it follows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelwright import __version__

SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
PRODUCER = f"urn:modelwright:{__version__}"
_FACETS = "https://openlineage.io/spec/facets"
_CUSTOM = "urn:modelwright:openlineage"

Facet = dict[str, Any]


def _facet(edition: str, file: str, /, **fields: Any) -> Facet:
    schema = f"{_FACETS}/{edition}/{file}.json#/$defs/{file}"
    return {"_producer": PRODUCER, "_schemaURL": schema, **fields}


def custom(name: str, **fields: Any) -> Facet:
    """A facet of ours: the standard has none for models and figures."""
    return {"_producer": PRODUCER, "_schemaURL": f"{_CUSTOM}:{name}:1-0-0", **fields}


def schema(columns: Iterable[tuple[str, str]]) -> Facet:
    """Columns by name and type, in order."""
    fields = [{"name": name, "type": kind, "ordinal_position": i} for i, (name, kind) in enumerate(columns, 1)]
    return _facet("1-2-0", "SchemaDatasetFacet", fields=fields)


def version(number: int) -> Facet:
    """Which version of a dataset."""
    return _facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=str(number))


def dataset_type(kind: str, sub: str = "") -> Facet:
    """TABLE, VIEW, FILE or MODEL."""
    return _facet("1-0-1", "DatasetTypeDatasetFacet", datasetType=kind, **({"subType": sub} if sub else {}))


def documentation(text: str) -> Facet:
    """What a dataset is, in words."""
    return _facet("1-1-0", "DocumentationDatasetFacet", description=text)


def ownership(owner: str) -> Facet:
    """Who answers for a dataset."""
    return _facet("1-0-1", "OwnershipDatasetFacet", owners=[{"name": owner, "type": "OWNER"}])


def lifecycle(change: str) -> Facet:
    """CREATE, or DROP for what is retired or deleted."""
    return _facet("1-0-1", "LifecycleStateChangeDatasetFacet", lifecycleStateChange=change)


def symlink(namespace: str, name: str) -> Facet:
    """Another name of a dataset: where its bytes lie."""
    found = [{"namespace": namespace, "name": name, "type": "OBJECT"}]
    return _facet("1-0-1", "SymlinksDatasetFacet", identifiers=found)


def statistics(rows: int, size: int) -> Facet:
    """Of an output: how many rows and bytes were written."""
    return _facet("1-0-2", "OutputStatisticsOutputDatasetFacet", rowCount=rows, size=size)


def column_lineage(fields: Mapping[str, Sequence[Facet]], whole: Sequence[Facet] = ()) -> Facet:
    """From each column to those it was made of; `whole` are columns that decide which rows there are."""
    listed = {name: {"inputFields": list(inputs)} for name, inputs in fields.items()}
    return _facet("1-2-0", "ColumnLineageDatasetFacet", fields=listed, **({"dataset": list(whole)} if whole else {}))


def input_field(namespace: str, name: str, field: str, *kinds: tuple[str, str]) -> Facet:
    """One column that another was made of, and how: (DIRECT or INDIRECT, IDENTITY, AGGREGATION, FILTER, ...)."""
    how = [{"type": kind, "subtype": sub} for kind, sub in kinds]
    return {"namespace": namespace, "name": name, "field": field, "transformations": how}


def job_type(processing: str, kind: str) -> Facet:
    """BATCH or SERVICE, and what of ours it is."""
    return _facet("2-0-4", "JobTypeJobFacet", processingType=processing, integration="MODELWRIGHT", jobType=kind)


def sql(query: str) -> Facet:
    """The SQL of a job."""
    return _facet("1-1-0", "SQLJobFacet", query=query, dialect="duckdb")


def parent(run: str, namespace: str, job: str) -> Facet:
    """The run that a run is a part of."""
    return _facet("1-2-0", "ParentRunFacet", run={"runId": run}, job={"namespace": namespace, "name": job})


def error(message: str) -> Facet:
    """Why a run failed."""
    return _facet("1-0-1", "ErrorMessageRunFacet", message=message, programmingLanguage="python")


def parameters(values: Mapping[str, Any]) -> Facet:
    """The parameters of a run; values as text."""
    listed = [{"key": key, "value": str(value)} for key, value in values.items()]
    return _facet("1-0-0", "ExecutionParametersRunFacet", parameters=listed)


def engine() -> Facet:
    """Who carried it out."""
    return _facet("1-1-1", "ProcessingEngineRunFacet", version=__version__, name="modelwright")
