"""A workspace as a store that can be read: what is exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.hashing import digest_bytes
from modelwright.core.paging import Filter, every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.exchange.files import File, Place
from modelwright.exchange.records import Counts
from modelwright.exchange.remarks import Remarks
from modelwright.exchange.sources.traces import ForeignTrace
from modelwright.experiments import Artifacts, Experiments, LoggedModel, Run
from modelwright.experiments.intake import (
    ForeignExperiment,
    ForeignFigure,
    ForeignLoggedModel,
    ForeignRun,
    Intake,
    Series,
)
from modelwright.models import Model, Models, ModelVersion, Registry, Stage
from modelwright.models.intake import ALIAS_TAG, STAGE_TAG, ForeignModel, ForeignVersion
from modelwright.models.searching import Search

PAGE = 200
STAGES = {Stage.STAGING: "Staging", Stage.PRODUCTION: "Production", Stage.ARCHIVED: "Archived", Stage.RETIRED: "Archived"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class WorkspaceSource:
    """Reads a workspace, here or behind a server. Locations are refs."""

    name = "this workspace"

    def __init__(
        self, *, experiments: Experiments, intake: Intake, artifacts: Artifacts, models: Models, registry: Registry
    ) -> None:
        self._experiments, self._intake, self._artifacts = experiments, intake, artifacts
        self._models, self._registry = models, registry
        self._renamed: dict[str, str] = {}

    def close(self) -> None:
        """Nothing is held."""

    @property
    def notes(self) -> list[str]:
        """What has no place in MLflow, and which models have another name there."""
        stays = "Datasets, features, pipelines, policies, evidence and the ledger have no place in MLflow and stay here."
        traces = "Traces are not written."
        return [stays, traces, *self._other_names().lines()]

    @property
    def remarks(self) -> dict[str, list[str]]:
        """Every model that has another name there."""
        return self._other_names().all()

    def _other_names(self) -> Remarks:
        renamed = Remarks()
        for ref, name in self._renamed.items():
            renamed.add("has another name there, since MLflow takes no slash", f"{ref}: {name}")
        return renamed

    def sizes(self) -> Counts:
        """How much there is, as far as it is known at once."""
        found = Counts()
        for each in every(self._experiments.list_experiments, Filter(state="all")):
            found.experiments += 1
            found.runs += each.runs
        return found

    def experiments(self) -> Iterator[ForeignExperiment]:
        """Every experiment that the caller may read."""
        for each in every(self._experiments.list_experiments, Filter(state="all")):
            yield ForeignExperiment(
                id=str(each.id),
                title=each.title,
                deleted=each.lifecycle == "deleted",
                created=milliseconds(each.created_at),
                updated=milliseconds(each.updated_at),
                tags=each.tags,
            )

    def runs(self) -> Iterator[ForeignRun]:
        """Every run that the caller may read."""
        for run in every(self._experiments.list, Filter(state="all")):
            yield _run(run)

    def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]:
        """All points of some runs."""
        for run in runs:
            for series in self._intake.series(Ref(Kind.RUN, run)):
                yield run, series

    def logged_models(self) -> Iterator[ForeignLoggedModel]:
        """Every logged model that the caller may read."""
        after = ""
        while page := self._intake.every_logged(after=after, limit=PAGE):
            yield from map(_logged, page)
            after = page[-1].id

    def traces(self) -> Iterator[ForeignTrace]:
        """None: see `notes`."""
        return iter(())

    def models(self) -> Iterator[ForeignModel]:
        """Every model that the caller may read. MLflow takes no slash in a name: it becomes a dot."""
        for each, name in self._registered():
            kept = {key: value for key, value in each.tags.items() if not key.startswith(ALIAS_TAG)}
            aliases = {key[len(ALIAS_TAG) :]: int(v) for key, v in each.tags.items() if key.startswith(ALIAS_TAG)}
            yield ForeignModel(
                name=name,
                description=each.description,
                created=milliseconds(each.created_at),
                updated=milliseconds(each.changed_at),
                tags=kept,
                aliases=aliases | each.aliases,
            )

    def versions(self) -> Iterator[ForeignVersion]:
        """Every version of these."""
        for model, name in self._registered():
            found = list(every(partial(self._models.versions, model.ref)))
            for each in reversed(found):
                yield _version(each, name)

    def _registered(self) -> list[tuple[Model, str]]:
        """Every model with its name there. Where dots for slashes give two the same, a digest tells them apart."""
        models: list[Model] = []
        search = Search(limit=PAGE)
        while True:
            page = self._registry.search(search)
            models += page.items
            if page.next is None:
                break
            search = replace(search, after=page.next)
        dotted = Counter(each.title.replace("/", ".") for each in models)
        named = []
        for each in models:
            name = each.title.replace("/", ".")
            clash = name != each.title and dotted[name] > 1
            named.append((each, f"{name}-{digest_bytes(each.title.encode())[:8]}" if clash else name))
        self._renamed = {str(each.ref): name for each, name in named if name != each.title}
        return named

    def counts(self) -> Counts:
        """How much there is."""
        from modelwright.exchange.sources.folder import counted, counted_logged, found_with_versions

        found = Counts()
        for experiment in self.experiments():
            found += Counts(
                experiments=1, experiments_deleted=int(experiment.deleted), experiment_tags=len(experiment.tags)
            )
        ids = []
        for run in self.runs():
            found += replace(counted(run), points=0)
            ids.append(run.id)
        for start in range(0, len(ids), PAGE):
            found.points += sum(len(series) for _, series in self.series(ids[start : start + PAGE]))
        for logged in self.logged_models():
            found += counted_logged(logged)
        numbers = {(each.name, each.number): len(each.tags) for each in self.versions()}
        for model in self.models():
            found += Counts(registered_models=1, aliases=sum((model.name, n) in numbers for n in model.aliases.values()))
        return found_with_versions(found, numbers)

    def place(self, location: str) -> Place | None:
        """The files of a run, a logged model or a version, by its ref."""
        ref = Ref.parse(location)
        if ref.kind is Kind.MODEL:
            record = self._models.show(ref).record
            return Objects(self._intake.blobs, record.files) if record.files else None
        return Objects(self._intake.blobs, {each.name: each.digest for each in self._artifacts.all(ref)})


class Objects:
    """Files by the digests of what is in them."""

    def __init__(self, blobs: Blobs, digests: dict[str, str]) -> None:
        self._blobs, self._digests = blobs, digests

    def files(self) -> list[File]:
        """See `Place`."""
        return sorted(File(path, self._blobs.size(digest)) for path, digest in self._digests.items())

    def read(self, path: str) -> Iterator[bytes]:
        """See `Place`."""
        return self._blobs.stream(self._digests[path])


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def _run(run: Run) -> ForeignRun:
    ours = {
        "mlflow.source.git.commit": run.capture.commit,
        "modelwright.inputs": " ".join(map(str, run.inputs)),
        "modelwright.outputs": " ".join(map(str, run.outputs)),
    }
    return ForeignRun(
        id=run.id,
        experiment=str(run.experiment_id),
        name=run.name,
        status=run.status,
        started=milliseconds(run.started_at),
        ended=None if run.ended_at is None else milliseconds(run.ended_at),
        user=run.user or run.created_by,
        location=str(run.ref),
        deleted=run.lifecycle == "deleted",
        params={key: value if isinstance(value, str) else encode_text(value) for key, value in run.params.items()},
        tags={key: value for key, value in ours.items() if value} | run.tags,
        datasets=run.datasets,
        models=run.models,
        metrics=len(run.metrics),
        points=sum(each.count for each in run.metrics.values()),
        latest={name: (each.value, each.step, milliseconds(each.time)) for name, each in run.metrics.items()},
    )


def _logged(model: LoggedModel) -> ForeignLoggedModel:
    return ForeignLoggedModel(
        id=model.id,
        experiment=str(model.experiment_id),
        name=model.name,
        status=model.status.value,
        status_message=model.status_message,
        model_type=model.model_type,
        run=model.run,
        location=str(model.ref),
        deleted=model.lifecycle == "deleted",
        created=milliseconds(model.created_at),
        updated=milliseconds(model.updated_at),
        params=model.params,
        tags=model.tags,
        figures=[
            ForeignFigure(
                metric=each.name,
                value=each.value,
                time=milliseconds(each.time),
                step=each.step,
                run=each.run,
                dataset=each.dataset,
                dataset_digest=each.dataset_digest,
            )
            for each in model.metrics
        ],
    )


def _version(version: ModelVersion, name: str) -> ForeignVersion:
    tags = dict(version.tags)
    stage = tags.pop(STAGE_TAG, "None")
    record = version.record
    assert version.ref.version is not None
    return ForeignVersion(
        name=name,
        number=version.ref.version,
        source=record.source,
        location=str(version.ref) if record.files else "",
        run=record.run.name if record.run else "",
        run_link=record.link,
        logged_as=record.logged_as,
        stage=STAGES.get(version.stage, stage),
        description=version.description,
        user=version.created_by,
        created=milliseconds(version.created_at),
        updated=milliseconds(version.changed_at),
        tags=tags,
    )
