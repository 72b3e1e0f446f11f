"""The nouns of the record: versions, alias moves, evidence, events, lineage. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.clock import isoformat
from modelwright.core.refs import Kind, Ref


class State(StrEnum):
    """Where a version stands in its life."""

    ACTIVE = "active"
    RETIRED = "retired"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of anything. `record` is the room's own description of it, as plain values."""

    ref: Ref
    digest: str
    record: dict[str, Any]
    created_at: datetime
    created_by: str
    description: str = ""
    state: State = State.ACTIVE
    successor: Ref | None = None
    tags: dict[str, str] = {}
    aliases: list[str] = []


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """An alias began to point at a version (or, with version None, was taken away) at a moment."""

    ref: Ref  # the thing, without a selector
    alias: str
    version: int | None
    at: datetime
    actor: str
    reason: str = ""
    seq: int | None = None  # the ledger event that says so


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    INFO = "info"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one exact version, from whom, until when."""

    id: str
    kind: str  # data-checks, evaluation, comparison, slices, model-card, approval, waiver, drift, drill, ...
    subject: Ref  # pinned to a version wherever the subject has versions
    subject_digest: str
    verdict: Verdict
    figures: dict[str, Any] = {}
    summary: str = ""
    report: str | None = None  # digest of an object: JSON, HTML or whatever the kind says
    producer: str  # who or what made it: a principal, or a tool acting for one
    inputs: list[Ref] = []  # what it was computed from
    created_at: datetime
    expires_at: datetime | None = None
    seq: int | None = None

    @property
    def ref(self) -> Ref:
        """Its own name."""
        return Ref(Kind.EVIDENCE, self.id)

    def current(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger, as it is read back."""

    seq: int
    ts: datetime
    action: str
    actor: dict[str, Any]
    resource: str  # a ref
    inputs: list[str] = []
    outputs: list[str] = []
    reason: str = ""
    environment: str = ""
    decision: str = ""
    rules: list[str] = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    outcome: str = "ok"
    error: str = ""
    ticket: str = ""
    request_id: str = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A step of lineage: the event `action` made `target` from `source`."""

    source: Ref
    target: Ref
    action: str
    seq: int
    at: datetime


def time_key(moment: datetime) -> str:
    """A moment as text that sorts in order of time."""
    return isoformat(moment)
