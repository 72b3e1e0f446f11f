"""The nouns of OpenLineage: whom an event speaks of, and what came of receiving one. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.refs import Ref


class PartyKind(StrEnum):
    """What an event can speak of."""

    DATASET = "dataset"
    JOB = "job"
    RUN = "run"


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset, job or run of another system, by the names that its producer gave it."""

    ref: Ref  # external:<kind>/...
    kind: PartyKind
    namespace: str
    name: str  # of a run, its id
    state: str = ""  # of a run: the type of its last event in order of event time
    events: int = 0
    heard_at: datetime | None = None  # the time of its newest event
    facets: dict[str, Any] = {}  # of all its events together; a facet replaces the earlier one of its key

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns that the facet `schema` names, each as it says: `name`, perhaps `type` and `description`."""
        schema = self.facets.get("schema")
        fields = schema.get("fields") if isinstance(schema, dict) else None
        return [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []


class ColumnRef(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a thing."""

    ref: Ref
    column: str


class ColumnEdge(msgspec.Struct, frozen=True, kw_only=True):
    """A column went into another. `use`: IDENTITY, TRANSFORMATION or AGGREGATION of its values, or what it decided."""

    source: ColumnRef
    target: ColumnRef
    use: str


class ColumnLineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a column was made of, and what was made of it."""

    of: ColumnRef
    edges: list[ColumnEdge]
    complete: bool  # False: cut off at the depth asked for


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one event."""

    ref: Ref  # the run, job or dataset that it is about
    repeated: bool = False  # it was there already, byte for byte, and nothing was written


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a batch that was not taken."""

    index: int
    reason: str
    retriable: bool


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch."""

    received: int
    failed: list[Failure] = []
    repeated: int = 0  # that were there already


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How far a receiver has been told of the ledger."""

    url: str
    told: int  # of its events, those that are behind it
    events: int
    failures: int  # attempts in a row that did not get through
    error: str
    due: datetime | None  # when it is tried again


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the ledger in OpenLineage's words."""

    events: list[dict[str, Any]]
    next: int | None = None  # the number of the ledger event to go on with; None at the end
