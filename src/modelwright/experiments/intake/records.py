"""Runs that come from another store, in its own ids; times are milliseconds since 1970, as MLflow counts. Pure."""

from __future__ import annotations

import msgspec

from modelwright.experiments.records import DatasetRead, ModelUse, Number, RunStatus


class Series(msgspec.Struct, frozen=True):
    """The points of one metric, as columns of equal length."""

    metric: str
    steps: list[int]
    times: list[int]
    values: list[Number]

    def __len__(self) -> int:
        return len(self.steps)


class ForeignExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment."""

    id: str
    title: str
    location: str = ""  # where its artifacts lie
    deleted: bool = False
    created: int = 0
    updated: int = 0
    tags: dict[str, str] = {}


class ForeignRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its points."""

    id: str
    experiment: str
    name: str
    status: RunStatus
    started: int
    ended: int | None = None
    user: str = ""
    location: str = ""
    deleted: bool = False
    deleted_at: int | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}  # without `mlflow.runName`, which is the name
    datasets: list[DatasetRead] = []
    models: list[ModelUse] = []
    metrics: int = 0  # how many it has
    points: int | None = None  # of all of them together, where that is known without reading them
    latest: dict[str, tuple[Number, int, int]] = {}  # value, step and time, where they are known instead


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A run on its way into the workspace, with such of its points as go in one call."""

    run: ForeignRun
    experiment: int  # the number that its experiment has here
    series: list[Series] = []  # more may follow by `add_points`


class ForeignFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement of a logged model."""

    metric: str
    value: Number
    time: int
    step: int = 0
    run: str = ""
    dataset: str = ""
    dataset_digest: str = ""


class ForeignLoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model."""

    id: str
    experiment: str
    name: str
    status: str  # pending, ready, failed
    status_message: str = ""
    model_type: str = ""
    run: str = ""
    location: str = ""
    deleted: bool = False
    created: int = 0
    updated: int = 0
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    figures: list[ForeignFigure] = []


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is here of what some runs brought."""

    runs: int = 0
    runs_deleted: int = 0
    params: int = 0
    tags: int = 0
    metrics: int = 0
    points: int = 0
    dataset_inputs: int = 0
    model_links: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0


class LoggedTally(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is here of what some logged models brought."""

    logged_models: int = 0
    logged_params: int = 0
    logged_tags: int = 0
    logged_figures: int = 0
    logged_files: int = 0
