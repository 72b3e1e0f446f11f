"""Logged models: what a flavour's `log_model` writes first and last, and where `models:/m-…` leads."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from modelwright.core.errors import NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import (
    Artifacts,
    Lifecycle,
    LoggedModel,
    LoggedModels,
    LoggedStatus,
    Measurement,
    OnDataset,
    Sort,
)
from modelwright.server.mlflow.artifacts import checked_path, run_ref, shown
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.messages import Message, figure, lacking, milliseconds
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.transfer import Transfer

T = TypeVar("T")
PAGE, MAX_PAGE = 50, 10_000
ROOT = "/2.0/mlflow/logged-models"
STATUS = {
    LoggedStatus.PENDING: "LOGGED_MODEL_PENDING",
    LoggedStatus.READY: "LOGGED_MODEL_READY",
    LoggedStatus.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}
_STATUSES: dict[str, LoggedStatus] = {
    **{name: status for status, name in STATUS.items()},
    **{str(number): status for number, status in enumerate(STATUS, 1)},  # as protobuf numbers them
}


class Pair(Message):
    """A parameter or a tag."""

    key: str = ""
    value: str = ""


class Create(Message):
    """A model to begin."""

    needs: ClassVar[Sequence[str]] = ("experiment_id",)
    experiment_id: str = ""
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[Pair] = msgspec.field(default_factory=list)
    tags: list[Pair] = msgspec.field(default_factory=list)


class One(Message):
    """A model by its id."""

    needs: ClassVar[Sequence[str]] = ("model_id",)
    model_id: str = ""
    allow_deleted: str = ""
    status: str | int = ""
    params: list[Pair] = msgspec.field(default_factory=list)
    tags: list[Pair] = msgspec.field(default_factory=list)
    tag_key: str = ""
    artifact_directory_path: str = ""
    artifact_file_path: str = ""


class OfDataset(Message):
    """A dataset that figures were taken on."""

    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(Message):
    """A key to order by."""

    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class Search(Message):
    """A search."""

    needs: ClassVar[Sequence[str]] = ("experiment_ids",)
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    filter: str = ""
    datasets: list[OfDataset] = msgspec.field(default_factory=list)
    max_results: int = 0
    order_by: list[OrderBy] = msgspec.field(default_factory=list)
    page_token: str = ""


class Models:
    """What answers below `logged-models`."""

    def __init__(self, models: LoggedModels, artifacts: Artifacts, transfer: Transfer) -> None:
        self._models = models
        self._artifacts = artifacts
        self._transfer = transfer

    async def create(self, call: Call) -> Any:
        """Begin a model."""
        wanted = await call.message(Create)
        experiment = _number(wanted.experiment_id)
        if wanted.name == "":
            wanted = msgspec.structs.replace(wanted, name=None)

        def work() -> LoggedModel:
            return self._models.create(
                experiment,
                name=wanted.name or "",
                model_type=wanted.model_type or "",
                run=run_ref(wanted.source_run_id) if wanted.source_run_id else None,
                params=_pairs(wanted.params),
                tags=_pairs(wanted.tags),
            )

        try:
            return _answer(await call.run(work))
        except NotFound:
            about = f"run {wanted.source_run_id[:64]!r} in it" if wanted.source_run_id else "such experiment"
            raise missing(f"No Experiment with id={experiment} exists, or no {about}.") from None

    async def finalise(self, call: Call) -> Any:
        """Say how the upload ended."""
        wanted, ref = await self._one(call)
        status = _STATUSES.get(str(wanted.status))
        if status is None or status is LoggedStatus.PENDING:
            if wanted.status in ("", 0, "0"):
                raise lacking("status")
            raise invalid(f"Invalid value {str(wanted.status)[:80]!r} for parameter 'status' supplied.")
        return _answer(await call.run(_told(ref, lambda: self._models.finalise(ref, status=status))))

    async def get(self, call: Call) -> Any:
        """One model; a deleted one only for who asks for it."""
        wanted, ref = await self._one(call)
        found = await call.run(_told(ref, lambda: self._models.show(ref)))
        if found.lifecycle is Lifecycle.DELETED and wanted.allow_deleted.lower() != "true":
            raise _unknown(ref.name)
        return _answer(found)

    async def tag(self, call: Call) -> Any:
        """Set tags."""
        wanted, ref = await self._one(call)
        tags: dict[str, str | None] = dict(_pairs(wanted.tags))
        return _answer(await call.run(_told(ref, lambda: self._models.tag(ref, tags))))

    async def drop_tag(self, call: Call) -> Any:
        """Take a tag away."""
        wanted, ref = await self._one(call)

        def work() -> None:
            if wanted.tag_key not in _told(ref, lambda: self._models.show(ref))().tags:
                raise missing(f"No tag with key {wanted.tag_key[:250]!r} found for model with ID {ref.name!r}.")
            self._models.tag(ref, {wanted.tag_key: None})

        await call.run(_told(ref, work))
        return {}

    async def log_params(self, call: Call) -> Any:
        """Add parameters."""
        wanted, ref = await self._one(call)
        await call.run(_told(ref, lambda: self._models.log(ref, params=_pairs(wanted.params))))
        return {}

    async def delete(self, call: Call) -> Any:
        """Put a model out of sight."""
        _, ref = await self._one(call)
        await call.run(_told(ref, lambda: self._models.discard(ref)))
        return {}

    async def search(self, call: Call) -> Any:
        """Find models. The token of a page belongs to its search: with another it is refused."""
        wanted = await call.message(Search)
        if not wanted.experiment_ids:
            raise lacking("experiment_ids")
        experiments = [_number(each) for each in wanted.experiment_ids]
        if any(not each.dataset_name for each in wanted.datasets):
            raise invalid("`dataset_name` in the `datasets` clause must be specified.")
        limit = wanted.max_results or PAGE
        if not 1 <= limit <= MAX_PAGE:
            raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied: it must be 1 to {MAX_PAGE}.")
        same = digest_value(msgspec.to_builtins((wanted.experiment_ids, wanted.filter, wanted.datasets, wanted.order_by)))
        skip = _skip(wanted.page_token, same)

        def work() -> Sequence[LoggedModel]:
            return self._models.search(
                experiments,
                where=wanted.filter,
                datasets=[OnDataset(name=each.dataset_name, digest=each.dataset_digest) for each in wanted.datasets],
                order=[_sort(each) for each in wanted.order_by],
                limit=limit + 1,
                skip=skip,
            )

        found = await call.run(work)
        told: dict[str, Any] = {"models": [model_json(each) for each in found[:limit]]} if found else {}
        return told | ({"next_page_token": _token(skip + limit, same)} if len(found) > limit else {})

    async def directory(self, call: Call) -> Any:
        """List a folder of a model; paths are relative to the model."""
        wanted, ref = await self._one(call)
        folder = checked_path(wanted.artifact_directory_path)
        work = _told(ref, lambda: (self._artifacts.root(ref), self._artifacts.list(ref, folder=folder)))
        root, found = await call.run(work)
        return {"root_uri": root, **({"files": list(shown(found))} if found else {})}

    async def file(self, call: Call) -> Any:
        """A file of a model."""
        wanted, ref = await self._one(call)
        name = checked_path(wanted.artifact_file_path)
        if not name:
            raise lacking("artifact_file_path")
        try:
            found = await call.run(lambda: self._artifacts.find(ref, name))
        except NotFound:
            raise missing(f"No such artifact: {name!r} of the model {ref.name!r}.") from None
        return self._transfer.content(call.request, found.digest, found.size, name=name, media_type=found.media_type)

    async def _one(self, call: Call) -> tuple[One, Ref]:
        wanted = await call.message(One)
        return wanted, model_ref(wanted.model_id)


def endpoints(models: LoggedModels, artifacts: Artifacts, transfer: Transfer) -> list[Endpoint]:
    """Every endpoint of logged models."""
    answers, one = Models(models, artifacts, transfer), ROOT + "/{model_id}"
    return [
        Endpoint("POST", ROOT, answers.create, needs="write"),
        Endpoint("POST", ROOT + "/search", answers.search, needs="read"),
        Endpoint("PATCH", one, answers.finalise, needs="write"),
        Endpoint("GET", one, answers.get, needs="read"),
        Endpoint("DELETE", one, answers.delete, needs="write"),
        Endpoint("PATCH", one + "/tags", answers.tag, needs="write"),
        Endpoint("DELETE", one + "/tags/{tag_key*}", answers.drop_tag, needs="write"),
        Endpoint("POST", one + "/params", answers.log_params, needs="write"),
        Endpoint("GET", one + "/artifacts/directories", answers.directory, needs="read"),
        Endpoint("GET", one + "/artifacts/files", answers.file, needs="read"),
    ]


def model_ref(identity: str) -> Ref:
    """The ref of a logged model by its id."""
    if not (identity.startswith("m-") and len(identity) == 34 and set(identity[2:]) <= set("0123456789abcdef")):
        raise _unknown(identity)
    return Ref(Kind.LOGGED_MODEL, identity)


def _unknown(identity: str) -> MlflowError:
    return missing(f"Logged model with ID '{identity[:100]}' not found.")


def _told(ref: Ref, work: Callable[[], T]) -> Callable[[], T]:
    """The work; a model that is not there, or not theirs to see, is told in MLflow's words."""

    def told() -> T:
        try:
            return work()
        except NotFound:
            raise _unknown(ref.name) from None

    return told


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise invalid(f"Invalid experiment ID: {text[:64]!r}. It must be an integer.")
    return int(text)


def _sort(given: OrderBy) -> Sort:
    if not given.field_name:
        raise lacking("field_name")
    return Sort(
        field=given.field_name,
        ascending=given.ascending,
        dataset=given.dataset_name,
        dataset_digest=given.dataset_digest,
    )


def _token(skip: int, same: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([skip, same])).decode()


def _skip(token: str, same: str) -> int:
    """How many models the pages before held."""
    if not token:
        return 0
    try:
        skip, of = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[int, str])
    except (ValueError, msgspec.MsgspecError):
        raise invalid("Invalid page token, could not base64-decode") from None
    if of != same or skip < 0:
        raise invalid("Invalid page token: it belongs to a search with another filter, order or list of experiments.")
    return skip


def _pairs(given: Sequence[Pair]) -> dict[str, str]:
    for each in given:
        if not each.key:
            raise lacking("key")
    return {each.key: each.value for each in given}


def _answer(model: LoggedModel) -> dict[str, Any]:
    return {"model": model_json(model)}


def model_json(model: LoggedModel) -> dict[str, Any]:
    """A logged model as MLflow tells it."""
    info = {
        "experiment_id": str(model.experiment_id),
        "model_id": model.id,
        "name": model.name,
        "artifact_uri": model.artifact_location,
        "creation_timestamp_ms": milliseconds(model.created_at),
        "last_updated_timestamp_ms": milliseconds(model.updated_at),
        "status": STATUS[model.status],
        "model_type": model.model_type,
        "source_run_id": model.run,
    }
    if model.status_message:
        info["status_message"] = model.status_message
    if model.tags:
        info["tags"] = [{"key": key, "value": value} for key, value in model.tags.items()]
    data: dict[str, Any] = {}
    if model.params:
        data["params"] = [{"key": key, "value": value} for key, value in model.params.items()]
    if model.metrics:
        data["metrics"] = [_metric(model.id, each) for each in model.metrics]
    return {"info": info, "data": data}


def _metric(model: str, each: Measurement) -> dict[str, Any]:
    told = {
        "key": each.name,
        "value": figure(float(each.value)),
        "timestamp": milliseconds(each.time),
        "step": each.step,
        "model_id": model,
        "run_id": each.run,
    }
    if each.dataset:
        told |= {"dataset_name": each.dataset, "dataset_digest": each.dataset_digest}
    return told
