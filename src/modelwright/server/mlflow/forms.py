"""How experiments and runs look to MLflow's client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec

from modelwright.experiments import DatasetRead, Experiment, Lifecycle, ModelRole, RunStatus
from modelwright.experiments.places import location
from modelwright.experiments.search.details import Detail
from modelwright.experiments.tables import to_micros
from modelwright.server.mlflow.messages import Message, figure

STATUSES = {status.value.upper(): status for status in RunStatus}
_NUMBERS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}  # as protobuf numbers them


class Pair(Message):
    """A parameter or a tag."""

    key: str = ""
    value: str = ""


class Entry(msgspec.Struct, gc=False):
    """A parameter or a tag of an answer: by the thousand a struct costs a fraction of a dict."""

    key: str
    value: str


class Figure(msgspec.Struct, gc=False):
    """A metric of an answer."""

    key: str
    value: float | str
    timestamp: int
    step: int


def status_of(text: str | int) -> RunStatus | None:
    """The status that a name or a number stands for; an unknown one is as if none were given."""
    return STATUSES.get(_NUMBERS.get(str(text), str(text)))


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags or parameters."""
    return [{"key": key, "value": value} for key, value in values.items()]


def experiment_form(found: Experiment) -> dict[str, Any]:
    """An experiment."""
    form: dict[str, Any] = {
        "experiment_id": str(found.id),
        "name": found.title,
        "artifact_location": location(found.id, found.artifact_location),
        "lifecycle_stage": "active" if found.lifecycle is Lifecycle.ACTIVE else "deleted",
        "last_update_time": to_micros(found.updated_at) // 1000,
        "creation_time": to_micros(found.created_at) // 1000,
    }
    if found.tags:
        form["tags"] = pairs(found.tags)
    return form


def run_info(
    identity: str,
    *,
    name: str,
    experiment: int,
    location: str,
    user: str,
    status: str,
    started: int,
    ended: int | None,
    deleted: bool,
) -> dict[str, Any]:
    """What stands at the head of a run. Times are microseconds since 1970, as they are stored."""
    info: dict[str, Any] = {"run_uuid": identity, "experiment_id": str(experiment)}
    if name:
        info["run_name"] = name
    if user:
        info["user_id"] = user
    info |= {"status": status.upper(), "start_time": started // 1000}
    if ended is not None:
        info["end_time"] = ended // 1000
    info["artifact_uri"] = f"{location}/{identity}/artifacts"
    info["lifecycle_stage"] = "deleted" if deleted else "active"
    info["run_id"] = identity
    return info


def run_tags(name: str, tags: Iterable[tuple[str, str]]) -> list[Entry]:
    """The tags of a run, its name among them."""
    found = [Entry(key, value) for key, value in tags]
    if name:
        found.append(Entry("mlflow.runName", name))
    return found


def run_form(found: Detail, location: str) -> dict[str, Any]:
    """A run with all that was logged; what is empty is left out, but for `data` and `inputs`."""
    head = found.head
    info = run_info(
        head.id,
        name=head.name,
        experiment=head.experiment,
        location=location,
        user=head.user_id,
        status=head.status,
        started=head.started,
        ended=head.ended,
        deleted=head.deleted is not None,
    )
    data: dict[str, Any] = {}
    if found.metrics:
        data["metrics"] = [
            Figure(key, "NaN" if value is None else value if isfinite(value) else figure(value), time // 1000, step)
            for key, value, step, time in found.metrics
        ]
    if found.params:
        data["params"] = [Entry(key, value) for key, value in found.params]
    tags = run_tags(head.name, found.tags)
    if tags:
        data["tags"] = tags
    inputs: dict[str, Any] = {}
    if found.datasets:
        inputs["dataset_inputs"] = [dataset_form(each) for each in found.datasets]
    taken = [{"model_id": each.model} for each in found.models if each.role is ModelRole.INPUT]
    if taken:
        inputs["model_inputs"] = taken
    form = {"info": info, "data": data, "inputs": inputs}
    made = [{"model_id": each.model, "step": each.step} for each in found.models if each.role is ModelRole.OUTPUT]
    if made:
        form["outputs"] = {"model_outputs": made}
    return form


def dataset_form(read: DatasetRead) -> dict[str, Any]:
    """A dataset that a run read, with the tags of the reading."""
    dataset = {"name": read.name, "digest": read.digest, "source_type": read.source_type, "source": read.source}
    dataset |= {key: value for key, value in (("schema", read.schema), ("profile", read.profile)) if value}
    form: dict[str, Any] = {"dataset": dataset}
    if read.tags:
        form["tags"] = pairs(read.tags)
    return form
