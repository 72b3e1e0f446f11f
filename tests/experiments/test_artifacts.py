"""Files and logged models through their operations, at every door."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Artifact, BadFileName, LoggedModel, LoggedStatus, Measurement, Run
from modelwright.workspace import Workspace


@pytest.fixture
def run(workspace: Workspace) -> Run:
    return workspace.experiments.start("files")


@pytest.fixture
def model(workspace: Workspace, run: Run) -> LoggedModel:
    return workspace.logged_models.create(run.experiment_id, name="forest", run=run.ref, params={"depth": "3"})


def keep(workspace: Workspace, ref: Ref, *names: str, content: bytes = b"x") -> None:
    digest = workspace.caller.blobs.put(content)
    made = [Artifact(name=name, digest=digest, size=len(content), media_type="text/plain") for name in names]
    workspace.artifacts.add(ref, made)


def test_files_of_runs_models_and_experiments_are_kept_alike(workspace: Workspace, run: Run, model: LoggedModel) -> None:
    for ref in (run.ref, model.ref, Ref(Kind.EXPERIMENT, "files")):
        keep(workspace, ref, "MLmodel", "data/a.txt", "data/deep/b.txt", "data-c.txt")
        assert workspace.artifacts.find(ref, "data/a.txt").size == 1
        inside = workspace.artifacts.list(ref, folder="data")
        assert [(each.name, each.is_folder, each.size) for each in inside] == [
            ("data/a.txt", False, 1),
            ("data/deep", True, None),
        ]
        names = [each.name for each in workspace.artifacts.all(ref, folder="data")]
        assert names == ["data/a.txt", "data/deep/b.txt"]
        assert workspace.artifacts.remove(ref, "data") == 2
        assert workspace.artifacts.remove(ref, "data") == 0
        with pytest.raises(NotFound):
            workspace.artifacts.find(ref, "data/a.txt")
        assert [each.name for each in workspace.artifacts.all(ref) if "/artifacts/" not in each.name] == [
            "MLmodel",
            "data-c.txt",
        ]


def test_a_place_says_whose_it_is(workspace: Workspace, run: Run, model: LoggedModel) -> None:
    keep(workspace, run.ref, "a/b.txt")
    found = workspace.artifacts.locate(f"{run.experiment_id}/{run.id}/artifacts/a/b.txt")
    assert (found.ref, found.name, found.file is not None) == (run.ref, "a/b.txt", True)
    found = workspace.artifacts.locate(f"{run.experiment_id}/models/{model.id}/artifacts")
    assert (found.ref, found.name, found.file) == (model.ref, "", None)
    found = workspace.artifacts.locate(f"{run.experiment_id}/models")
    assert (found.ref, found.name) == (Ref(Kind.EXPERIMENT, "files"), "models")
    for nowhere in ("0123/x", "999999/x", "x", f"{run.experiment_id}/models/m-{'0' * 32}/artifacts/x"):
        with pytest.raises(NotFound):
            workspace.artifacts.locate(nowhere)
    with pytest.raises(BadFileName):
        workspace.artifacts.locate(f"{run.experiment_id}/../x")


def test_what_is_put_away_takes_no_files(workspace: Workspace, run: Run, model: LoggedModel) -> None:
    workspace.logged_models.discard(model.ref)
    workspace.experiments.discard(run.ref)
    for ref in (run.ref, model.ref):
        with pytest.raises(Conflict):
            keep(workspace, ref, "x")


def test_a_file_that_comes_in_parts(workspace: Workspace, run: Run) -> None:
    from modelwright.experiments import UploadPart

    begun = workspace.artifacts.begin_upload(run.ref, "large", parts=2)
    for number in (2, 1, 2):
        workspace.artifacts.add_part(begun.id, UploadPart(number=number, digest=f"{number}" * 64, size=number))
    assert [each.number for each in workspace.artifacts.parts(begun.id)] == [1, 2]
    with pytest.raises(Invalid):
        workspace.artifacts.add_part(begun.id, UploadPart(number=3, digest="3" * 64, size=1))
    digest = workspace.caller.blobs.put(b"whole")
    workspace.artifacts.end_upload(begun.id, whole=Artifact(name="large", digest=digest, size=5))
    assert workspace.artifacts.find(run.ref, "large").size == 5
    with pytest.raises(NotFound):
        workspace.artifacts.parts(begun.id)


def test_a_logged_model_is_listed_searched_and_put_away(workspace: Workspace, run: Run, model: LoggedModel) -> None:
    models = workspace.logged_models
    at = run.started_at
    models.log(
        model.ref,
        metrics=[Measurement(name="auc", value=0.9, time=at), Measurement(name="auc", value="NaN", time=at, step=1)],
    )
    models.tag(model.ref, {"team": "ops"})
    models.finalise(model.ref, status=LoggedStatus.READY)
    (found,) = models.list(Filter(state="ready", tags={"team": "ops"})).items
    assert [(each.name, each.value) for each in found.metrics] == [("auc", 0.9), ("auc", "NaN")]
    assert models.search([run.experiment_id], where="metrics.auc > 0.8 AND name LIKE 'for%'") == [found]
    assert models.search([run.experiment_id], where="metrics.auc > 0.95") == []
    models.discard(model.ref)
    assert models.list().items == [] and models.search([run.experiment_id]) == []
    assert [each.id for each in models.list(Filter(state="deleted")).items] == [model.id]
    assert models.restore(model.ref).name == "forest"


def test_pages_of_logged_models_hold_each_once(workspace: Workspace, run: Run) -> None:
    made = {workspace.logged_models.create(run.experiment_id).id for _ in range(5)}
    seen: list[str] = []
    page = workspace.logged_models.list(Filter(limit=2))
    while True:
        seen += [each.id for each in page.items]
        if page.next is None:
            break
        page = workspace.logged_models.list(Filter(limit=2, after=page.next))
    assert len(seen) == 5 and set(seen) == made
