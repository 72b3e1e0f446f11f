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
    changed_at: datetime  # when its tags, aliases, state or description last changed


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What versions are versions of: it may have none yet, and keeps counting when they are deleted."""

    ref: Ref  # without a selector
    versions: int  # how many were ever made; the next has the number after it
    created_at: datetime
    created_by: str
    changed_at: datetime
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """An alias began to point at a version (or, with version None, was taken away) at a moment."""

    ref: Ref  # the thing, without a selector
    alias: str
    version: int | None
    at: datetime
    actor: str
    reason: str = ""
    seq: int | None = None  # the ledger event that says so


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold: what it stands on is not deleted, by nobody and no rule, until it is lifted."""

    name: str
    on: str  # the sort of data: datasets, features, pushes, reads, predictions, traces, artifacts, models; `*`: all
    path: str  # of names; empty: all
    version: int | None = None  # of what has versions: this one alone
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str = ""
    lifted_at: datetime | None = None
    lifted_because: str = ""

    @property
    def scope(self) -> str:
        """What it stands on, as it is written: `datasets:crm/people@3`."""
        name = f"{self.path or '*'}" + ("" if self.version is None else f"@{self.version}")
        return "*" if self.on == "*" else f"{self.on}:{name}"


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


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. Every field narrows."""

    since: datetime | None = None  # from that moment on
    until: datetime | None = None  # before that moment
    actor: str | None = None  # the id of a principal
    action: str | None = None  # `models.version.registered`, or the beginning `models`
    limit: int = 50  # 1 to 1000
    after: str | None = None  # the `next` of the page before


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: the root of the first `size` events, signed."""

    size: int
    root: str  # hexadecimal
    note: str  # the signed note, as others verify it
    at: datetime


class LedgerHead(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger stands."""

    log_id: str
    origin: str  # the first line of its checkpoints
    size: int
    root: str  # hexadecimal
    keys: list[str]  # the verifier keys that it announced, oldest first
    sealed: Sealed | None  # the newest checkpoint


class InclusionProof(msgspec.Struct, frozen=True, kw_only=True):
    """What proves that one event is in the log: hash `event` as leaf `seq`, follow `path`, and arrive at `root`."""

    seq: int
    event: str  # its canonical bytes, as text
    size: int
    root: str
    path: list[str]  # hexadecimal, nearest sibling first
    checkpoint: str  # the signed note of that root; empty where the event is not sealed yet


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """What proves that the log of `second` events begins with the log of `first`."""

    first: int
    second: int
    first_root: str
    second_root: str
    path: list[str]


class ExportPage(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the ledger in its own bytes."""

    events: list[str]  # canonical, from the sequence number asked for
    leaves: list[str]  # their recorded leaf hashes, hexadecimal
    details: dict[str, str] = {}  # what was too large for an event, by SHA-256
    next: int | None = None  # where the following page begins


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A step of lineage: the event `action` made `target` from `source`."""

    source: Ref
    target: Ref
    action: str
    seq: int
    at: datetime


class Direction(StrEnum):
    """Which way to follow lineage: up to what a thing came from, down to what came from it."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a thing came from and what came from it, as events tell it."""

    of: Ref
    nodes: list[Ref]  # `of` first, then by distance
    edges: list[Edge]
    complete: bool  # False: cut off at the depth or the number of nodes asked for


def time_key(moment: datetime) -> str:
    """A moment as text that sorts in order of time."""
    return isoformat(moment)
