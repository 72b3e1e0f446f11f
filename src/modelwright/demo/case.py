"""What a story is told about: a project, its raw files as they were at any time, the requests that came, and when.

The story itself (`story.py`) knows none of it, so the same acts are told of loans and of flights.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """How a raw file becomes a dataset."""

    name: str
    key: list[str] | None = None
    time_column: str | None = None
    personal: list[str] = []
    grows: bool = True  # whether it has more rows the later one looks


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to predict, and what turned out to be true of it."""

    id: str
    at: datetime
    unit: str
    entities: dict[str, Any]  # what names the entities of every feature view
    inputs: dict[str, Any]  # the model's inputs that come with the request
    label: bool
    known_at: datetime


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """When things happen, in the story's own time."""

    first_data: datetime  # what the first version of the data holds
    live: datetime  # the first model goes live
    challenger: datetime  # a second one is sent after it, by canary
    bad: datetime  # no bad version before this time
    until: datetime  # everything has happened by then
    step: timedelta = timedelta(days=7)  # how far one turn of the replay goes
    asked_about: datetime  # "what was live on ..."
    window: timedelta = timedelta(days=7)  # of the monitor
    canary: float = 10.0  # percent of the units that a new version is shown to
    stable: timedelta = timedelta(days=28)  # the first so many days of predictions are what drift is measured against


class Case(Protocol):
    """A project and its world. Everything is a function of the time, so a story can be taken up where it broke off."""

    title: str
    name: str  # of the model, the pipeline and the deployment
    project: Path  # the project's files, copied to where the story is told
    sources: Sequence[Source]
    plan: Plan
    views: Sequence[str]  # names of the feature views
    entity_columns: Sequence[str]
    numbers: Sequence[str]  # the model's numeric inputs
    words: Sequence[str]  # and its categorical ones
    threshold: float  # a probability at or above it is a yes
    watched: Sequence[str]  # columns that the monitor looks at; empty: all
    retrain_on: str  # the event that sets the retraining off
    retrain_with: dict[str, Any]  # and the parameters it gets
    floors: dict[str, float]  # of the monitor: by metric, the worst that is accepted
    about: dict[str, str]  # statements of the model card, by field

    def write(self, source: str, until: datetime, path: Path) -> None:
        """Write a raw file as it was at a time."""
        ...

    def write_broken(self, path: Path) -> int:
        """Write a file with one broken row; return the line that it is on."""
        ...

    def requests(self, since: datetime, until: datetime) -> Sequence[Request]:
        """What came in a stretch of time, in order."""
        ...
