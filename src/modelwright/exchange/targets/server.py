"""A running server of MLflow's, written through its REST API. It gives ids of its own: tags tell which is which.

A server says where files lie: those of runs and of logged models behind its artifact proxy, those of a version inside one
of these. So a version that has files of its own, or a source that the server does not take, is given a logged model to
stand on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.hashing import digest_value
from modelwright.exchange.files import PROXY, File
from modelwright.exchange.records import Counts
from modelwright.exchange.remarks import Remarks
from modelwright.exchange.sources.folder import counted, counted_logged, found_with_versions
from modelwright.exchange.sources.server import Api, ServerSource, check
from modelwright.exchange.targets import RunWithCurves
from modelwright.experiments.intake import ForeignExperiment, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.records import DatasetRead, ModelRole
from modelwright.models.intake import ForeignModel, ForeignVersion

EXPERIMENT_TAG: Final = "modelwright.experiment"  # the number that an experiment has here: an export made it
RUN_TAG: Final = "modelwright.run"  # the id that a run has here
MODEL_TAG: Final = "modelwright.logged-model"
VERSION_TAG: Final = "modelwright.version"  # of a version, and of the logged model that it stands on
SOURCE_TAG: Final = "modelwright.source"  # of a version: the source that it has here
WRITTEN_TAG: Final = "modelwright.written"  # set last: what was written, as a digest
VERSIONS_TAG: Final = "mlflow.modelVersions"  # of a logged model; the server keeps it by itself
STANDS: Final = "Model versions from Modelwright"  # the experiment of the logged models that versions stand on
POINTS, PARAMS, TAGS = 1000, 100, 100  # in one call
STATUSES = {"ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}
BARRED = str.maketrans(dict.fromkeys("/:.%\"'", "-"))  # in the name of a logged model
PROXIED = "/api/2.0/mlflow-artifacts/artifacts"


class There(msgspec.Struct):
    """What the server has of a run or a logged model."""

    id: str
    location: str
    deleted: bool = False
    written: str = ""
    params: set[str] = set()  # of a logged model: the names of those that it has
    links: set[tuple[ModelRole, str]] = set()  # of a run: the logged models that it took in and made, by their ids there
    tags: frozenset[str] | None = None  # of what is exported, and so is counted: the names of the tags that it has here


class ServerTarget:
    """Writes into a server."""

    shows_discarded = False

    def __init__(self, address: str, *, token: str = "") -> None:
        self._api = Api(address, token=token)
        self._source = ServerSource(address, token=token)
        self.name = self._api.address
        if self._source.major() < 3:
            raise Invalid(
                f"{self.name} is no server of MLflow's of version 3 or later.",
                mend="Name one, or export into a folder and start a newer server over it.",
            )
        self._remarks = Remarks()
        self._numbers: dict[str, str] = {}  # of experiments: the id there by the id here
        self._tags: dict[str, frozenset[str]] = {}  # of experiments: the names of tags that were written
        self._made: set[str] = set()  # experiments that an export made, by their ids there
        self._runs: dict[str, There] = {}  # by the id here
        self._logged: dict[str, There] = {}
        self._stands: dict[str, There] = {}  # by name and number of the version
        self._standing: dict[str, str] = {}  # name and number by the location here
        self._models: dict[str, ForeignModel] = {}  # as they are there, aliases too
        self._versions: dict[str, dict[int, ForeignVersion]] = {}  # as they are there
        self._written: dict[tuple[str, int], frozenset[str]] = {}  # versions, with the names of their tags

    def close(self) -> None:
        """Hang up."""
        self._api.close()
        self._source.close()

    @property
    def notes(self) -> list[str]:
        """What is not as it is here."""
        return [
            "What is new there has ids of its own; the tags modelwright.run and modelwright.logged-model say those here.",
            *self._remarks.lines(),
        ]

    # Experiments and runs

    def experiments(self, new: Sequence[ForeignExperiment]) -> int:
        """See `Target`. One of the same name is the same experiment; what an export has deleted is restored for now."""
        there = {each.title: each for each in self._source.experiments()}
        fresh = sum(self._experiment(each, there.get(each.title)) for each in new)
        within = list(self._numbers.values())
        if STANDS in there:
            if there[STANDS].deleted:
                self._post("experiments/restore", experiment_id=there[STANDS].id)
            self._numbers[""] = there[STANDS].id
            within.append(there[STANDS].id)
        self._find(within)
        return fresh

    def _experiment(self, new: ForeignExperiment, there: ForeignExperiment | None) -> bool:
        own = {EXPERIMENT_TAG: new.id}
        if there is None:
            made = self._post("experiments/create", name=new.title, tags=_pairs(own | new.tags))
            there = ForeignExperiment(id=made["experiment_id"], title=new.title, tags=own | new.tags)
            fresh = True
        else:
            missing = {key: value for key, value in new.tags.items() if there.tags.get(key) != value}
            mine = EXPERIMENT_TAG in there.tags
            if there.deleted:
                if not mine:
                    raise Conflict(
                        f"{self.name} has a deleted experiment {new.title!r} that no export has made.",
                        mend="Restore it there, or have it deleted for good (mlflow gc).",
                    )
                self._post("experiments/restore", experiment_id=there.id)
            for tag in _pairs(missing):
                self._post("experiments/set-experiment-tag", experiment_id=there.id, **tag)
            fresh = bool(missing) or (mine and there.deleted != new.deleted)
        self._numbers[new.id] = there.id
        self._tags[there.id] = frozenset(new.tags)
        if EXPERIMENT_TAG in there.tags:
            self._made.add(there.id)
        return fresh

    def _find(self, within: Sequence[str]) -> None:
        """What is there of runs and logged models: those of an earlier export, and those that were imported from there."""
        for experiment in within:
            for run in self._source.runs_of(experiment):
                links = {(each.role, each.model) for each in run.models}
                written = run.tags.get(WRITTEN_TAG, "")
                there = There(run.id, run.location, deleted=run.deleted, written=written, links=links)
                self._runs[run.tags.get(RUN_TAG, run.id)] = there
        for logged in self._source.logged_of(within) if within else ():
            there = There(logged.id, logged.location, written=logged.tags.get(WRITTEN_TAG, ""), params=set(logged.params))
            if VERSION_TAG in logged.tags:
                there.written = logged.status
                self._stands[logged.tags[VERSION_TAG]] = there
            else:
                self._logged[logged.tags.get(MODEL_TAG, logged.id)] = there

    def lacking(self, runs: Sequence[ForeignRun]) -> list[str]:
        """See `Target`."""
        for each in runs:
            if each.id in self._runs:
                self._runs[each.id].tags = frozenset(each.tags)
        return [each.id for each in runs if each.id not in self._runs or self._runs[each.id].written != _digest(each)]

    def runs(self, new: Sequence[RunWithCurves]) -> None:
        """See `Target`. What was written is said by a tag that is set last; a run without it is written once more."""
        for run, series in new:
            there = self._runs.get(run.id) or self._create_run(run)
            self._activate(there)
            for part in _parts(_pairs(run.params), PARAMS):
                self._post("runs/log-batch", run_id=there.id, params=part)
            for part in _parts(_pairs(run.tags), TAGS):
                self._post("runs/log-batch", run_id=there.id, tags=part)
            for part in _parts([point for each in series for point in _points(each)], POINTS):
                self._post("runs/log-batch", run_id=there.id, metrics=part)
            if run.datasets:
                self._post("runs/log-inputs", run_id=there.id, datasets=[_input(read) for read in run.datasets])
            ended = {} if run.ended is None else {"end_time": run.ended}
            self._post("runs/update", run_id=there.id, status=run.status.value.upper(), run_name=run.name, **ended)
            self._post("runs/set-tag", run_id=there.id, key=WRITTEN_TAG, value=_digest(run))

    def _create_run(self, run: ForeignRun) -> There:
        made = self._post(
            "runs/create",
            experiment_id=self._numbers[run.experiment],
            user_id=run.user,
            run_name=run.name,
            start_time=run.started,
            tags=_pairs({RUN_TAG: run.id}),
        )["run"]["info"]
        there = There(made["run_id"], made["artifact_uri"], tags=frozenset(run.tags))
        self._runs[run.id] = there
        return there

    def _activate(self, there: There) -> None:
        """A deleted run takes nothing; `finish` deletes it again."""
        if there.deleted:
            self._post("runs/restore", run_id=there.id)
            there.deleted = False

    # Logged models

    def logged_models(self, new: Sequence[ForeignLoggedModel]) -> int:
        """See `Target`."""
        fresh = 0
        for each in new:
            there, written = self._logged.get(each.id), _digest_logged(each)
            tags = {key: value for key, value in each.tags.items() if key != VERSIONS_TAG}
            if there is None or there.written != written:
                run = self._runs.get(each.run)
                number = self._numbers[each.experiment]
                if there is None:
                    there = self._create_logged(number, each.name, tags | {MODEL_TAG: each.id}, run, each.model_type)
                    self._logged[each.id] = there
                where = f"logged-models/{there.id}"
                params = {key: value for key, value in each.params.items() if key not in there.params}
                for part in _parts(_pairs(params), PARAMS):
                    self._post(f"{where}/params", model_id=there.id, params=part)
                self._figures(each, there)
                if each.status in STATUSES:
                    self._api.ask("PATCH", where, body={"model_id": there.id, "status": STATUSES[each.status]})
                self._api.ask(
                    "PATCH", f"{where}/tags", body={"model_id": there.id, "tags": _pairs(tags | {WRITTEN_TAG: written})}
                )
                fresh += 1
            there.tags = frozenset(each.tags)
        return fresh

    def _create_logged(self, experiment: str, name: str, tags: dict[str, str], run: There | None, kind: str = "") -> There:
        made = self._post(
            "logged-models",
            experiment_id=experiment,
            name=name.translate(BARRED),
            model_type=kind,
            source_run_id=run.id if run else "",
            tags=_pairs(tags),
        )["model"]["info"]
        return There(made["model_id"], made["artifact_uri"])

    def _figures(self, new: ForeignLoggedModel, there: There) -> None:
        for each in new.figures:
            run = self._runs.get(each.run)
            if run is None:
                continue
            self._activate(run)
            self._post(
                "runs/log-metric",
                run_id=run.id,
                model_id=there.id,
                key=each.metric,
                value=each.value,
                timestamp=each.time,
                step=each.step,
                dataset_name=each.dataset,
                dataset_digest=each.dataset_digest,
            )

    # The registry

    def models(self, new: Sequence[ForeignModel]) -> int:
        """See `Target`."""
        self._models = {each.name: each for each in self._source.models()}
        fresh = 0
        for each in new:
            there = self._models.get(each.name)
            if there is None:
                tags = _pairs(each.tags)
                self._post("registered-models/create", name=each.name, description=each.description, tags=tags)
                self._versions[each.name] = {}
                fresh += 1
                continue
            self._versions[each.name] = {found.number: found for found in self._source.versions_of(each.name)}
            missing = {key: value for key, value in each.tags.items() if there.tags.get(key) != value}
            if there.description != each.description:
                body = {"name": each.name, "description": each.description}
                self._api.ask("PATCH", "registered-models/update", body=body)
            for tag in _pairs(missing):
                self._post("registered-models/set-tag", name=each.name, **tag)
            fresh += bool(missing) or there.description != each.description
        return fresh

    def version(self, new: ForeignVersion, *, own_files: bool) -> bool:
        """See `Target`. One of the same number that no export wrote, and of another source, is another version."""
        key = f"{new.name}@{new.number}"
        there = self._versions[new.name].get(new.number)
        if there is not None and VERSION_TAG not in there.tags and there.source != new.source:
            raise Conflict("there is another version of that number there, which is left as it is.")
        if own_files:
            self._standing[new.location] = key
            if key not in self._stands:
                self._stand(new)
        fresh = there is None
        if there is None:
            there = self._create(new, own_files=own_files)
        asked = {"name": new.name, "version": str(new.number)}
        missing = {key: value for key, value in new.tags.items() if there.tags.get(key) != value}
        for tag in _pairs(missing):
            self._post("model-versions/set-tag", **asked, **tag)
        if there.description != new.description:
            self._api.ask("PATCH", "model-versions/update", body={**asked, "description": new.description})
        stage = new.stage or "None"
        if there.stage != stage:
            self._post("model-versions/transition-stage", **asked, stage=stage, archive_existing_versions=False)
        if SOURCE_TAG in there.tags and not own_files:
            self._remarks.add(
                "has a source that the server does not take: the tag modelwright.source says it, and the version stands on "
                "a logged model without files",
                f"{new.name} version {new.number} ({new.source})",
            )
        self._written[new.name, new.number] = frozenset(new.tags)
        return fresh or bool(missing) or (there.description, there.stage) != (new.description, stage)

    def _create(self, new: ForeignVersion, *, own_files: bool) -> ForeignVersion:
        """Make a version that stands on the source it has here, or where the server does not take that, a logged model."""
        run, logged = self._runs.get(new.run), self._logged.get(new.logged_as)
        body: dict[str, Any] = {"name": new.name, "description": new.description, "run_link": new.run_link}
        tags = new.tags | {VERSION_TAG: f"{new.name}@{new.number}"}
        if run is not None:
            body["run_id"] = run.id
        if logged is not None:
            self._number(new, body | _on(logged), tags)
        elif own_files or not new.source or not self._taken(new, body, tags):
            key = f"{new.name}@{new.number}"
            stand = self._stands.get(key) or self._stand(new)
            if new.source:
                tags |= {SOURCE_TAG: new.source}
            self._number(new, body | _on(stand), tags)
        return ForeignVersion(name=new.name, number=new.number, description=new.description, stage="None", tags=tags)

    def _taken(self, new: ForeignVersion, body: dict[str, Any], tags: dict[str, str]) -> bool:
        """Whether the server took a version with the source that it has here."""
        source = new.source
        run, slash, path = source.removeprefix("runs:/").partition("/")
        if source.startswith("runs:/") and run in self._runs:
            source = f"runs:/{self._runs[run].id}{slash}{path}"
        try:
            self._number(new, body | {"source": source}, tags)
        except Invalid:
            return False
        return True

    def _number(self, new: ForeignVersion, body: dict[str, Any], tags: dict[str, str]) -> None:
        """Make a version of a certain number. A server counts by itself: what it gives in between is deleted again."""
        while True:
            number = int(self._post("model-versions/create", **body, tags=_pairs(tags))["model_version"]["version"])
            if number == new.number:
                return
            self._api.ask("DELETE", "model-versions/delete", body={"name": new.name, "version": str(number)})
            if number > new.number:
                raise Conflict(f"the server gives no number below {number} any more.")

    def _stand(self, new: ForeignVersion) -> There:
        """Make the logged model that a version stands on."""
        if "" not in self._numbers:
            self._numbers[""] = self._post("experiments/create", name=STANDS)["experiment_id"]
        key = f"{new.name}@{new.number}"
        made = self._create_logged(
            self._numbers[""], f"{new.name}-{new.number}", {VERSION_TAG: key}, self._runs.get(new.run)
        )
        self._stands[key] = made
        return made

    def aliases(self, model: ForeignModel) -> None:
        """See `Target`."""
        there = self._models[model.name].aliases if model.name in self._models else {}
        for alias, number in model.aliases.items():
            if (model.name, number) in self._written and there.get(alias) != number:
                self._post("registered-models/alias", name=model.name, alias=alias, version=str(number))

    # Files

    def held(self, location: str) -> dict[str, int]:
        """See `Target`."""
        return {each.path: each.size for each in self._files(self._place(location))}

    def put(self, location: str, path: str, content: Iterable[bytes], size: int) -> None:
        """See `Target`. Through the proxy, piece by piece."""
        parts = urlsplit(self._place(location))
        if parts.scheme != PROXY:
            raise Invalid(
                f"{self.name} takes no files of {location}: it keeps them at {parts.geturl()} and not behind its proxy.",
                mend="Start it with --serve-artifacts, or rename its experiment of that title, or export into a folder.",
            )
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        where = f"{PROXIED}/{quote(parts.path.strip('/'))}/{quote(path)}"
        check(self._api.client.put(where, content=iter(content), headers=headers), self.name)

    def _files(self, place: str) -> Sequence[File]:
        """What lies at a place, as far as it can be seen from here."""
        found = self._source.place(place)
        return [] if found is None else found.files()

    def _place(self, location: str) -> str:
        """Where the server says that the files of a thing lie."""
        kind, _, name = location.partition(":")
        if kind == "run":
            there = self._runs[name]
        elif kind == "logged-model":
            there = self._logged[name]
        else:
            there = self._stands[self._standing[location]]
        return there.location

    # The end

    def finish(self, experiments: Sequence[ForeignExperiment], runs: Sequence[ForeignRun]) -> None:
        """See `Target`."""
        for stand in self._stands.values():
            if stand.written == "ready":
                continue
            body = {"model_id": stand.id, "status": STATUSES["ready"]}
            self._api.ask("PATCH", f"logged-models/{stand.id}", body=body)
        for run in runs:
            there = self._runs[run.id]
            self._link(run, there)
            if run.deleted and not there.deleted:
                self._post("runs/delete", run_id=there.id)
            elif not run.deleted:
                self._activate(there)
        for each in experiments:
            number = self._numbers[each.id]
            if each.deleted and number in self._made:
                self._post("experiments/delete", experiment_id=number)
                alive = sum(run.experiment == each.id and not run.deleted for run in runs)
                if alive:
                    self._remarks.add("is deleted, and there so are its runs that are not here", f"{each.title}: {alive}")
            elif each.deleted:
                self._remarks.add("is deleted here and not there: no export has made it", f"The experiment {each.title!r}")

    def _link(self, run: ForeignRun, there: There) -> None:
        """Say which logged models a run took in and made, unless that is said."""
        missing = [each for each in run.models if each.model in self._logged]
        missing = [each for each in missing if (each.role, self._logged[each.model].id) not in there.links]
        if missing:
            self._activate(there)
        for each in missing:
            model = self._logged[each.model].id
            if each.role is ModelRole.INPUT:
                self._post("runs/log-inputs", run_id=there.id, models=[{"model_id": model}])
            else:
                self._post("runs/outputs", run_id=there.id, models=[{"model_id": model, "step": each.step}])

    def counts(self) -> Counts:
        """See `Target`. Of tags, those that were written."""
        found = Counts()
        for each in self._source.experiments():
            if each.id in self._tags:
                tags = len(self._tags[each.id] & each.tags.keys())
                found += Counts(experiments=1, experiments_deleted=int(each.deleted), experiment_tags=tags)
        runs = {each.id: each.tags for each in self._runs.values() if each.tags is not None}
        for experiment in self._tags:
            mine = [run for run in self._source.runs_of(experiment) if run.id in runs]
            for run in mine:
                found += counted(run)
                found.tags += len(runs[run.id] & run.tags.keys()) - len(run.tags)
                files = self._files(run.location)
                found.artifacts += len(files)
                found.artifact_bytes += sum(file.size for file in files)
            found.points += sum(len(series) for _, series in self._source.series([run.id for run in mine]))
        logged = {each.id: each.tags for each in self._logged.values() if each.tags is not None}
        for model in self._source.logged_of(list(self._tags)) if self._tags else ():
            if model.id in logged:
                found += counted_logged(model)
                found.logged_tags += len(logged[model.id] & model.tags.keys()) - len(model.tags)
                found.logged_files += len(self._files(model.location))
        return found + self._count_registry()

    def _count_registry(self) -> Counts:
        found, numbers = Counts(), {}
        for model in self._source.models():
            if model.name in self._versions:
                aliases = sum((model.name, number) in self._written for number in model.aliases.values())
                found += Counts(registered_models=1, aliases=aliases)
                for each in self._source.versions_of(model.name):
                    if (key := (each.name, each.number)) in self._written:
                        numbers[key] = len(self._written[key] & each.tags.keys())
        return found_with_versions(found, numbers)

    def _post(self, path: str, **body: Any) -> Any:
        return self._api.ask("POST", path, body=body)


def _digest(run: ForeignRun) -> str:
    return digest_value(
        [run.name, run.status, run.started, run.ended, run.user, run.params, run.tags, run.points, str(run.datasets)]
    )


def _digest_logged(model: ForeignLoggedModel) -> str:
    return digest_value([model.status, model.params, model.tags, str(model.figures)])


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _points(series: Series) -> list[dict[str, Any]]:
    return [
        {"key": series.metric, "value": value, "step": step, "timestamp": time}
        for value, step, time in zip(series.values, series.steps, series.times, strict=True)
    ]


def _input(read: DatasetRead) -> dict[str, Any]:
    described = {
        "name": read.name,
        "digest": read.digest,
        "source_type": read.source_type or "external",
        "source": read.source or "-",
        "schema": read.schema,
        "profile": read.profile,
    }
    return {"tags": _pairs(read.tags), "dataset": {key: value for key, value in described.items() if value}}


def _on(logged: There) -> dict[str, str]:
    """The source of a version that stands on a logged model."""
    return {"source": f"models:/{logged.id}", "model_id": logged.id}


def _parts(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]
