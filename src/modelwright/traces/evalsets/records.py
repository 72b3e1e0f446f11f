"""The nouns of evaluation sets. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from modelwright.core.refs import Kind, Ref

MAX_TITLE = 500  # characters
MAX_EXAMPLE = 2**20  # bytes of an example as JSON
MAX_MERGED = 10_000  # examples in one call
SOURCES: Final = ("UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE")


class ExampleGiven(msgspec.Struct, frozen=True, kw_only=True):
    """An example as it is added: of the same inputs there is only one."""

    inputs: dict[str, Any]
    outputs: Any = None
    expectations: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    source: dict[str, Any] | None = None  # `source_type`, one of SOURCES, and `source_data`


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One example: what goes in, what once came out, what should, and where it is from."""

    id: str
    inputs: dict[str, Any]
    outputs: Any = None
    expectations: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    source: dict[str, Any] | None = None
    created: int  # milliseconds since 1970
    updated: int
    created_by: str
    updated_by: str


class ExamplePage(msgspec.Struct, frozen=True, kw_only=True):
    """Examples of a set, in the order in which they were added."""

    items: list[Example]
    next: str | None = None


class EvaluationSet(msgspec.Struct, frozen=True, kw_only=True):
    """A set of examples. Titles may occur twice; the id tells sets apart."""

    id: str
    title: str
    digest: str  # of all examples: the same examples have the same
    fields: dict[str, Any] = {}  # the fields of inputs, outputs and expectations, with their types
    examples: int = 0
    tags: dict[str, str] = {}
    experiments: list[int] = []
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str

    @property
    def ref(self) -> Ref:
        """`evalset:<id>`."""
        return Ref(Kind.EVALSET, self.id)


class EvaluationSetPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search."""

    items: list[EvaluationSet]
    next: str | None = None


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What came of adding examples."""

    added: int
    changed: int


def merged(held: ExampleGiven, new: ExampleGiven) -> ExampleGiven:
    """An example with what another says of the same inputs: outputs replaced, expectations and tags added to."""
    return ExampleGiven(
        inputs=held.inputs,
        outputs=held.outputs if new.outputs is None else new.outputs,
        expectations=_added(held.expectations, new.expectations),
        tags=_added(held.tags, new.tags),
        source=held.source if held.source is not None else new.source,
    )


def fields_of(known: dict[str, Any], examples: list[ExampleGiven]) -> dict[str, Any]:
    """The fields that examples have, in the form of MLflow's schema: what was there first keeps its type."""
    found: dict[str, Any] = {"inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0"} | known
    for example in examples:
        for part in ("inputs", "outputs", "expectations"):
            values = getattr(example, part)
            if isinstance(values, dict) and isinstance(found[part], dict):
                found[part] = {name: type_of(value) for name, value in values.items()} | found[part]
            elif values is not None and not found[part]:
                found[part] = type_of(values)
    return found


def type_of(value: Any) -> str:
    """The type of a value, in the words of MLflow's schema."""
    if value is None:
        return "null"
    words = {bool: "boolean", int: "integer", float: "float", str: "string", list: "array", dict: "object"}
    return words.get(type(value), "unknown")


def _added(held: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    return new if held is None else held if new is None else held | new
