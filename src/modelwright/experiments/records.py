"""The nouns of tracking: experiments, runs, metric points, curves, captures. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref

Number: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""A figure as it travels: JSON has no words of its own for the three that are not finite."""


def number(value: float) -> Number:
    """A float made fit to travel."""
    value = float(value)
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


class RunStatus(StrEnum):
    """How a run stands. The words are MLflow's, in lower case."""

    RUNNING = "running"
    SCHEDULED = "scheduled"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


DEFAULT = "Default"  # the title of the experiment with the id 0
NAME_TAG = "mlflow.runName"  # always the name of the run: it is no tag of its own
PARENT_TAG = "mlflow.parentRunId"
CONTEXT_TAG = "mlflow.data.context"
SILENCE = timedelta(days=1)  # a run of which nothing was heard for longer is told apart from one that runs
ENDED = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED})


def outcome(error: BaseException | None) -> tuple[RunStatus, str]:
    """How a run ends that an error has left, or none."""
    if error is None:
        return RunStatus.FINISHED, ""
    killed = isinstance(error, KeyboardInterrupt)
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return RunStatus.FINISHED, ""
        killed = True
    return RunStatus.KILLED if killed else RunStatus.FAILED, f"{type(error).__name__}: {error}"


class Lifecycle(StrEnum):
    """Whether a run or an experiment is in use. What was discarded can be restored, and keeps its name until then."""

    ACTIVE = "active"
    DELETED = "deleted"


class View(StrEnum):
    """Which of both a list shows."""

    ACTIVE = "active"
    DELETED = "deleted"
    ALL = "all"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: a metric's value at a step and a time. Make it with `Point.of`, which takes any float."""

    metric: str
    value: Number
    step: int = 0
    time: datetime

    @classmethod
    def of(cls, metric: str, value: float, *, step: int, time: datetime) -> Point:
        """A point from a plain float, NaN and infinities included."""
        return cls(metric=metric, value=number(value), step=step, time=time)

    @property
    def figure(self) -> float:
        """The value as a float."""
        return float(self.value)


class Metric(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a run knows of one metric at a glance: its last point, and its extremes (None if every value is NaN).

    The last point is the one of the highest step, then time, then value, whenever it came. `count` is of the points that
    were sent, one that was sent twice included.
    """

    name: str
    value: Number
    step: int
    time: datetime
    low: Number | None = None
    high: Number | None = None
    count: int = 1

    @property
    def figure(self) -> float:
        """The last value as a float."""
        return float(self.value)


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run: its path within the run, and the object that holds its bytes."""

    name: str
    digest: str
    size: int  # bytes
    media_type: str = "application/octet-stream"


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a run ran on."""

    processor: str
    cores: int
    memory: int  # bytes
    platform: str
    accelerators: list[str] = []


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to repeat a run: the code to the last uncommitted line, the packages, the machine, the seeds."""

    commit: str = ""  # empty outside a Git repository
    branch: str = ""
    folder: str = ""  # where the command ran, below the repository's top
    dirty: bool = False
    diff: str | None = None  # digest of the object that holds the uncommitted changes, as a patch for `git apply`
    left_out: list[str] = []  # untracked files too large for the patch, and what git did not tell
    packages: str | None = None  # digest of the object that lists the installed packages, one name==version a line
    command: list[str] = []  # secrets in it are masked
    seeds: dict[str, int] = {}
    hardware: Hardware | None = None
    python: str = ""
    position: int = 0  # how many runs the same process had started before


class DatasetRead(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as a run describes it: wherever it lies, and whether or not we hold a version of it.

    What is held is among the `inputs` of the run instead, and pinned. `tags` are of this reading: its context
    (`mlflow.data.context`), such as training, is one.
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = {}


class ModelRole(StrEnum):
    """What a logged model is to a run."""

    INPUT = "input"
    OUTPUT = "output"


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that a run took in or made, by its id."""

    model: str
    role: ModelRole
    step: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an experiment."""

    id: str
    experiment: str
    experiment_title: str = ""
    experiment_id: int
    name: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None = None
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    created_by: str
    user: str = ""  # as the caller gave it
    inputs: list[Ref] = []
    outputs: list[Ref] = []
    params: dict[str, Any] = {}
    metrics: dict[str, Metric] = {}
    tags: dict[str, str] = {}
    artifacts: list[Artifact] = []
    datasets: list[DatasetRead] = []
    models: list[ModelUse] = []
    capture: Capture = Capture()
    error: str = ""

    @property
    def ref(self) -> Ref:
        """`run:<id>`."""
        return Ref(Kind.RUN, self.id)

    @property
    def parent(self) -> str | None:
        """The id of the run that this one says it is nested in."""
        return self.tags.get(PARENT_TAG) or None

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()

    @property
    def heard_at(self) -> datetime:
        """When it was last heard of: its newest figure's time, or its beginning. A run that is killed says nothing more."""
        return max([self.started_at, *(metric.time for metric in self.metrics.values())])

    def silent(self, now: datetime) -> timedelta | None:
        """For how long a run that is said to run has not been heard of, where that is longer than runs are silent."""
        quiet = now - self.heard_at
        return quiet if self.ended_at is None and self.status not in ENDED and quiet > SILENCE else None

    @property
    def digest(self) -> str:
        """The digest of all that was logged, bar the points between the first and the last: the ledger holds it."""
        artifacts = sorted((each.name, each.digest) for each in self.artifacts)
        metrics = {name: [metric.value, metric.step] for name, metric in self.metrics.items()}
        return digest_value({"params": self.params, "metrics": metrics, "artifacts": artifacts})

    def _repr_html_(self) -> str:
        from modelwright.experiments.display import run

        return run(self)


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A named series of runs.

    `title` is any text, and unique; `name`, by which its ref goes and on which rights are asked, is the title itself where
    that is a name, and one made from it otherwise.
    """

    id: int
    name: str
    title: str
    description: str
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    artifact_location: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    tags: dict[str, str] = {}
    runs: int
    last_run_at: datetime | None

    @property
    def ref(self) -> Ref:
        """`experiment:<name>`."""
        return Ref(Kind.EXPERIMENT, self.name)


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over the steps of a run, as three columns of equal length, in order of step and time.

    `total` counts the points that were logged. Where fewer are given, `sampled` says so; the lowest and the highest of
    every stretch are always among them, so no spike is lost.
    """

    metric: str
    steps: list[int]
    times: list[datetime]
    values: list[Number]
    total: int
    sampled: bool = False

    def _repr_html_(self) -> str:
        from modelwright.experiments.display import curve

        return curve(self)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter or metric across the runs compared; None where a run has none of that name.

    Of a metric, `values` are the last ones and `best` the best of each run, by `lower_is_better`.
    """

    name: str
    values: list[Any]
    same: bool
    best: list[Any] = []
    lower_is_better: bool = False

    @property
    def differences(self) -> list[float | None]:
        """How far each last value lies from the first run's; None where either is missing or no finite number."""
        return [_difference(value, self.values[0]) for value in self.values]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs side by side, the first of them the baseline that the others are measured against; rows that differ first."""

    runs: list[Run]
    params: list[Compared]
    metrics: list[Compared]

    def _repr_html_(self) -> str:
        from modelwright.experiments.display import comparison

        return comparison(self)


def _difference(value: Any, base: Any) -> float | None:
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in (value, base)):
        return None
    return float(value) - float(base)
