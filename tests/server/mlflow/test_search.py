"""MLflow's searches, through its own client and by bare requests."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.server.mlflow.conftest import Served

LOGGED: list[dict[str, Any]] = [  # in order of time
    {
        "run_name": "one",
        "params": {"depth": "6", "my key": "Ab_"},
        "metrics": {"auc": 0.7, "val loss": 1},
        "tags": {"t": "x"},
    },
    {"run_name": "two", "params": {"depth": "8"}, "metrics": {"auc": 0.9, "val loss": math.nan}, "tags": {"t": ""}},
    {"run_name": "three", "params": {}, "metrics": {"auc": math.inf}, "tags": {}},
    {"run_name": "four", "params": {"depth": "6"}, "metrics": {}, "tags": {"t": "X" * 300}},
]


@pytest.fixture(scope="module")
def experiment(served_twice: Served) -> str:
    """An experiment with four runs."""
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    client = MlflowClient(served_twice.url)
    identity = str(client.create_experiment("searched", tags={"team": "ops"}))
    for number, each in enumerate(LOGGED):
        run = client.create_run(
            identity, run_name=each["run_name"], start_time=1000 + number, tags=each["tags"]
        ).info.run_id
        for key, value in each["params"].items():
            client.log_param(run, key, value)
        for key, value in each["metrics"].items():
            client.log_metric(run, key, value, step=3)
        data = Dataset(name="data", digest=f"d{number}", source_type="local", source="{}")
        if number < 2:
            tags = [InputTag(key="mlflow.data.context", value="train" if number else "test")]
            client.log_inputs(run, [DatasetInput(data, tags)])
    return identity


def names(served: Served, experiment: str, where: str = "", **more: Any) -> list[str]:
    answer = served.call("POST", "2.0/mlflow/runs/search", experiment_ids=[experiment], filter=where, **more)
    assert answer.status_code == 200, answer.text
    return [run["info"]["run_name"] for run in answer.json().get("runs", [])]


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("", ["four", "three", "two", "one"]),
        ("metrics.auc > 0.8", ["three", "two"]),
        ("metrics.auc != 0.9", ["three", "one"]),
        ("metrics.`val loss` <= 1", ["one"]),
        ("metrics.'val loss' <= 1", ["one"]),
        ("attributes.Created >= 1002 AND attr.`run name` = 'three'", ["three"]),
        ("params.depth = '6'", ["four", "one"]),
        ("params.depth != '6'", ["two"]),
        ("params.depth IS NULL", ["three"]),
        ("params.\"my key\" LIKE 'a%'", []),
        ("params.\"my key\" ILIKE 'a__'", ["one"]),
        ("tags.t = ''", ["two"]),
        (f"tags.t = '{'X' * 300}'", ["four"]),
        (f"tags.t LIKE '{'X' * 200}%'", ["four"]),
        ("tags.mlflow.runName = 'two' or run_name = 'one'", ["two", "one"]),
        ("attributes.status = 'RUNNING' AND start_time >= 1002", ["four", "three"]),
        ("status = 'running'", []),
        ("not (metrics.auc > 0.8)", ["four", "one"]),
        ("dataset.context = 'train'", ["two"]),
        ("datasets.digest IN ('d0', 'd7') and dataset.name = 'data'", ["one"]),
        ("end_time > 0", []),
    ],
)
def test_a_filter_finds(served_twice: Served, experiment: str, where: str, wanted: list[str]) -> None:
    assert names(served_twice, experiment, where) == wanted


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (["metrics.auc DESC"], ["three", "two", "one", "four"]),
        (["metrics.auc"], ["one", "two", "three", "four"]),
        (["metrics.`val loss` DESC"], ["one", "two", "four", "three"]),
        (["params.depth DESC", "start_time"], ["two", "one", "four", "three"]),
        (["tags.t ASC"], ["two", "four", "one", "three"]),
        (["attributes.run_name"], ["four", "one", "three", "two"]),
        (["start_time ASC"], ["one", "two", "three", "four"]),
    ],
)
def test_an_order_orders_with_what_is_missing_last(
    served_twice: Served, experiment: str, order: list[str], wanted: list[str]
) -> None:
    assert names(served_twice, experiment, order_by=order) == wanted
    paged, token = [], ""
    while True:
        fields = {"experiment_ids": [experiment], "order_by": order, "max_results": 1, "page_token": token}
        page = served_twice.call("POST", "2.0/mlflow/runs/search", **fields).json()
        paged += [run["info"]["run_name"] for run in page["runs"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert paged == wanted


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"filter": "metrics.auc > 'x'"}, "Invalid clause(s) in filter string"),
        ({"filter": "nothing"}, "Invalid clause(s) in filter string"),
        ({"filter": "params.depth IN ('6')"}, "Invalid clause(s) in filter string"),
        ({"order_by": ["metrics.auc DOWN"]}, "Invalid order_by"),
        ({"order_by": [f"metrics.m{at}" for at in range(51)]}, "at most 50 keys"),
        ({"max_results": 0}, "positive integer"),
        ({"max_results": 50001}, "at most 50000"),
        ({"max_results": "many"}, "max_results"),
        ({"page_token": "x!"}, "could not base64-decode"),
        ({"page_token": "eyJvZmZzZXQiOjF9"}, "page token"),
        ({"run_view_type": "SOME"}, "view type"),
        ({"experiment_ids": "1"}, "experiment_ids"),
    ],
)
def test_a_bad_search_says_what_is_wrong(served_twice: Served, experiment: str, fields: dict[str, Any], word: str) -> None:
    answer = served_twice.call("POST", "2.0/mlflow/runs/search", **{"experiment_ids": [experiment], **fields})
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert word in answer.json()["message"]


def test_exactly_the_last_page_has_no_token(served_twice: Served, experiment: str) -> None:
    full = served_twice.call("POST", "2.0/mlflow/runs/search", experiment_ids=[experiment], max_results=4).json()
    assert len(full["runs"]) == 4 and "next_page_token" not in full
    assert served_twice.call("POST", "2.0/mlflow/runs/search", experiment_ids=[]).json() == {}
    assert served_twice.call("POST", "2.0/mlflow/runs/search", experiment_ids=["777", "x"]).json() == {}


@pytest.mark.parametrize("of", ["metrics", "params", "tags"])
def test_the_longest_order_and_filter_are_answered(served_twice: Served, experiment: str, of: str) -> None:
    clause = "> 1" if of == "metrics" else "= 'x'"
    order, where = [f"{of}.m{at}" for at in range(50)], " AND ".join(f"{of}.m{at} {clause}" for at in range(200))
    for fields in ({"order_by": order}, {"filter": where}, {"order_by": order, "filter": where}):
        answer = served_twice.call("POST", "2.0/mlflow/runs/search", experiment_ids=[experiment], **fields)
        assert answer.status_code == 200, answer.text


def test_a_run_that_is_found_is_the_run_that_is_got(served_twice: Served, experiment: str) -> None:
    found = served_twice.call("POST", "2.0/mlflow/runs/search", experiment_ids=[experiment]).json()["runs"]
    for run in found:
        one = served_twice.call("GET", "2.0/mlflow/runs/get", run_id=run["info"]["run_id"]).json()["run"]
        assert one == run


def test_deleted_runs_are_found_where_they_are_asked_for(served: Served) -> None:
    call = served.call
    identity = call("POST", "2.0/mlflow/experiments/create", name="views").json()["experiment_id"]
    runs = [
        call("POST", "2.0/mlflow/runs/create", experiment_id=identity, run_name=name).json() for name in ("kept", "gone")
    ]
    call("POST", "2.0/mlflow/runs/delete", run_id=runs[1]["run"]["info"]["run_id"])
    for view, wanted in (
        ("ACTIVE_ONLY", {"kept"}),
        ("DELETED_ONLY", {"gone"}),
        ("ALL", {"kept", "gone"}),
        (3, {"kept", "gone"}),
    ):
        assert set(names(served, identity, run_view_type=view)) == wanted


def test_the_fluent_search_gives_a_table(mlflow: Any, served: Served) -> None:
    mlflow.set_experiment("fluent search")
    for depth in range(3):
        with mlflow.start_run():
            mlflow.log_param("depth", depth)
            mlflow.log_metric("auc", depth / 10)
    table = mlflow.search_runs(filter_string="metrics.auc > 0.05", order_by=["metrics.auc DESC"])
    assert list(table["params.depth"]) == ["2", "1"]
    ours = served.here.experiments.search("metrics.auc > 0.05", experiments=["fluent search"], order=["metrics.auc"])
    assert [run.params["depth"] for run in ours.items] == ["1", "2"]


def test_experiments_are_searched(client: Any, served: Served) -> None:
    made = [client.create_experiment(f"Found {name}", tags={"kind": name}) for name in ("b", "a", "c")]
    client.delete_experiment(made[2])

    def found(where: str, **more: Any) -> list[str]:
        return [each.name for each in client.search_experiments(filter_string=where, **more)]

    assert found("name LIKE 'Found %'") == ["Found a", "Found b"]
    assert found("name ILIKE 'found %'", order_by=["name DESC"]) == ["Found b", "Found a"]
    assert found("tags.kind = 'a' or tags.kind = 'c'", view_type=3) == ["Found c", "Found a"]
    assert found(f"experiment_id IN ('{made[0]}')") == ["Found b"]
    assert found("name LIKE 'Found %' and creation_time > 0 and last_update_time < 5") == []
    assert found("tags.kind IS NULL and name = 'Default'") == ["Default"]
    page = client.search_experiments(max_results=1, filter_string="name LIKE 'Found %'")
    assert page.token and [each.name for each in client.search_experiments(1, page_token=page.token)] != []
    call = served.call
    for fields in ({}, {"max_results": 0}, {"max_results": 50001}, {"max_results": 1, "filter": "status = 'x'"}):
        answer = call("POST", "2.0/mlflow/experiments/search", **fields)
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    listed = call("GET", "2.0/mlflow/experiments/search", max_results=1000, filter="name = 'Found a'").json()["experiments"]
    assert listed[0]["tags"] == [{"key": "kind", "value": "a"}]


def test_what_runs_have_read_is_listed(served_twice: Served, experiment: str) -> None:
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    answer = served_twice.http.post(path, json={"experiment_ids": [experiment]}).json()
    assert answer["dataset_summaries"] == [
        {"experiment_id": experiment, "name": "data", "digest": "d0", "context": "test"},
        {"experiment_id": experiment, "name": "data", "digest": "d1", "context": "train"},
    ]
    assert served_twice.http.post(path, json={"experiment_ids": ["777"]}).json() == {}
