"""What a version is made of: the files that its source names, which are objects already, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Run
from modelwright.models import ModelVersion
from modelwright.server.mlflow.errors import MlflowError, missing
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
        self._look = look

    def find(self, source: Source, run_id: str, model_id: str) -> Folder:
        """What a source holds; RESOURCE_DOES_NOT_EXIST for a run that is not there."""
        run = self._run(run_id) if run_id else None
        if source.origin is Origin.RUN and run is not None:
            found = {each.name: each.digest for each in run.artifacts}
            return _made_by(run, _below(found, source.path))
        return _made_by(run, {}, logged=model_id) if run else Folder(logged=model_id)

    def where(self, version: ModelVersion, depth: int = 0) -> str:
        """The address that a client downloads a version from; of a copy that of what it is a copy of."""
        try:
            source = read_source(version.record.source)
        except MlflowError:
            return version.record.source  # a prompt's placeholder
        if source.origin is Origin.RUN:
            run = self._run(source.run)
            return f"mlflow-artifacts:/{run.experiment}/{run.id}/artifacts/{source.path}"
        if source.origin is Origin.VERSION and depth < DEEPEST:
            return self.where(self._look.chosen(source.name, source.selector), depth + 1)
        return source.text

    def _run(self, run_id: str) -> Run:
        try:
            return self._experiments.show(Ref(Kind.RUN, run_id))
        except (NotFound, BadRef):
            raise missing(f"Run with id={run_id[:80]} not found") from None


def _below(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """The files below a folder, by their paths in it; none unless one of them says how the others are loaded."""
    found = {path[len(folder) + 1 :]: digest for path, digest in files.items() if path.startswith(folder + "/")}
    return found if MLMODEL in found else {}


def _made_by(run: Run, files: dict[str, str], *, logged: str = "") -> Folder:
    return Folder(
        files=files,
        run=run.ref,
        logged=logged,
        datasets=[ref for ref in run.inputs if ref.kind is Kind.DATASET],
        features=[ref for ref in run.inputs if ref.kind is Kind.FEATURES],
        params=dict(run.params),
        authors=[run.created_by],
    )
