"""Every kind of store gives the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.core.refs import Ref
from modelwright.exchange import Bringing, open_source
from modelwright.workspace import Workspace
from tests.exchange.conftest import Store
from tests.exchange.test_import import bring


def test_a_postgresql_database_gives_what_the_sqlite_one_gives(
    store: Store, postgres_url: str, embedded: Workspace
) -> None:
    _copy(store.uri, postgres_url)
    uri = postgres_url.replace("postgresql+psycopg://", "postgresql://")

    outcome = bring(store, embedded, uri=uri)

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    again = bring(store, embedded)  # from SQLite: the same runs, and nothing to bring
    assert set(again.added.values()) == {0}
    assert "password" not in outcome.source
    with pytest.raises(sa.exc.DBAPIError, match="read-only"):
        source: Any = open_source(uri)
        with source.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM runs"))


def _copy(one: str, other: str) -> None:
    """The tables as MLflow describes them for PostgreSQL, with the rows of the SQLite database."""
    from mlflow.store.model_registry.dbmodels import models as registry
    from mlflow.store.tracking.dbmodels import models as tracking

    assert registry.Base is tracking.Base
    there, here = sa.create_engine(one), sa.create_engine(other)
    with there.connect() as reading, here.begin() as writing:
        for table in tracking.Base.metadata.sorted_tables:
            copied = table.to_metadata(sa.MetaData())
            copied.constraints -= {each for each in copied.constraints if isinstance(each, sa.CheckConstraint)}
            writing.execute(sa.schema.CreateTable(copied, include_foreign_key_constraints=[]))
            columns = [column for column in table.columns if column.computed is None]
            rows = [dict(row._mapping) for row in reading.execute(sa.select(*columns))]
            if rows:
                writing.execute(table.insert(), rows)
    there.dispose()
    here.dispose()


def test_an_older_database_is_read_by_the_tables_and_columns_that_it_has(store: Store, embedded: Workspace) -> None:
    for table in (
        "logged_models",
        "logged_model_params",
        "logged_model_tags",
        "logged_model_metrics",
        "inputs",
        "datasets",
    ):
        store.sql(f"DROP TABLE {table}")
    for table in ("input_tags", "registered_model_aliases", "trace_info"):
        store.sql(f"DROP TABLE {table}")
    store.sql("ALTER TABLE model_versions DROP COLUMN storage_location")
    store.sql("ALTER TABLE runs DROP COLUMN deleted_time")

    outcome = bring(store, embedded)

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    counted = {line.what: line.here for line in outcome.check}
    assert (counted["runs"], counted["versions"], counted["logged models"], counted["aliases"]) == (7, 4, 0, 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, str]]:
    """A store of files, made by the real client."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param

    top = tmp_path / "mlruns"
    client = MlflowClient(tracking_uri=f"file://{top}", registry_uri=f"file://{top}")
    experiment = client.create_experiment("churn", tags={"team": "growth"})
    run = client.create_run(experiment, run_name="first", start_time=1_700_000_000_001, tags={"mlflow.user": "ada"})
    identity = run.info.run_id
    points = [Metric("a/b", 0.5, 1_700_000_000_000 + step, step) for step in range(20)]
    client.log_batch(identity, metrics=[*points, Metric("nan", float("nan"), 1, 0)], params=[Param("p", "1")])
    client.log_text(identity, "hello", "notes.txt")
    dataset = MetaDataset(HTTPDatasetSource("https://example.com/x"), name="x", digest="d1")._to_mlflow_entity()
    client.log_inputs(identity, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    model = client.create_logged_model(experiment, name="m", source_run_id=identity, params={"C": "1"}, tags={"k": "v"})
    client.log_outputs(identity, [LoggedModelOutput(model.model_id, 3)])
    client.set_terminated(identity)
    gone = client.create_run(experiment, run_name="gone").info.run_id
    client.delete_run(gone)
    old = client.create_experiment("old")
    client.create_run(old)
    client.delete_experiment(old)
    client.create_registered_model("churn", tags={"owner": "ada"}, description="Who leaves.")
    client.create_model_version("churn", f"runs:/{identity}/model", identity, tags={"n": "1"})
    client.set_registered_model_alias("churn", "shadow", "1")
    return top, {"first": identity, "gone": gone, "model": model.model_id}


def test_a_folder_of_files_comes_over(folder: tuple[Path, dict[str, str]], embedded: Workspace) -> None:
    top, ids = folder
    source = open_source(str(top))

    outcome = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    run = embedded.experiments.show(Ref.parse(f"run:{ids['first']}"))
    assert (run.name, run.status, run.params, run.user) == ("first", "finished", {"p": "1"}, "ada")
    assert embedded.experiments.curve(run.ref, "a/b").total == 20
    assert [each.tags for each in run.datasets] == [{"mlflow.data.context": "training"}]
    assert [(each.model, each.role, each.step) for each in run.models] == [(ids["model"], "output", 3)]
    assert [each.name for each in run.artifacts] == ["notes.txt"]
    assert embedded.experiments.show(Ref.parse(f"run:{ids['gone']}")).lifecycle == "deleted"
    assert embedded.experiments.experiment(Ref.parse("experiment:old")).lifecycle == "deleted"
    logged = embedded.logged_models.show(Ref.parse(f"logged-model:{ids['model']}"))
    assert (logged.name, logged.params, logged.tags["k"]) == ("m", {"C": "1"}, "v")
    again = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()
    assert set(again.added.values()) == {0}


@pytest.mark.slow
def test_a_running_server_comes_over_and_files_come_through_its_proxy(
    served: str, store: Store, embedded: Workspace
) -> None:
    api = httpx.Client(base_url=f"{served}/api/2.0")
    made = api.post("/mlflow/experiments/create", json={"name": "proxied"}).json()["experiment_id"]
    run = api.post("/mlflow/runs/create", json={"experiment_id": made, "start_time": 5}).json()["run"]["info"]
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    api.put(f"/mlflow-artifacts/artifacts/{path}/deep/er/a.txt", content=b"through the proxy").raise_for_status()
    here = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": made}}
    lone = {"trace_id": "tr-" + "a" * 32, "trace_location": here, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
    httpx.post(f"{served}/api/3.0/mlflow/traces", json={"trace": {"trace_info": lone}}).raise_for_status()
    source = open_source(served)

    outcome = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]
    counted = {line.what: line.here for line in outcome.check}
    assert (counted["runs"], counted["versions"], counted["logged models"]) == (8, 4, 1)
    brought = embedded.experiments.show(Ref.parse(f"run:{run['run_id']}"))
    file = brought.artifacts[0]
    assert (file.name, embedded.intake.blobs.read(file.digest)) == ("deep/er/a.txt", b"through the proxy")
    again = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()
    assert set(again.added.values()) == {0}
    assert embedded.traces.show(Ref.parse("trace:tr-" + "a" * 32)).spans == []  # it has none there
    trace = embedded.traces.show(Ref.parse(f"trace:{store.runs['trace']}"))
    assert [each.name for each in trace.spans] == ["answer", "look up"]
    assert trace.spans[1].attributes["mlflow.spanOutputs"] == {"found": [1, 2.5, None], "question": "why?"}
    assert {each.name: each.value for each in trace.info.assessments} == {"helpful": True, "expected": {"things": 3}}
    database = bring(store, embedded)  # and the database behind it has nothing more to give
    assert set(database.added.values()) == {0}


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        open_source(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(Invalid, match="mysql"):
        open_source("mysql://root@localhost/mlflow")
    (tmp_path / "text").mkdir()
    with pytest.raises(Invalid, match="no experiments"):
        open_source(str(tmp_path / "text"))
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE something (id INTEGER)"))
    with pytest.raises(Invalid, match="no table 'experiments'"):
        open_source(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(Unavailable, match="does not answer"):
        list(open_source("http://127.0.0.1:9").experiments())


def test_the_command_tells_both_counts_and_fails_where_they_differ(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.entry import run

    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "modelwright.toml").write_text("")
    command = ["import", "mlflow", store.uri, "--artifacts", store.artifacts, "-w", str(project)]

    assert run([*command, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"]["runs"] == 7
    assert run([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["what"]: each["verdict"] for each in told["check"]}["points"] == "pass"
    store.sql("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/x/artifacts' WHERE run_uuid = ?", store.runs["full"])
    assert run(["import", "mlflow", store.uri, "-w", str(project)]) == 4
    assert "give --artifacts" in capsys.readouterr().out
