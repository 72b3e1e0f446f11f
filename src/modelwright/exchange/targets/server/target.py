"""The server as a target: files through its proxy, what is done in the end, and everything counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

from modelwright.core.errors import Invalid
from modelwright.exchange.files import PROXY
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.folder import counted, counted_logged, found_with_versions
from modelwright.exchange.sources.server import check
from modelwright.exchange.targets.server.registry import STATUSES, Registry
from modelwright.experiments.intake import ForeignExperiment, ForeignRun

PROXIED = "/api/2.0/mlflow-artifacts/artifacts"


class ServerTarget(Registry):
    """Writes into a server."""

    shows_discarded = False

    def held(self, location: str) -> dict[str, int]:
        """See `Target`."""
        return {each.path: each.size for each in self._files(self._place(location))}

    def put(self, location: str, path: str, content: Iterable[bytes], size: int) -> None:
        """See `Target`. Through the proxy, piece by piece."""
        place = urlsplit(self._place(location))
        if place.scheme != PROXY:
            raise Invalid(
                f"{self.name} takes no files of {location}: it keeps them at {place.geturl()} and not behind its proxy.",
                mend="Start it with --serve-artifacts, or rename its experiment of that title, or export into a folder.",
            )
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        where = f"{PROXIED}/{quote(place.path.strip('/'))}/{quote(path)}"
        check(self._api.client.put(where, content=iter(content), headers=headers), self.name)

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
