"""There and back: what the real client made, imported and exported, is to the real client what it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.refs import Ref
from modelwright.exchange import Exporting, Outcome, WorkspaceSource, open_target
from modelwright.experiments import Point
from modelwright.workspace import Workspace
from tests.exchange.conftest import LONG, Store, running
from tests.exchange.test_import import bring

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def export(rooms: Workspace, target: str) -> Outcome:
    source = WorkspaceSource(
        experiments=rooms.experiments,
        intake=rooms.intake,
        artifacts=rooms.artifacts,
        models=rooms.models,
        registry=rooms.registry,
    )
    writing = open_target(target)
    try:
        return Exporting(source, writing).run()
    finally:
        writing.close()


@pytest.fixture
def target(original: Store, tmp_path: Path) -> Path:
    """A copy of a database as MLflow makes it for an export, without a row, to be written into."""
    (tmp_path / "back").mkdir()
    shutil.copyfile(original.empty, tmp_path / "back" / "mlflow.db")
    return tmp_path / "back"


def connected(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def client(folder: Path) -> Any:
    return connected(f"sqlite:///{folder / 'mlflow.db'}")


def told(client: Any, folder: Path, *, apart: str = "") -> dict[str, Any]:
    """Everything that the real client says of a store, but where its files lie, and the curves of a run that is `apart`."""
    from mlflow.entities import ViewType

    experiments = client.search_experiments(view_type=ViewType.ALL)
    runs = client.search_runs([each.experiment_id for each in experiments], run_view_type=ViewType.ALL, max_results=1000)
    found: dict[str, Any] = {"experiments": {}, "runs": {}, "logged": {}, "models": {}, "versions": {}}
    for each in experiments:
        found["experiments"][each.experiment_id] = (each.name, each.lifecycle_stage, each.tags)
    for run in runs:
        info, data = run.info, run.data
        curves = {
            name: sorted((p.step, p.timestamp, repr(p.value)) for p in client.get_metric_history(info.run_id, name))
            for name in (data.metrics if info.run_id != apart else ())
        }
        found["runs"][info.run_id] = {
            "info": (info.experiment_id, info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage),
            "user": info.user_id,
            "params": data.params,
            "tags": data.tags,
            "latest": {name: repr(value) for name, value in data.metrics.items()},
            "curves": curves,
            "inputs": [(i.dataset.to_dictionary(), [(t.key, t.value) for t in i.tags]) for i in run.inputs.dataset_inputs],
            "outputs": [(each.model_id, each.step) for each in run.outputs.model_outputs],
        }
    active = [each.experiment_id for each in experiments if each.lifecycle_stage == "active"]
    for logged in client.search_logged_models(active):
        metrics = [(m.key, m.value, m.timestamp, m.step, m.run_id) for m in logged.metrics]
        found["logged"][logged.model_id] = (logged.name, logged.status, logged.params, logged.tags, metrics)
    for model in client.search_registered_models():
        found["models"][model.name] = (model.description or "", model.tags, model.aliases, model.creation_timestamp)
        for version in client.search_model_versions(f"name='{model.name}'"):
            said = (version.current_stage, version.description or "", version.tags, version.run_id or None, version.source)
            found["versions"][version.name, version.version] = said
    return found


def points(folder: Path, run: str) -> list[Any]:
    """The points of a run as they stand in the database."""
    asked = (
        "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp, value"
    )
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute(asked, [run]).fetchall()


@pytest.fixture
def files(whole_store: Store) -> dict[str, bytes]:
    """What lies below the artifact root, by path, but for what belongs to traces."""
    top = whole_store.folder / "artifacts"
    found = {each.relative_to(top).as_posix(): each for each in top.rglob("*") if each.is_file()}
    return {path: each.read_bytes() for path, each in found.items() if "/traces/" not in path}


def test_the_real_client_finds_everything_as_it_was(
    whole_store: Store, files: dict[str, bytes], embedded: Workspace, target: Path, thorough: bool
) -> None:
    """The client takes seconds for the points of the long curve, which are compared in the tables, too; or by it."""
    whole_store.sql("UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'churn' AND version = 1")
    bring(whole_store, embedded)

    outcome = export(embedded, str(target))

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    long = whole_store.runs["long"]
    before, after = (told(client(each), each, apart="" if thorough else long) for each in (whole_store.folder, target))
    assert after["experiments"] == before["experiments"]
    assert after["runs"].keys() == before["runs"].keys()
    for identity, run in before["runs"].items():
        assert after["runs"][identity] == run
    there, back = (points(each, long) for each in (whole_store.folder, target))
    assert len(back) == LONG and back == there
    assert after["logged"] == before["logged"]
    assert after["models"] == before["models"]
    assert after["versions"] == before["versions"]
    written = target / "artifacts"
    for path, content in files.items():
        assert (written / path).read_bytes() == content


def test_the_real_client_downloads_and_loads_what_was_exported(store: Store, embedded: Workspace, target: Path) -> None:
    import mlflow

    bring(store, embedded)
    export(embedded, str(target))
    uri = f"sqlite:///{target / 'mlflow.db'}"

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    assert Path(mlflow.artifacts.download_artifacts(f"runs:/{store.runs['full']}/notes/read me.txt")).read_text() == "hello"
    for address in (f"models:/{store.runs['logged model']}", "models:/churn/3", "models:/churn@champion"):
        assert mlflow.sklearn.load_model(address).predict([[0.0], [3.0]]).tolist() == [0, 1]


def test_an_export_goes_on_and_writes_only_what_has_changed(store: Store, embedded: Workspace, target: Path) -> None:
    bring(store, embedded)
    export(embedded, str(target))
    embedded.experiments.tag(Ref.parse(f"run:{store.runs['full']}"), {"new": "tag"})

    again = export(embedded, str(target))

    assert again.agrees
    assert {what: number for what, number in again.added.items() if number} == {"runs": 1}
    assert client(target).get_run(store.runs["full"]).data.tags["new"] == "tag"


def test_runs_of_our_own_are_exported_with_what_they_read_and_made(embedded: Workspace, target: Path) -> None:
    with embedded.experiments.run("pricing/delay", name="ours", capture=False) as run:
        run.log_params({"depth": 6, "layers": [1, 2], "name": "x"})
        run.log_metric("auc", float("inf"), step=1)

    outcome = export(embedded, str(target))

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    found = client(target).get_run(run.ref.name)
    assert found.data.params == {"depth": "6", "layers": "[1,2]", "name": "x"}
    assert found.data.metrics == {"auc": 1.7976931348623157e308}
    assert found.info.run_name == "ours"


def test_without_mlflow_it_is_said_that_it_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "mlflow" else real(name, *rest))
    with pytest.raises(Invalid, match="not installed"):
        open_target(str(tmp_path / "back"))


def test_the_command_tells_both_counts(
    store: Store, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.entry import run

    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "modelwright.toml").write_text("")
    assert run(["import", "mlflow", store.uri, "--artifacts", store.artifacts, "-w", str(project), "--json"]) == 0
    capsys.readouterr()

    assert run(["export", "mlflow", str(target), "-w", str(project), "--json"]) == 0

    check = json.loads(capsys.readouterr().out)["check"]
    assert {each["what"]: (each["here"], each["there"]) for each in check}["runs"] == (7, 7)


@pytest.mark.parametrize("there", ["notes.txt", "mlflow.db"])
def test_what_no_export_has_made_is_not_written_into(there: str, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "theirs" if there == "mlflow.db" else tmp_path / "mine"
    folder.mkdir(exist_ok=True)
    (folder / there).touch()
    before = (folder / there).read_bytes()

    with pytest.raises(Invalid, match=there) as refused:
        open_target(str(folder))

    assert "empty folder" in refused.value.mend
    assert (folder / there).read_bytes() == before


def test_an_export_that_was_killed_while_its_tables_were_made_goes_on(original: Store, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / ".mlflow.db.part").write_bytes(b"half a database")
    (folder / ".mlflow.db.part-journal").write_bytes(b"and what it was about to do")

    open_target(str(folder)).close()

    assert [each.name for each in folder.iterdir()] == ["mlflow.db"]


def test_where_nothing_can_be_exported_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="Nothing can be written into"):
        open_target(str(tmp_path / "file"))
    with pytest.raises(Invalid, match="Nothing can be exported into"):
        open_target("postgresql://db/mlflow")
    with pytest.raises(Unavailable, match="does not answer"):
        open_target("http://127.0.0.1:9")


def test_a_model_of_our_own_has_a_name_that_mlflow_takes_and_its_files(embedded: Workspace, target: Path) -> None:
    log(embedded, "pricing/delay")
    log(embedded, "pricing.delay")

    outcome = export(embedded, str(target))

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    names = sorted(each.name for each in client(target).search_registered_models())
    assert names[0] == "pricing.delay"
    assert names[1].startswith("pricing.delay-")
    assert any(
        f"model:pricing/delay has another name there, since MLflow takes no slash: {names[1]}" in n for n in outcome.notes
    )
    place = Path(client(target).get_model_version_download_uri(names[1], "1"))
    assert {each.name for each in place.iterdir()} == embedded.models.show(
        Ref.parse("model:pricing/delay@1")
    ).record.files.keys()


def log(rooms: Workspace, name: str) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    table = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    rooms.models.log(name, LogisticRegression().fit(table, [0, 0, 1, 1]), example=table)


@pytest.fixture(scope="module")
def server(original: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server over an empty database."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(original.empty, folder / "mlflow.db")
    with running(folder) as url:
        yield url


@pytest.mark.slow
def test_names_that_a_server_does_not_take_are_others_there_and_that_is_said(embedded: Workspace, server: str) -> None:
    odd = ["a#b", "../x", "/a", "a//b", ".", "a\nb", "100%", "\u00e9 / 1"]
    run = embedded.experiments.start("odd names", tags=dict.fromkeys(odd, "tag")).ref
    points = [Point.of(name, at, step=step, time=BEGAN) for at, name in enumerate(odd) for step in range(3)]
    embedded.experiments.log(run, params=dict.fromkeys(odd, "value"), points=points)
    embedded.experiments.finish(run)

    first = export(embedded, server)
    again = export(embedded, server)

    assert first.agrees and again.agrees and again.added["runs"] == 0
    client = connected(server)
    (there,) = client.search_runs([client.get_experiment_by_name("odd names").experiment_id])
    assert (
        len(there.data.metrics) == len(there.data.params) == len(odd) and there.data.metrics["\u00e9 / 1"] == len(odd) - 1
    )
    (other,) = (name for name in there.data.metrics if name.startswith("a_b-") and there.data.metrics[name] == 0)
    assert len(client.get_metric_history(there.info.run_id, other)) == 3 and there.data.params[other] == "value"
    (told,) = first.remarks.values()
    assert f"'a#b': {other}" in told and len(told) == len(odd) - 1
    assert any("has a name there that MLflow takes" in note for note in first.notes)


@pytest.mark.slow
def test_a_running_server_is_given_everything_once(store: Store, embedded: Workspace, server: str) -> None:
    import mlflow

    bring(store, embedded)

    first = export(embedded, server)
    again = export(embedded, server)

    assert first.agrees, [line for line in first.check if line.verdict != "pass"]
    assert again.agrees
    assert set(again.added.values()) == {0}
    there = connected(server)
    experiment = there.get_experiment_by_name("Churn, 2026").experiment_id
    full = f"tags.modelwright.run = '{store.runs['full']}'"
    (run,) = there.search_runs([experiment], full)
    assert (run.info.run_name, run.info.status, run.info.end_time) == ("first try", "FINISHED", 1_700_000_100_456)
    assert {(p.step, p.timestamp, p.value) for p in there.get_metric_history(run.info.run_id, "loss")} == {
        (step, 1_700_000_000_000 + step, 1 / (step + 1)) for step in range(500)
    }
    assert [each.dataset.digest for each in run.inputs.dataset_inputs] == ["abc123"]
    versions = {each.version: each.current_stage for each in there.search_model_versions("name='churn'")}
    assert versions == {"1": "None", "3": "Production"}
    mlflow.set_tracking_uri(server)
    mlflow.set_registry_uri(server)
    assert mlflow.sklearn.load_model("models:/churn@champion").predict([[0.0], [3.0]]).tolist() == [0, 1]


@pytest.mark.slow
def test_a_source_that_a_server_does_not_take_is_kept_as_a_tag_and_that_is_said(
    store: Store, embedded: Workspace, server: str
) -> None:
    store.sql("DELETE FROM metrics")
    bring(store, embedded)

    outcome = export(embedded, server)

    version = connected(server).get_model_version("Fraud detector", "1")
    assert version.tags["modelwright.source"] == "https://models.example.com/fraud/1"
    assert [each for each in outcome.notes if each.startswith("Fraud detector version 1 (https://models.example.com/")]


@pytest.mark.slow
def test_the_files_of_a_version_of_our_own_come_to_a_server_and_a_version_of_others_is_left(
    embedded: Workspace, server: str
) -> None:
    there = connected(server)
    there.create_registered_model("taken")
    there.create_model_version("taken", "s3://bucket/theirs", description="theirs")
    log(embedded, "taken")
    log(embedded, "late")

    outcome = export(embedded, server)

    assert {line.what: line.there - line.here for line in outcome.check if line.verdict != "pass"} == {"versions": -1}
    assert [each for each in outcome.notes if each.startswith("taken version 1 could not be written: ")]
    assert there.get_model_version("taken", "1").description == "theirs"
    assert there.get_model_version("taken", "1").tags == {}
    held = embedded.models.show(Ref.parse("model:late@1")).record.files.keys()
    assert {each.path for each in mlflow_files(server, "models:/late/1")} == held


def mlflow_files(server: str, uri: str) -> Any:
    import mlflow

    mlflow.set_tracking_uri(server)
    mlflow.set_registry_uri(server)
    return mlflow.artifacts.list_artifacts(uri)
