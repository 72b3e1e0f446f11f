"""The OpenAPI 3.1 document, read off the operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from modelwright import __version__
from modelwright.core.errors import ModelwrightError
from modelwright.core.operations import Operation, Room, operations_of
from modelwright.core.refs import Ref

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "mend", "details"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "mend": {"type": "string", "description": "the one command or change that puts it right"},
                "details": {"type": "object"},
            },
        }
    },
}


def openapi(rooms: Mapping[str, Room]) -> dict[str, Any]:
    """Every operation as a path, every record as a schema."""
    found = list(operations_of(rooms))
    wanted: list[Any] = []
    for _, operation in found:
        types, result = operation.types()
        wanted += [*types.values(), result]
    schemas, components = msgspec.json.schema_components(
        wanted, schema_hook=_schema, ref_template="#/components/schemas/{name}"
    )
    remaining = iter(schemas)
    paths: dict[str, Any] = {}
    for _, operation in found:
        types, _ = operation.types()
        parameters = {name: next(remaining) for name in types}
        paths[f"/api/v1/{operation.path}"] = {"post": _path(operation, parameters, next(remaining))}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Modelwright", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _path(operation: Operation[Any, Any, Any, Any], parameters: dict[str, Any], result: Any) -> dict[str, Any]:
    required = [p.name for p in operation.parameters if p.default is p.empty]
    body = {
        "type": "object",
        "properties": parameters,
        "required": required,
        "additionalProperties": False,
    }
    answers: dict[str, Any] = {
        "200": {"description": "The result.", "content": {"application/json": {"schema": result}}},
    }
    for status in sorted({kind.status for kind in _errors(ModelwrightError)}):
        reference = {"$ref": "#/components/schemas/Error"}
        answers[str(status)] = {"description": "An error.", "content": {"application/json": {"schema": reference}}}
    return {
        "operationId": f"{operation.room}.{operation.name}",
        "tags": [operation.room],
        "summary": operation.summary,
        "description": operation.__doc__,
        "x-permission": operation.verb,
        "x-event": operation.event,
        "requestBody": {"required": bool(required), "content": {"application/json": {"schema": body}}},
        "responses": answers,
    }


def _errors(kind: type[ModelwrightError]) -> list[type[ModelwrightError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _errors(child))]


def _schema(kind: type) -> dict[str, Any]:
    if kind is Ref:
        return {"type": "string", "title": "Ref", "examples": ["model:delay@champion"]}
    raise TypeError(f"{kind} has no JSON form")
