"""What a version is made of: the files that its source names, which are objects already, and what they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Artifact, Lifecycle, LoggedModel, Run
from modelwright.experiments.records import ModelRole
from modelwright.models import ModelVersion
from modelwright.server.mlflow import version_files
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.registry import Lookup
from modelwright.server.mlflow.sources import Origin, Source, read_source
from modelwright.workspace import Workspace

MLMODEL = "MLmodel"
DEEPEST = 20  # copies of copies


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A source, looked up. Without files it is an address and no more."""

    files: dict[str, str] = {}  # path to digest
    run: Ref | None = None
    logged: str = ""
    datasets: list[Ref] = []
    features: list[Ref] = []
    params: dict[str, Any] = {}
    authors: list[str] = []


class Folders:
    """Looks sources up, with the rights of whoever asks."""

    def __init__(self, workspace: Workspace, look: Lookup) -> None:
        self._experiments = workspace.experiments
        self._artifacts = workspace.artifacts
        self._logged = workspace.logged_models
        self._look = look

    def find(self, source: Source, run_id: str, model_id: str) -> Folder:
        """What a source holds; RESOURCE_DOES_NOT_EXIST for a run or a logged model that is not there."""
        logged = self._logged_model(model_id) if model_id else None
        run = self._run(run_id) if run_id else self._run(logged.run) if logged is not None and logged.run else None
        if logged is not None and run is not None and logged.run not in ("", run.id):
            raise invalid(f"Invalid model version source: the logged model {logged.id} is of the run {logged.run}.")
        if source.origin is Origin.LOGGED and logged is not None:
            return self._made_by(run, logged, self._below(logged.ref, source.path))
        if source.origin is Origin.RUN and run is not None:
            found = self._below(run.ref, source.path)
            return self._made_by(run, None, found) if found else self._of_output(run, source.path)
        return self._made_by(run, logged, {})

    def where(self, version: ModelVersion, depth: int = 0) -> str:
        """The address that a client downloads a version from: that of the files that are here, or of where they are."""
        if version.record.files:
            return version_files.address(version)
        source = version.record.source
        if source.startswith("models:") and depth < DEEPEST:
            read = read_source(source)
            if read.origin is Origin.VERSION:
                return self.where(self._look.chosen(read.name, read.selector), depth + 1)
        return source or str(version.ref)

    def _of_output(self, run: Run, name: str) -> Folder:
        """What a run's path means where no file lies there: the newest logged model of that name among its outputs."""
        made = [each for each in run.models if each.role is ModelRole.OUTPUT]
        for each in sorted(made, key=lambda use: use.step, reverse=True):
            try:
                logged = self._logged_model(each.model)
            except MlflowError:  # deleted since, and no longer what the name means
                continue
            if logged.name == name:
                return self._made_by(run, logged, self._below(logged.ref, ""))
        return self._made_by(run, None, {})

    def _made_by(self, run: Run | None, logged: LoggedModel | None, files: dict[str, str]) -> Folder:
        inputs = run.inputs if run is not None else []
        made = [each.created_by for each in (run, logged) if each is not None]
        return Folder(
            files=files,
            run=run.ref if run is not None else None,
            logged=logged.id if logged is not None else "",
            datasets=[ref for ref in inputs if ref.kind is Kind.DATASET],
            features=[ref for ref in inputs if ref.kind is Kind.FEATURES],
            params=dict((logged.params if logged is not None else None) or (run.params if run is not None else {})),
            authors=list(dict.fromkeys(made)),
        )

    def _below(self, ref: Ref, folder: str) -> dict[str, str]:
        """The files below a folder by their paths in it; none unless one of them says how the others are loaded."""
        found: Sequence[Artifact] = self._artifacts.all(ref, folder=folder)
        cut = len(folder) + 1 if folder else 0
        files = {each.name[cut:]: each.digest for each in found}
        return files if MLMODEL in files else {}

    def _run(self, run_id: str) -> Run:
        try:
            return self._experiments.show(Ref(Kind.RUN, run_id))
        except (NotFound, BadRef):
            raise missing(f"Run with id={run_id[:80]} not found") from None

    def _logged_model(self, model_id: str) -> LoggedModel:
        try:
            found = self._logged.show(Ref(Kind.LOGGED_MODEL, model_id))
        except (NotFound, BadRef):
            found = None
        if found is None or found.lifecycle is Lifecycle.DELETED:
            raise missing(f"Logged model with ID '{model_id[:80]}' not found.")
        return found
