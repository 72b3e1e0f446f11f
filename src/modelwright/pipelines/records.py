"""The nouns of pipelines: keys and their components, executions, the journal of their steps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref


class ComponentKind(StrEnum):
    """What a component of a step's key speaks of."""

    CODE = "code"  # the step itself, or a loose statement of its file
    NAME = "name"  # a module-level name that the step uses
    VALUE = "value"  # what such a name holds
    MODULE = "module"  # a project module that it imports
    PACKAGE = "package"  # the version of an installed package
    PYTHON = "python"  # the minor version of Python
    FILE = "file"  # a file that the step was declared to rest on
    PARAMETER = "parameter"  # a plain argument
    INPUT = "input"  # an argument that another step made, or that a ref names
    SEED = "seed"


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that a step's result rests on. `shown` is how to print it, where it is short."""

    kind: ComponentKind
    name: str
    digest: str
    shown: str = ""

    def __str__(self) -> str:
        words = {ComponentKind.CODE: "code of", ComponentKind.NAME: "code of", ComponentKind.MODULE: "code of module"}
        return f"{words.get(self.kind, self.kind.value)} {self.name}"


def key_of(components: Sequence[Component]) -> str:
    """The key of a step in the cache: equal keys, equal results."""
    return digest_value(sorted((each.kind, each.name, each.digest) for each in components))


def changes(before: Sequence[Component], after: Sequence[Component]) -> list[str]:
    """In words, what is different between two keys of a step."""
    old = {(each.kind, each.name): each for each in before}
    new = {(each.kind, each.name): each for each in after}
    said = []
    for key, component in new.items():
        earlier = old.get(key)
        if earlier is None:
            said.append(f"{component} is new")
        elif earlier.digest != component.digest:
            moved = f": {earlier.shown} → {component.shown}" if earlier.shown and component.shown else ""
            said.append(f"{component} changed{moved}")
    said += [f"{component} is gone" for key, component in old.items() if key not in new]
    return said


class ExecutionState(StrEnum):
    RUNNING = "running"  # or killed: a step is held only while its lease lasts
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"  # never finished, and its pipeline has changed since


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"


FINAL = frozenset({ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.ABANDONED})
GIVEN = frozenset({StepState.DONE, StepState.CACHED})
"""The states of a step that has its result."""


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a step in a pipeline's graph. `key` tells several calls of one step apart."""

    key: str
    step: str
    needs: list[str] = []


class PipelineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a pipeline is: the shape of its graph, and its code."""

    steps: list[PlannedStep]
    code: dict[str, str]  # by step: the digest of the code it rests on
    description: str = ""
    parameters: dict[str, Any] = {}  # the defaults, as far as they are plain values
    source: str = ""  # the file and name, relative to the project: pipeline.py:train

    @property
    def digest(self) -> str:
        """The digest of the code and the graph."""
        return digest_value({"steps": self.steps, "code": self.code})


class PipelineVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a pipeline in the catalog."""

    ref: Ref
    digest: str
    spec: PipelineSpec
    created_at: datetime
    created_by: str
    tags: dict[str, str] = {}


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """The exact version that a ref stood for, and the digest of what it is."""

    ref: Ref
    digest: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of one step by one worker."""

    number: int
    fence: int
    holder: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""  # done, failed, lost (its lease ran out); empty while it runs
    error: str = ""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A step in the journal of an execution."""

    key: str
    step: str
    needs: list[str] = []
    state: StepState = StepState.PENDING
    cache_key: str = ""
    components: list[Component] = []
    why: list[str] = []
    outputs: Any = None  # the tree of `artifacts`
    logged: str | None = None  # digest of the object that holds the figures the step logged
    cached_from: Ref | None = None
    holder: str = ""
    until: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""
    attempts: list[Attempt] = []

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pipeline. `run` is the experiment's run that holds its figures."""

    id: str
    pipeline: Ref  # pinned to the version
    state: ExecutionState
    params: dict[str, Any]
    run: Ref
    reason: str
    cause: int | None  # the ledger event that set it off
    created_at: datetime
    created_by: str
    ended_at: datetime | None = None
    inputs: list[Ref] = []
    outputs: list[Ref] = []
    result: Any = None  # the tree of what the pipeline returned
    error: str = ""
    source: str = ""
    steps: list[StepRecord] = []
    resumed: bool = False  # only in the answer of `start`: it was there already, unfinished

    @property
    def ref(self) -> Ref:
        """`execution:<id>`."""
        return Ref(Kind.EXECUTION, self.id)


class ClaimState(StrEnum):
    GRANTED = "granted"  # run it: the fence is yours while the lease lasts
    GIVEN = "given"  # the result is there: done in this execution before, or taken from the cache
    HELD = "held"  # another worker is at it
    SPENT = "spent"  # too many workers have died over it


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a worker that asks for a step."""

    state: ClaimState
    step: StepRecord
    fence: int = 0
    lease: float = 0.0  # seconds
