"""MLflow's runs: every call of a training script. The hot ones read their message, ask who may, and submit one write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import msgspec

from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import DatasetRead, Measurement, ModelRole, ModelUse, receiving
from modelwright.experiments.records import NAME_TAG, number
from modelwright.experiments.search import queries as reading
from modelwright.experiments.tables import from_micros
from modelwright.server.mlflow.errors import invalid, missing
from modelwright.server.mlflow.forms import Pair, run_form, run_info, run_tags, status_of
from modelwright.server.mlflow.keys import (
    MAX_BATCH,
    MAX_PARAM,
    MAX_TAG,
    MAX_TOGETHER,
    check_key,
    experiment_number,
    figure_of,
    micros,
    run_id,
    whole,
    wrong,
)
from modelwright.server.mlflow.messages import Message, lacking
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.routing import SIGNED_IN

_AT = "/2.0/mlflow/runs"
_LIMITS = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
MAX_DATASETS = 1000
Figures: TypeAlias = Mapping[str, Sequence[Measurement]]
Model = Annotated[str, msgspec.Meta(max_length=64)]


class One(Message):
    run_id: str = ""
    run_uuid: str = ""


class Create(Message):
    experiment_id: str = ""
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: list[Pair] = msgspec.field(default_factory=list)


class Update(One):
    status: str | int = ""
    end_time: int | None = None
    run_name: str | None = None


class Metric(Message):
    key: str = ""
    value: float | str | None = None
    timestamp: int | None = None
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogMetric(Metric):
    run_id: str = ""
    run_uuid: str = ""


class LogParam(One):
    key: str = ""
    value: str = ""


class LogBatch(One):
    metrics: list[Metric] = msgspec.field(default_factory=list)
    params: list[Pair] = msgspec.field(default_factory=list)
    tags: list[Pair] = msgspec.field(default_factory=list)


class DropTag(One):
    key: str = ""


class Dataset(Message):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(Message):
    dataset: Dataset | None = None
    tags: list[Pair] = msgspec.field(default_factory=list)


class ModelInput(Message):
    model_id: Model = ""
    step: int = 0


class LogInputs(One):
    datasets: list[DatasetInput] = msgspec.field(default_factory=list)
    models: list[ModelInput] = msgspec.field(default_factory=list)


class LogOutputs(One):
    models: list[ModelInput] = msgspec.field(default_factory=list)


class LogModel(One):
    needs: ClassVar[Sequence[str]] = ("model_json",)
    model_json: str = ""


HOT: Final = frozenset({"create", "update", "log-metric", "log-parameter", "log-batch", "set-tag"})  # what training does


class RunEndpoints:
    """What answers below `runs/`, but for the search."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._experiments = tracking.workspace.experiments

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        answers = [
            ("POST", "create", self.create),
            ("GET", "get", self.get),
            ("POST", "update", self.update),
            ("POST", "delete", self.delete),
            ("POST", "restore", self.restore),
            ("POST", "log-metric", self.log_metric),
            ("POST", "log-parameter", self.log_parameter),
            ("POST", "log-batch", self.log_batch),
            ("POST", "set-tag", self.set_tag),
            ("POST", "delete-tag", self.delete_tag),
            ("POST", "log-inputs", self.log_inputs),
            ("POST", "outputs", self.log_outputs),
            ("POST", "log-model", self.log_model),
        ]
        return [
            Endpoint(method, f"{_AT}/{name}", answer, needs=SIGNED_IN, hot=name in HOT) for method, name, answer in answers
        ]

    async def create(self, call: Call) -> Any:
        """A run begins."""
        asked = await call.message(Create)
        number = experiment_number(asked.experiment_id or "0")
        tags = _checked_tags(asked.tags)
        named = tags.get(NAME_TAG, "")
        if asked.run_name and named and named != asked.run_name:
            raise invalid(
                f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                f"(run_name='{asked.run_name}', mlflow.runName='{named}')."
            )
        started = None if asked.start_time is None else micros(asked.start_time, "start_time")
        if len(asked.user_id) > 250:
            raise invalid("'user_id' exceeds the maximum length of 250 characters")
        made = await self._tracking.write_experiment(
            call,
            number,
            lambda tx, asked_on: receiving.start(
                tx, number, asked_on, name=asked.run_name[:MAX_TAG], user=asked.user_id, started=started, tags=tags
            ),
        )
        info = run_info(
            made.id,
            name=made.name,
            experiment=number,
            location=made.location,
            user=asked.user_id,
            status="running",
            started=made.started,
            ended=None,
            deleted=False,
        )
        others = [(key, value) for key, value in tags.items() if key != NAME_TAG]
        return {"run": {"info": info, "data": {"tags": run_tags(made.name, others)}, "inputs": {}}}

    async def get(self, call: Call) -> Any:
        """A run with all that was logged, deleted or not."""
        asked = await call.message(One)
        identity = run_id(asked.run_id, asked.run_uuid)

        found = await self._tracking.read_run(call, identity, lambda tx: reading.one(tx, identity))
        return {"run": run_form(*found)}

    async def update(self, call: Call) -> Any:
        """Change what is given."""
        asked = await call.message(Update)
        identity = run_id(asked.run_id, asked.run_uuid)
        ended = None if asked.end_time is None else micros(asked.end_time, "end_time")
        name = asked.run_name[:MAX_TAG] if asked.run_name else None
        row, location = await self._tracking.write_run(
            call,
            identity,
            lambda tx, asked_on: receiving.update(
                tx, identity, asked_on, status=status_of(asked.status), ended=ended, name=name
            ),
        )
        info = run_info(
            identity,
            name=row.name,
            experiment=row.experiment,
            location=location,
            user=row.user_id,
            status=row.status,
            started=row.started,
            ended=row.ended,
            deleted=False,
        )
        return {"run_info": info}

    async def delete(self, call: Call) -> Any:
        """Put away; again is the same."""
        identity = await self._known(call)
        await call.run(lambda: self._experiments.discard(Ref(Kind.RUN, identity)))

    async def restore(self, call: Call) -> Any:
        """Brought back; again is the same."""
        identity = await self._known(call)
        await call.run(lambda: self._experiments.restore(Ref(Kind.RUN, identity)))

    async def log_metric(self, call: Call) -> Any:
        """One point."""
        asked = await call.message(LogMetric)
        identity = run_id(asked.run_id, asked.run_uuid)
        point = _point(asked)
        measured = _measured(identity, [asked], [point]) if asked.model_id else {}
        await self._tracking.write_run(
            call,
            identity,
            lambda tx, asked_on: receiving.log(tx, identity, asked_on, points=[point], measured=measured),
        )
        return b"{}"

    async def log_parameter(self, call: Call) -> Any:
        """One parameter."""
        asked = await call.message(LogParam)
        identity = run_id(asked.run_id, asked.run_uuid)
        params = {check_key(asked.key): asked.value[:MAX_PARAM]}
        await self._tracking.write_run(
            call, identity, lambda tx, asked_on: receiving.log(tx, identity, asked_on, params=params)
        )
        return b"{}"

    async def log_batch(self, call: Call) -> Any:
        """Points, parameters and tags: all of them or none."""
        asked = await call.message(LogBatch)
        identity = run_id(asked.run_id, asked.run_uuid)
        for what, most in MAX_BATCH.items():
            count = len(getattr(asked, what))
            if count > most:
                raise invalid(
                    f"A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up "
                    f"{what} across multiple requests and try again."
                )
        together = len(asked.metrics) + len(asked.params) + len(asked.tags)
        if together > MAX_TOGETHER:
            raise invalid(
                f"A batch logging request can contain at most {MAX_TOGETHER} params, metrics, or tags. Got {together}."
            )
        points = [_point(metric, f"metrics[{at}].") for at, metric in enumerate(asked.metrics)]
        measured = _measured(identity, asked.metrics, points)
        params = _checked_params(asked.params)
        tags = _checked_tags(asked.tags)
        await self._tracking.write_run(
            call,
            identity,
            lambda tx, asked_on: receiving.log(
                tx, identity, asked_on, points=points, params=params, tags=tags, measured=measured
            ),
        )
        return b"{}"

    async def set_tag(self, call: Call) -> Any:
        """One tag."""
        asked = await call.message(LogParam)
        identity = run_id(asked.run_id, asked.run_uuid)
        tags = {check_key(asked.key): asked.value[:MAX_TAG]}
        await self._tracking.write_run(
            call, identity, lambda tx, asked_on: receiving.log(tx, identity, asked_on, tags=tags)
        )
        return b"{}"

    async def delete_tag(self, call: Call) -> Any:
        """Take one tag away; that there is none is an error."""
        asked = await call.message(DropTag)
        identity = run_id(asked.run_id, asked.run_uuid)
        key = check_key(asked.key)
        try:
            await self._tracking.write_run(
                call, identity, lambda tx, asked_on: receiving.drop_tag(tx, identity, asked_on, key)
            )
        except receiving.TagMissing:
            raise missing(f"No tag with name: {key} in run with id {identity}") from None

    async def log_inputs(self, call: Call) -> Any:
        """Which datasets and logged models a run took in."""
        asked = await call.message(LogInputs)
        identity = run_id(asked.run_id, asked.run_uuid)
        if len(asked.datasets) > MAX_DATASETS:
            raise invalid(f"At most {MAX_DATASETS} datasets can be logged at once, not {len(asked.datasets)}.")
        read = [_dataset(each) for each in asked.datasets]
        used = [ModelUse(model=each.model_id, role=ModelRole.INPUT) for each in asked.models if each.model_id]
        await self._tracking.write_run(
            call, identity, lambda tx, asked_on: receiving.note(tx, identity, asked_on, read=read, used=used)
        )

    async def log_outputs(self, call: Call) -> Any:
        """Which logged models a run made."""
        asked = await call.message(LogOutputs)
        identity = run_id(asked.run_id, asked.run_uuid)
        used = [
            ModelUse(model=each.model_id, role=ModelRole.OUTPUT, step=whole(each.step))
            for each in asked.models
            if each.model_id
        ]
        await self._tracking.write_run(
            call, identity, lambda tx, asked_on: receiving.note(tx, identity, asked_on, used=used)
        )

    async def log_model(self, call: Call) -> Any:
        """The note of an old flavour on the model that it has logged: a tag holds them all."""
        asked = await call.message(LogModel)
        identity = run_id(asked.run_id, asked.run_uuid)
        try:
            model = msgspec.json.decode(asked.model_json)
        except (msgspec.MsgspecError, RecursionError):
            raise invalid(f"Malformed model info. \n {asked.model_json[:200]} \n is not JSON.") from None
        lacking = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(model if isinstance(model, dict) else ())
        if lacking:
            raise invalid(f"Model json is missing mandatory fields: {', '.join(sorted(lacking))}")
        await self._tracking.write_run(
            call, identity, lambda tx, asked_on: receiving.note_model(tx, identity, asked_on, model)
        )

    async def _known(self, call: Call) -> str:
        asked = await call.message(One)
        identity = run_id(asked.run_id, asked.run_uuid)
        try:
            await call.run(lambda: self._experiments.show(Ref(Kind.RUN, identity)))
        except NotFound:
            raise missing(f"Run with id={identity} not found") from None
        return identity


def _point(metric: Metric, at: str = "") -> tuple[str, int, int, float]:
    key = check_key(metric.key, f"{at}key" if at else "key")
    value = metric.value
    figure = value if type(value) is float else figure_of(value, f"{at}value")
    return key, whole(metric.step, f"{at}step"), micros(metric.timestamp, f"{at}timestamp"), figure


def _measured(run: str, metrics: Sequence[Metric], points: Sequence[tuple[str, int, int, float]]) -> Figures:
    """Those of the points that name a logged model, by its id."""
    found: dict[str, list[Measurement]] = {}
    for metric, (name, step, time, value) in zip(metrics, points, strict=True):
        if metric.model_id:
            figures = found.setdefault(metric.model_id, [])
            figures.append(
                Measurement(
                    name=name,
                    value=number(value),
                    step=step,
                    time=from_micros(time),
                    run=run,
                    dataset=metric.dataset_name,
                    dataset_digest=metric.dataset_digest,
                )
            )
    return found


def _checked_params(params: Sequence[Pair]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, each in enumerate(params):
        value = each.value[:MAX_PARAM]
        held = found.setdefault(check_key(each.key, f"params[{at}].key"), value)
        if held != value:
            raise invalid(
                f"Duplicate parameter keys have been submitted: ['{each.key}']. Please ensure the keys are unique."
            )
    return found


def _checked_tags(tags: Sequence[Pair]) -> dict[str, str]:
    return {check_key(each.key, f"tags[{at}].key"): each.value[:MAX_TAG] for at, each in enumerate(tags)}


def _dataset(given: DatasetInput) -> DatasetRead:
    dataset = given.dataset
    if dataset is None:
        raise lacking("dataset")
    for field in ("name", "digest", "source_type", "source"):
        if not getattr(dataset, field):
            raise invalid(
                f"Missing value for required parameter '{field}'. See the API docs for more information about it."
            )
    for field, most in _LIMITS.items():
        if len(getattr(dataset, field)) > most:
            raise wrong(getattr(dataset, field)[:100], field, f"'{field}' exceeds the maximum length of {most} characters")
    for tag in given.tags:
        if not tag.key or len(tag.key) > 255:
            raise wrong(tag.key[:255], "key", "The key of a tag has 1 to 255 characters.")
        if len(tag.value) > 500:
            raise wrong(tag.value[:100], "value", "'value' exceeds the maximum length of 500 characters")
    return DatasetRead(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type,
        source=dataset.source,
        schema=dataset.schema,
        profile=dataset.profile,
        tags={tag.key: tag.value for tag in given.tags},
    )
