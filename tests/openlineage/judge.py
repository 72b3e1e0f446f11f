"""The judge of events that we write: the classes that OpenLineage's own client generates from its schemas.

They refuse a field that the schema does not name, and miss one that it asks for; `_schemaURL` says which of them to ask, so
an address that the standard does not know is found as well.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from datetime import datetime
from typing import Any
from uuid import UUID

import openlineage.client.generated as generated

OURS = "urn:modelwright:openlineage:"
KINDS = {"RunEvent", "JobEvent", "DatasetEvent"}
_LISTED = {
    "fields": "SchemaDatasetFacetFields", "parameters": "ExecutionParameter", "identifiers": "Identifier",
    "owners": "Owner",
}  # fmt: skip


def _classes() -> dict[str, Any]:
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        inside = importlib.import_module(f"{generated.__name__}.{module.name}")
        for value in vars(inside).values():
            if inspect.isclass(value) and value.__module__ == inside.__name__ and hasattr(value, "_get_schema"):
                found[value._get_schema()] = value
    return found


CLASSES = _classes()


def judge(event: dict[str, Any]) -> None:
    """Raise unless this is a whole event of the standard."""
    kind = event["schemaURL"].partition("#/$defs/")[2]
    assert kind in KINDS and event["schemaURL"] in CLASSES
    assert event["producer"] and datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    allowed = {"eventTime", "producer", "schemaURL"}
    if kind == "DatasetEvent":
        _dataset(event["dataset"], {"facets"})
        allowed |= {"dataset"}
    else:
        _facets(event["job"])
        assert set(event["job"]) <= {"namespace", "name", "facets"} and event["job"]["namespace"] and event["job"]["name"]
        for each in event["inputs"]:
            _dataset(each, {"facets", "inputFacets"})
        for each in event["outputs"]:
            _dataset(each, {"facets", "outputFacets"})
        allowed |= {"job", "inputs", "outputs"}
    if kind == "RunEvent":
        UUID(event["run"]["runId"])
        _facets(event["run"])
        assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
        allowed |= {"run", "eventType"}
    assert set(event) == allowed


def _dataset(given: dict[str, Any], more: set[str]) -> None:
    assert set(given) <= {"namespace", "name", *more} and given["namespace"] and given["name"]
    for key in more:
        _facets(given, key)


def _facets(given: dict[str, Any], key: str = "facets") -> None:
    for name, facet in given.get(key, {}).items():
        schema = facet["_schemaURL"]
        if schema.startswith(OURS):
            assert name.startswith("modelwright_")
            continue
        fields = {field: value for field, value in facet.items() if field not in ("_producer", "_schemaURL")}
        CLASSES[schema](**fields)
        for field, parts in fields.items():
            of_one = next((each for each in CLASSES.values() if each.__name__ == _LISTED.get(field)), None)
            if of_one is not None and isinstance(parts, list):
                for part in parts:
                    of_one(**part)
