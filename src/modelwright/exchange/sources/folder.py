"""A folder of MLflow's (`mlruns`), as its file store lays it out: folders of experiments, and in them of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelwright.core.errors import Corrupt, Invalid, NotFound
from modelwright.exchange.files import Place, Roots
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.traces import ForeignTrace
from modelwright.experiments.intake import ForeignExperiment, ForeignFigure, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.records import NAME_TAG, DatasetRead, ModelRole, ModelUse, RunStatus, number
from modelwright.models.intake import ForeignModel, ForeignVersion

META = "meta.yaml"
TRASH = ".trash"
MODELS = "models"  # beside the experiments: the registry; within one: its logged models
NOT_RUNS = frozenset({"tags", "datasets", "traces", MODELS})
STATUSES = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}
LOGGED = {1: "pending", 2: "ready", 3: "failed"}
GONE_STAGE = "Deleted_Internal"


class FolderSource:
    """Reads a folder of MLflow's file store."""

    def __init__(self, folder: Path, *, root: str | None = None) -> None:
        self.folder = folder.absolute()
        self.name = f"file://{self.folder}"
        self._roots = Roots(root)
        if not self.folder.is_dir():
            raise NotFound(f"There is no folder {self.folder}.")
        if not any(True for _ in self._experiments()) and not (self.folder / MODELS).is_dir():
            raise Invalid(
                f"{self.folder} holds no experiments of MLflow's.",
                mend="Name the folder mlruns itself, or a database: sqlite:///path/mlflow.db",
            )

    def close(self) -> None:
        """Nothing is held."""

    @property
    def notes(self) -> list[str]:
        """What is in the folder and is not brought."""
        traces = sum(1 for _, folder, _ in self._experiments() for _ in folder.glob("traces/*/trace_info.yaml"))
        return [f"{traces} traces stay where they are: traces are not brought."] if traces else []

    def sizes(self) -> Counts:
        """By the names of folders."""
        found = [folder for _, folder, _ in self._experiments()]
        runs = sum(run.name not in NOT_RUNS for folder in found for run in _folders(folder))
        return Counts(experiments=len(found), runs=runs)

    def experiments(self) -> Iterator[ForeignExperiment]:
        """Every experiment, those in the trash too."""
        for identity, folder, said in self._experiments():
            yield ForeignExperiment(
                id=identity,
                title=str(said["name"]),
                location=str(said.get("artifact_location") or ""),
                deleted=said.get("lifecycle_stage") == "deleted" or folder.parent.name == TRASH,
                created=int(said.get("creation_time") or 0),
                updated=int(said.get("last_update_time") or 0),
                tags=_texts(folder / "tags"),
            )

    def runs(self) -> Iterator[ForeignRun]:
        """Every run of every experiment."""
        for identity, folder, _ in self._experiments():
            for run in _folders(folder):
                if run.name not in NOT_RUNS and (run / META).is_file():
                    yield self._run(identity, folder, run)

    def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]:
        """All points of some runs."""
        wanted = set(runs)
        for _, folder, _ in self._experiments():
            for run in _folders(folder):
                if run.name in wanted:
                    for metric, path in _named(run / "metrics"):
                        points = _points(path)
                        yield (
                            run.name,
                            Series(
                                metric,
                                [step for _, step, _ in points],
                                [time for time, _, _ in points],
                                [number(value) for _, _, value in points],
                            ),
                        )

    def logged_models(self) -> Iterator[ForeignLoggedModel]:
        """Every logged model."""
        for identity, folder, _ in self._experiments():
            for model in _folders(folder / MODELS):
                said = _meta(model)
                yield ForeignLoggedModel(
                    id=model.name,
                    experiment=identity,
                    name=str(said.get("name") or ""),
                    status=LOGGED.get(int(said.get("status") or 0), "pending"),
                    status_message=str(said.get("status_message") or ""),
                    model_type=str(said.get("model_type") or ""),
                    run=str(said.get("source_run_id") or ""),
                    location=str(said.get("artifact_location") or ""),
                    deleted=said.get("lifecycle_stage") == "deleted",
                    created=int(said.get("creation_timestamp") or 0),
                    updated=int(said.get("last_updated_timestamp") or 0),
                    params=_texts(model / "params"),
                    tags=_texts(model / "tags"),
                    figures=list(_figures(model / "metrics")),
                )

    def traces(self) -> Iterator[ForeignTrace]:
        """None: see `notes`."""
        return iter(())

    def models(self) -> Iterator[ForeignModel]:
        """Every registered model."""
        for model in _folders(self.folder / MODELS):
            said = _meta(model)
            yield ForeignModel(
                name=str(said["name"]),
                description=str(said.get("description") or ""),
                created=int(said.get("creation_timestamp") or 0),
                updated=int(said.get("last_updated_timestamp") or 0),
                tags=_texts(model / "tags"),
                aliases={alias: int(version) for alias, version in _texts(model / "aliases").items()},
            )

    def versions(self) -> Iterator[ForeignVersion]:
        """Every version of every registered model."""
        for model in _folders(self.folder / MODELS):
            name = str(_meta(model)["name"])
            found = [each for each in _folders(model) if each.name.startswith("version-")]
            for folder in sorted(found, key=lambda each: int(each.name.removeprefix("version-"))):
                said = _meta(folder)
                if said.get("current_stage") == GONE_STAGE:
                    continue
                yield ForeignVersion(
                    name=name,
                    number=int(said["version"]),
                    source=str(said.get("source") or ""),
                    location=str(said.get("storage_location") or ""),
                    run=str(said.get("run_id") or ""),
                    run_link=str(said.get("run_link") or ""),
                    logged_as=str(said.get("model_id") or ""),
                    stage=str(said.get("current_stage") or "None"),
                    description=str(said.get("description") or ""),
                    user=str(said.get("user_id") or ""),
                    created=int(said.get("creation_timestamp") or 0),
                    updated=int(said.get("last_updated_timestamp") or 0),
                    tags=_texts(folder / "tags"),
                )

    def counts(self) -> Counts:
        """How much there is, counted file by file."""
        found = Counts()
        for experiment in self.experiments():
            found += Counts(
                experiments=1, experiments_deleted=int(experiment.deleted), experiment_tags=len(experiment.tags)
            )
        for run in self.runs():
            found += counted(run)
        for logged in self.logged_models():
            found += counted_logged(logged)
        numbers = {(each.name, each.number): len(each.tags) for each in self.versions()}
        for model in self.models():
            held = [number for number in model.aliases.values() if (model.name, number) in numbers]
            found += Counts(registered_models=1, aliases=len(held))
        return found_with_versions(found, numbers)

    def place(self, location: str) -> Place | None:
        """Where the files of a location can be had, or None."""
        return self._roots.place(location)

    def _experiments(self) -> Iterator[tuple[str, Path, dict[str, Any]]]:
        for top in (self.folder, self.folder / TRASH):
            for folder in _folders(top):
                if folder.name not in (TRASH, MODELS) and (folder / META).is_file():
                    said = _meta(folder)
                    yield str(said.get("experiment_id", folder.name)), folder, said

    def _run(self, experiment: str, folder: Path, run: Path) -> ForeignRun:
        said = _meta(run)
        tags = _texts(run / "tags")
        name = tags.pop(NAME_TAG, "")
        counted = [len(_points(path)) for _, path in _named(run / "metrics")]
        return ForeignRun(
            id=run.name,
            experiment=experiment,
            name=str(said.get("run_name") or name),
            status=RunStatus(STATUSES.get(int(said.get("status") or 0), "running")),
            started=int(said.get("start_time") or 0),
            ended=None if said.get("end_time") is None else int(said["end_time"]),
            user=str(said.get("user_id") or ""),
            location=str(said.get("artifact_uri") or run / "artifacts"),
            deleted=said.get("lifecycle_stage") == "deleted",
            deleted_at=said.get("deleted_time"),
            params=_texts(run / "params"),
            tags=tags,
            datasets=_datasets(folder, run),
            models=_models(run),
            metrics=len(counted),
            points=sum(counted),
        )


def counted(run: ForeignRun) -> Counts:
    """What a run adds to the counts."""
    return Counts(
        runs=1,
        runs_deleted=int(run.deleted),
        params=len(run.params),
        tags=len(run.tags),
        metrics=run.metrics,
        points=run.points or 0,
        dataset_inputs=len(run.datasets),
        model_links=len(run.models),
    )


def counted_logged(model: ForeignLoggedModel) -> Counts:
    """What a logged model adds to the counts."""
    return Counts(
        logged_models=1,
        logged_params=len(model.params),
        logged_tags=len(model.tags),
        logged_figures=len(model.figures),
    )


def found_with_versions(found: Counts, numbers: dict[tuple[str, int], int]) -> Counts:
    """The counts with those of versions, given how many tags each has."""
    found += Counts(versions=len(numbers), version_tags=sum(numbers.values()))
    return found


def _folders(top: Path) -> list[Path]:
    return sorted(each for each in top.iterdir() if each.is_dir()) if top.is_dir() else []


def _meta(folder: Path) -> dict[str, Any]:
    import yaml

    path = folder / META
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Corrupt(f"{path} cannot be read: {str(error).splitlines()[0][:200]}", mend="Mend or move it.") from None
    if not isinstance(said, dict):
        raise Corrupt(f"{path} says nothing.", mend="Move that folder out of the way; MLflow cannot read it either.")
    return said


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files by their names; a name with a slash is a file in a folder."""
    if folder.is_dir():
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            yield path.relative_to(folder).as_posix(), path


def _texts(folder: Path) -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in _named(folder)}


def _points(path: Path) -> list[tuple[int, int, float]]:
    """Time, step and value of each line; a line that comes twice is one point, as it is in a database."""
    found: dict[tuple[int, int, str], tuple[int, int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words:
            continue
        try:
            time, value, step = int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
        except (ValueError, IndexError):
            raise Corrupt(
                f"{path} holds a line that is no point: {line[:100]!r}", mend="Mend or remove that line."
            ) from None
        found[time, step, repr(value)] = (time, step, value)
    return list(found.values())


def _figures(folder: Path) -> Iterator[ForeignFigure]:
    """Of a logged model: time, value, step, run, and what it was measured on."""
    for metric, path in _named(folder):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split(" ")
            if len(words) < 4:
                continue
            yield ForeignFigure(
                metric=metric,
                time=int(words[0]),
                value=number(float(words[1])),
                step=int(words[2]),
                run=words[3],
                dataset=words[4] if len(words) > 5 else "",
                dataset_digest=words[5] if len(words) > 5 else "",
            )


def _datasets(folder: Path, run: Path) -> list[DatasetRead]:
    found = []
    for each in _folders(run / "inputs"):
        said = _meta(each)
        if said.get("source_type") != "DATASET":
            continue
        described = _meta(folder / "datasets" / str(said["source_id"]))
        tags = said.get("tags") or {}
        found.append(
            DatasetRead(
                name=str(described["name"]),
                digest=str(described["digest"]),
                source_type=str(described.get("source_type") or ""),
                source=str(described.get("source") or ""),
                schema=str(described.get("schema") or ""),
                profile=str(described.get("profile") or ""),
                tags={str(key): str(value) for key, value in tags.items()},
            )
        )
    return sorted(found, key=lambda each: (each.name, each.digest))


def _models(run: Path) -> list[ModelUse]:
    found = []
    for each in _folders(run / "inputs"):
        said = _meta(each)
        if said.get("source_type") == "MODEL":
            found.append(ModelUse(model=str(said["source_id"]), role=ModelRole.INPUT))
    for each in _folders(run / "outputs"):
        said = _meta(each)
        found.append(ModelUse(model=str(said["source_id"]), role=ModelRole.OUTPUT, step=int(said.get("step") or 0)))
    return sorted(found, key=lambda each: (each.role, each.model, each.step))
