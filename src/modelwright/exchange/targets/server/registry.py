"""Logged models and the registry, written into a server.

A version that has files of its own, or a source that the server does not take, is given a logged model to stand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.hashing import digest_value
from modelwright.exchange.targets.server.runs import PARAMS, STANDS, Runs
from modelwright.exchange.targets.server.there import MODEL_TAG, VERSION_TAG, WRITTEN_TAG, There, pairs, parts
from modelwright.experiments.intake import ForeignLoggedModel
from modelwright.models.intake import ForeignModel, ForeignVersion

SOURCE_TAG: Final = "modelwright.source"  # of a version: the source that it has here
VERSIONS_TAG: Final = "mlflow.modelVersions"  # of a logged model; the server keeps it by itself
STATUSES = {"ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}
BARRED = str.maketrans(dict.fromkeys("/:.%\"'", "-"))  # in the name of a logged model


class Registry(Runs):
    """Writes logged models, models, versions and aliases."""

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
                for part in parts(pairs(params), PARAMS):
                    self._post(f"{where}/params", model_id=there.id, params=part)
                self._figures(each, there)
                if each.status in STATUSES:
                    self._api.ask("PATCH", where, body={"model_id": there.id, "status": STATUSES[each.status]})
                self._api.ask(
                    "PATCH", f"{where}/tags", body={"model_id": there.id, "tags": pairs(tags | {WRITTEN_TAG: written})}
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
            tags=pairs(tags),
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

    def models(self, new: Sequence[ForeignModel]) -> int:
        """See `Target`."""
        self._models = {each.name: each for each in self._source.models()}
        fresh = 0
        for each in (replace(model, tags=self._names.pairs(model.tags)) for model in new):
            there = self._models.get(each.name)
            if there is None:
                tags = pairs(each.tags)
                self._post("registered-models/create", name=each.name, description=each.description, tags=tags)
                self._versions[each.name] = {}
                fresh += 1
                continue
            self._versions[each.name] = {found.number: found for found in self._source.versions_of(each.name)}
            missing = {key: value for key, value in each.tags.items() if there.tags.get(key) != value}
            if there.description != each.description:
                body = {"name": each.name, "description": each.description}
                self._api.ask("PATCH", "registered-models/update", body=body)
            for tag in pairs(missing):
                self._post("registered-models/set-tag", name=each.name, **tag)
            fresh += bool(missing) or there.description != each.description
        return fresh

    def version(self, new: ForeignVersion, *, own_files: bool) -> bool:
        """See `Target`. One of the same number that no export wrote, and of another source, is another version."""
        new = replace(new, tags=self._names.pairs(new.tags))
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
        for tag in pairs(missing):
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
            number = int(self._post("model-versions/create", **body, tags=pairs(tags))["model_version"]["version"])
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


def _digest_logged(model: ForeignLoggedModel) -> str:
    return digest_value([model.status, model.params, model.tags, str(model.figures)])


def _on(logged: There) -> dict[str, str]:
    """The source of a version that stands on a logged model."""
    return {"source": f"models:/{logged.id}", "model_id": logged.id}
