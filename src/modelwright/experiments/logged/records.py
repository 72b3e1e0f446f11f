"""The nouns of logged models. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from modelwright.core.refs import Kind, Ref
from modelwright.experiments.records import Lifecycle, Number

MAX_NAME = 500  # characters


class LoggedStatus(StrEnum):
    """How far the upload of a logged model has come."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a logged model: by which run it was taken and, if that is known, on which dataset."""

    name: str
    value: Number
    step: int = 0
    time: datetime
    run: str = ""
    dataset: str = ""
    dataset_digest: str = ""


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it was logged: its files lie below its experiment (`artifacts`), and its run is in its lineage.

    Its name tells models of a run apart and need not be unique; the id does, and is what the ref goes by.
    """

    id: str
    experiment: str
    experiment_title: str = ""
    experiment_id: int
    name: str
    model_type: str
    status: LoggedStatus
    status_message: str = ""
    run: str = ""  # the id of the run that made it; empty where none did
    created_at: datetime
    created_by: str
    updated_at: datetime
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    artifact_location: str
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[Measurement] = []

    @property
    def ref(self) -> Ref:
        """`logged-model:<id>`."""
        return Ref(Kind.LOGGED_MODEL, self.id)

    @property
    def latest(self) -> list[Measurement]:
        """Of each metric on each dataset the newest figure: clients tell the same one again and again."""
        newest: dict[tuple[str, str, str], Measurement] = {}
        for each in self.metrics:
            key = each.name, each.dataset, each.dataset_digest
            if key not in newest or (each.time, each.step) >= (newest[key].time, newest[key].step):
                newest[key] = each
        return [*newest.values()]


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """One key to order by: an attribute, or `metrics.<name>`, which a dataset may narrow."""

    field: str
    ascending: bool = True
    dataset: str = ""
    dataset_digest: str = ""


class OnDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that figures were taken on; without a digest, any of that name."""

    name: str
    digest: str = ""
