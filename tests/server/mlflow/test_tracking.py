"""Experiments, runs, parameters, metrics and tags, through MLflow's own client and by bare requests."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

import modelwright as mw
from modelwright.core.refs import Kind, Ref
from tests.server.mlflow.conftest import Served


@pytest.fixture
def experiment(served: Served, request: pytest.FixtureRequest) -> str:
    """The id of an experiment of the test's own."""
    answer = served.call("POST", "2.0/mlflow/experiments/create", name=request.node.name)
    return str(answer.json()["experiment_id"])


@pytest.fixture
def run(served: Served, experiment: str) -> str:
    """The id of a run."""
    made = served.call("POST", "2.0/mlflow/runs/create", experiment_id=experiment, start_time=17)
    return str(made.json()["run"]["info"]["run_id"])


def get(served: Served, run: str) -> dict[str, Any]:
    return served.call("GET", "2.0/mlflow/runs/get", run_id=run).json()["run"]


def refused(answer: Any, code: str, *words: str) -> None:
    assert answer.json()["error_code"] == code, answer.text
    status = {"INVALID_PARAMETER_VALUE": 400, "RESOURCE_DOES_NOT_EXIST": 404, "RESOURCE_ALREADY_EXISTS": 400}[code]
    assert answer.status_code == status
    for word in words:
        assert word in answer.json()["message"], answer.text


def test_a_script_with_nested_runs_logs_as_ever(mlflow: Any, client: Any, served: Served) -> None:
    mlflow.set_experiment("a script / of ours")
    with mlflow.start_run(run_name="outer", tags={"team": "ops"}) as outer:
        mlflow.log_params({"depth": 6, "rate": 0.1, "empty": ""})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"auc": 0.7, "nan": math.nan, "inf": math.inf}, step=3)
        with mlflow.start_run(nested=True) as inner:
            mlflow.set_tag("note", "x" * 5000)
    shown = client.get_run(outer.info.run_id)
    assert shown.info.status == "FINISHED" and shown.info.run_name == "outer" == shown.data.tags["mlflow.runName"]
    assert shown.data.params == {"depth": "6", "rate": "0.1", "empty": ""}
    assert shown.data.metrics["loss"] == 0.2 and math.isnan(shown.data.metrics["nan"])
    assert shown.data.metrics["inf"] > 1e308 and shown.data.tags["team"] == "ops"
    history = client.get_metric_history(outer.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(5)]
    child = client.get_run(inner.info.run_id)
    assert child.data.tags["mlflow.parentRunId"] == outer.info.run_id and child.data.tags["note"] == "x" * 5000
    ours = served.here.experiments.show(f"run:{outer.info.run_id}")  # type: ignore[arg-type]
    assert ours.params["depth"] == "6" and ours.status == "finished" and ours.name == "outer"
    events = [event.action for event in served.here.record.history(ours.ref).items]
    assert sorted(events) == ["experiments.run.finished", "experiments.run.started"]


def test_nesting_is_one_thing_whoever_started_the_runs(mlflow: Any, client: Any, served: Served) -> None:
    name, quiet = "nested-by-both", {"capture": False, "system_metrics": False}
    experiment = str(served.here.experiments.create(name).id)
    with (
        mw.start_run(name, workspace=served.here, name="ours", **quiet) as ours,  # type: ignore[arg-type]
        mw.start_run(name, workspace=served.here, name="fold", nested=True, **quiet) as fold,  # type: ignore[arg-type]
    ):
        pass
    mlflow.set_experiment(name)
    with (
        mlflow.start_run(run_name="theirs") as theirs,
        mlflow.start_run(run_name="split", nested=True) as split,
        mw.start_run(name, workspace=served.here, name="both", parent=theirs.info.run_id, **quiet) as both,  # type: ignore[arg-type]
    ):
        pass
    found = {
        above: {run.info.run_name for run in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{above}'")}
        for above in (ours.id, theirs.info.run_id)
    }
    assert found == {ours.id: {"fold"}, theirs.info.run_id: {"split", "both"}}
    assert client.get_parent_run(both.id).info.run_id == theirs.info.run_id
    assert served.here.experiments.show(Ref(Kind.RUN, split.info.run_id)).parent == theirs.info.run_id
    for above, below in ((ours.id, fold.id), (theirs.info.run_id, split.info.run_id), (theirs.info.run_id, both.id)):
        page = served.http.get(f"/runs/{above}", headers={"accept": "text/html"}).text
        assert "Nested runs" in page and f'href="/runs/{below}"' in page
        page = served.http.get(f"/runs/{below}", headers={"accept": "text/html"}).text
        assert "Nested in" in page and f'href="/runs/{above}"' in page


def test_a_script_that_fails_leaves_a_failed_run(mlflow: Any, client: Any) -> None:
    with pytest.raises(ValueError, match="no rows"), mlflow.start_run() as run:
        raise ValueError("no rows")
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_a_run_is_resumed_and_ended_again(mlflow: Any, client: Any) -> None:
    with mlflow.start_run() as run:
        pass
    with mlflow.start_run(run_id=run.info.run_id):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("late", 1)
    client.log_metric(run.info.run_id, "later", 2)  # one that has ended takes figures
    client.set_terminated(run.info.run_id, "KILLED")
    shown = client.get_run(run.info.run_id)
    assert shown.info.status == "KILLED" and shown.data.metrics == {"late": 1, "later": 2}


def test_the_first_experiment_is_there_from_the_start(client: Any) -> None:
    assert client.get_experiment("0").name == "Default"
    assert client.get_experiment_by_name("Default").experiment_id == "0"


def test_an_experiments_life(client: Any, served: Served) -> None:
    identity = client.create_experiment("life & death", tags={"a": "1"})
    client.set_experiment_tag(identity, "b", "ü" * 20_000)
    client.rename_experiment(identity, "after life")
    found = client.get_experiment_by_name("after life")
    assert found.experiment_id == identity and found.tags == {"a": "1", "b": "ü" * 20_000}
    assert client.get_experiment_by_name("life & death") is None
    assert found.artifact_location == f"mlflow-artifacts:/{identity}"
    run = client.create_run(identity)
    client.delete_experiment(identity)
    assert client.get_experiment(identity).lifecycle_stage == "deleted"
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    call = served.call
    refused(call("POST", "2.0/mlflow/experiments/create", name="after life"), "RESOURCE_ALREADY_EXISTS", "deleted state")
    refused(call("POST", "2.0/mlflow/experiments/delete", experiment_id=identity), "RESOURCE_DOES_NOT_EXIST")
    refused(call("POST", "2.0/mlflow/runs/create", experiment_id=identity), "INVALID_PARAMETER_VALUE", "'active' state")
    for path, fields in (("set-experiment-tag", {"key": "c", "value": "1"}), ("update", {"new_name": "x"})):
        answer = call("POST", f"2.0/mlflow/experiments/{path}", experiment_id=identity, **fields)
        refused(answer, "INVALID_PARAMETER_VALUE", "'active' state")
    client.restore_experiment(identity)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
    refused(call("POST", "2.0/mlflow/experiments/restore", experiment_id=identity), "RESOURCE_DOES_NOT_EXIST")
    assert client.delete_experiment_tag(identity, "a") is None


@pytest.mark.parametrize(
    ("path", "fields", "code", "word"),
    [
        ("create", {}, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"),
        ("create", {"name": ""}, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'"),
        ("create", {"name": "x" * 501}, "INVALID_PARAMETER_VALUE", "'name' exceeds the maximum length of 500 characters"),
        ("create", {"name": 7}, "INVALID_PARAMETER_VALUE", "parameter 'name'"),
        ("create", {"name": "q", "artifact_location": "s3://b/k?x=1"}, "INVALID_PARAMETER_VALUE", "artifact_location"),
        ("create", {"name": "Default"}, "RESOURCE_ALREADY_EXISTS", "already exists"),
        ("delete", {"experiment_id": "777777"}, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=777777 exists"),
        ("delete", {"experiment_id": "../x"}, "INVALID_PARAMETER_VALUE", "experiment_id"),
        ("update", {"new_name": "x"}, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'experiment_id'"),
        ("set-experiment-tag", {"experiment_id": "0", "key": "k" * 251}, "INVALID_PARAMETER_VALUE", "250"),
        (
            "set-experiment-tag",
            {"experiment_id": "0", "key": "a", "value": "x" * 20_001},
            "INVALID_PARAMETER_VALUE",
            "20000",
        ),
        ("delete-experiment-tag", {"experiment_id": "0", "key": "none"}, "RESOURCE_DOES_NOT_EXIST", "none"),
    ],
)
def test_a_bad_word_about_an_experiment(served: Served, path: str, fields: dict[str, Any], code: str, word: str) -> None:
    refused(served.call("POST", f"2.0/mlflow/experiments/{path}", **fields), code, word)


def test_a_new_run_in_its_exact_form(served: Served, experiment: str) -> None:
    tags = [{"key": "mlflow.runName", "value": "one"}, {"key": "a", "value": ""}]
    made = served.call(
        "POST", "2.0/mlflow/runs/create", experiment_id=experiment, user_id="ada", start_time="17", tags=tags, unknown=[1]
    ).json()["run"]
    identity = made["info"]["run_id"]
    info = {
        "run_uuid": identity,
        "experiment_id": experiment,
        "run_name": "one",
        "user_id": "ada",
        "status": "RUNNING",
        "start_time": 17,
        "artifact_uri": f"mlflow-artifacts:/{experiment}/{identity}/artifacts",
        "lifecycle_stage": "active",
        "run_id": identity,
    }
    told = [{"key": "a", "value": ""}, {"key": "mlflow.runName", "value": "one"}]
    assert made == {"info": info, "data": {"tags": told}, "inputs": {}} == get(served, identity)
    other = served.call(
        "POST",
        "2.0/mlflow/runs/create",
        experiment_id=experiment,
        run_name="two",
        tags=[{"key": "mlflow.runName", "value": "3"}],
    )
    refused(other, "INVALID_PARAMETER_VALUE", "mlflow.runName")


def test_the_name_and_its_tag_always_agree(served: Served, run: str) -> None:
    def names() -> set[str]:
        shown = get(served, run)
        tags = {tag["key"]: tag["value"] for tag in shown["data"]["tags"]}
        return {shown["info"]["run_name"], tags["mlflow.runName"]}

    served.call("POST", "2.0/mlflow/runs/set-tag", run_id=run, key="mlflow.runName", value="by tag")
    assert names() == {"by tag"}
    answer = served.call("POST", "2.0/mlflow/runs/update", run_id=run, run_name="by update")
    assert answer.json()["run_info"]["run_name"] == "by update" and answer.json()["run_info"]["status"] == "RUNNING"
    assert names() == {"by update"}
    served.call("POST", "2.0/mlflow/runs/log-batch", run_id=run, tags=[{"key": "mlflow.runName", "value": "by batch"}])
    assert names() == {"by batch"}


def test_an_unknown_status_changes_nothing(served: Served, run: str) -> None:
    answer = served.call("POST", "2.0/mlflow/runs/update", run_id=run, status="SLEEPING")
    assert answer.status_code == 200 and answer.json()["run_info"]["status"] == "RUNNING"


def test_the_latest_is_of_the_highest_step_then_time_then_value(served: Served, run: str) -> None:
    for step, time, value in ((5, 10, 1.0), (3, 99, 2.0), (5, 9, 7.0), (5, 10, 3.0), (5, 10, 2.0), (-1, 5, 9)):
        answer = served.call(
            "POST", "2.0/mlflow/runs/log-metric", run_id=run, key="m", value=value, timestamp=time, step=step
        )
        assert answer.content == b"{}"
    assert get(served, run)["data"]["metrics"] == [{"key": "m", "value": 3.0, "timestamp": 10, "step": 5}]
    history = served.call("GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="m").json()["metrics"]
    assert [(point["timestamp"], point["step"], point["value"]) for point in history] == [
        (5, -1, 9.0), (9, 5, 7.0), (10, 5, 1.0), (10, 5, 2.0), (10, 5, 3.0), (99, 3, 2.0),
    ]  # fmt: skip


def test_the_same_point_twice_is_one(served: Served, run: str) -> None:
    for _ in range(3):
        served.call("POST", "2.0/mlflow/runs/log-metric", run_id=run, key="m", value=1.5, timestamp=7)
    answer = served.call("GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="m")
    assert answer.json() == {"metrics": [{"key": "m", "value": 1.5, "timestamp": 7, "step": 0}]}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('"NaN"', "NaN"), ("NaN", "NaN"), ('"Infinity"', 1.7976931348623157e308), ('"-Infinity"', -1.7976931348623157e308),
        ("Infinity", 1.7976931348623157e308), ('"1.5"', 1.5), ("1", 1.0), ("-0.0", 0.0), ("1e-300", 1e-300),
    ],
)  # fmt: skip
def test_a_figure_in_every_spelling(served: Served, run: str, given: str, shown: float | str) -> None:
    body = f'{{"run_id":"{run}","key":"m","value":{given},"timestamp":1}}'
    assert served.http.post("/api/2.0/mlflow/runs/log-metric", content=body).json() == {}
    assert get(served, run)["data"]["metrics"][0]["value"] == shown


def test_a_history_comes_page_by_page(served: Served, run: str) -> None:
    points = [{"key": "m", "value": i, "timestamp": i, "step": i} for i in range(10)]
    assert served.call("POST", "2.0/mlflow/runs/log-batch", run_id=run, metrics=points).json() == {}
    token, seen = "", []
    for size in (5, 5, None):
        page = served.call(
            "GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="m", max_results=5, page_token=token
        ).json()
        seen += [point["step"] for point in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
        assert size is not None
    assert seen == list(range(10)) and not token
    assert served.call("GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="none").json() == {}
    bad = served.call("GET", "2.0/mlflow/metrics/get-history", run_id=run, metric_key="m", page_token="x!")
    refused(bad, "INVALID_PARAMETER_VALUE", "could not base64-decode")


def test_histories_of_several_runs_for_a_chart(served: Served, experiment: str) -> None:
    runs = []
    for factor in (1, 2):
        made = served.call("POST", "2.0/mlflow/runs/create", experiment_id=experiment).json()["run"]["info"]["run_id"]
        points = [{"key": "m", "value": i * factor, "timestamp": i, "step": i} for i in range(1000)]
        served.call("POST", "2.0/mlflow/runs/log-batch", run_id=made, metrics=points)
        runs.append(made)
    for prefix in ("api", "ajax-api"):
        bulk = served.http.get(f"/{prefix}/2.0/mlflow/metrics/get-history-bulk", params={"run_id": runs, "metric_key": "m"})
        assert [len([p for p in bulk.json()["metrics"] if p["run_id"] == each]) for each in runs] == [1000, 1000]
    asked = {"run_ids": runs, "metric_key": "m", "max_results": 10, "start_step": 100, "end_step": 200}
    thinned = served.http.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", params=asked).json()["metrics"]
    for each in runs:
        steps = [point["step"] for point in thinned if point["run_id"] == each]
        assert steps[0] == 100 and steps[-1] == 200 and len(steps) <= 10
    still = [{"key": "s", "value": i, "timestamp": i, "step": 0} for i in range(1000)]  # whoever gives no steps
    served.call("POST", "2.0/mlflow/runs/log-batch", run_id=runs[0], metrics=still)
    asked = {"run_ids": runs[:1], "metric_key": "s", "max_results": 7}
    thinned = served.http.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", params=asked).json()["metrics"]
    assert [point["value"] for point in (thinned[0], thinned[-1])] == [0, 999] and len(thinned) == 7
    many = {"run_ids": runs[:1] + [f"r{i}" for i in range(100)], "metric_key": "m"}
    refused(
        served.http.get("/api/2.0/mlflow/metrics/get-history-bulk-interval", params=many),
        "INVALID_PARAMETER_VALUE",
        "100 runs",
    )


def test_a_parameter_is_written_once(served: Served, run: str) -> None:
    call = served.call
    assert call("POST", "2.0/mlflow/runs/log-parameter", run_id=run, key="p", value="1").json() == {}
    assert call("POST", "2.0/mlflow/runs/log-parameter", run_id=run, key="p", value="1").json() == {}
    refused(
        call("POST", "2.0/mlflow/runs/log-parameter", run_id=run, key="p", value="2"),
        "INVALID_PARAMETER_VALUE", "Changing param values is not allowed", "'1'", "'2'",
    )  # fmt: skip
    batch = {"params": [{"key": "p", "value": "3"}], "metrics": [{"key": "m", "value": 1, "timestamp": 1}]}
    refused(call("POST", "2.0/mlflow/runs/log-batch", run_id=run, **batch), "INVALID_PARAMETER_VALUE", "Changing param")
    twice = [{"key": "q", "value": "1"}, {"key": "q", "value": "2"}]
    refused(call("POST", "2.0/mlflow/runs/log-batch", run_id=run, params=twice), "INVALID_PARAMETER_VALUE", "Duplicate")
    assert call("POST", "2.0/mlflow/runs/log-parameter", run_id=run, key="none").json() == {}
    shown = get(served, run)["data"]
    assert shown["params"] == [{"key": "p", "value": "1"}, {"key": "none", "value": ""}] and "metrics" not in shown


def test_what_is_too_long_is_cut_or_refused(served: Served, run: str) -> None:
    batch = {"params": [{"key": "p", "value": "x" * 7000}], "tags": [{"key": "t", "value": "y" * 9000}]}
    assert served.call("POST", "2.0/mlflow/runs/log-batch", run_id=run, **batch).json() == {}
    data = get(served, run)["data"]
    assert len(data["params"][0]["value"]) == 6000 and len(data["tags"][0]["value"]) == 8000
    huge = served.call("POST", "2.0/mlflow/runs/set-tag", run_id=run, key="t", value="z" * 10_000_000)
    assert huge.status_code in (200, 400, 413)


def test_tags_are_replaced_and_taken_away(served: Served, run: str) -> None:
    call = served.call
    for value in ("1", "2", ""):
        call("POST", "2.0/mlflow/runs/set-tag", run_id=run, key="t", value=value)
    assert {"key": "t", "value": ""} in get(served, run)["data"]["tags"]
    assert call("POST", "2.0/mlflow/runs/delete-tag", run_id=run, key="t").json() == {}
    refused(call("POST", "2.0/mlflow/runs/delete-tag", run_id=run, key="t"), "RESOURCE_DOES_NOT_EXIST", "t")


def test_a_deleted_run_can_be_read_and_takes_nothing(served: Served, run: str) -> None:
    call = served.call
    for _ in range(2):
        assert call("POST", "2.0/mlflow/runs/delete", run_id=run).json() == {}
    assert get(served, run)["info"]["lifecycle_stage"] == "deleted"
    for path, fields in (
        ("log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("log-parameter", {"key": "p", "value": "1"}),
        ("set-tag", {"key": "t", "value": "1"}),
        ("delete-tag", {"key": "t"}),
        ("log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": 1}]}),
        ("log-batch", {}),
        ("update", {"status": "FINISHED"}),
        ("log-inputs", {"datasets": []}),
        ("outputs", {"models": [{"model_id": "m-1"}]}),
    ):
        answer = call("POST", f"2.0/mlflow/runs/{path}", run_id=run, **fields)
        refused(answer, "INVALID_PARAMETER_VALUE", "must be in the 'active' state. Current state is deleted.")
    for _ in range(2):
        assert call("POST", "2.0/mlflow/runs/restore", run_id=run).json() == {}
    assert call("POST", "2.0/mlflow/runs/log-metric", run_id=run, key="m", value=1, timestamp=1).json() == {}


PATHS = (
    "log-metric",
    "log-parameter",
    "set-tag",
    "delete-tag",
    "log-batch",
    "update",
    "delete",
    "restore",
    "log-inputs",
    "outputs",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_run_that_does_not_exist(served: Served, path: str) -> None:
    fields = {"key": "m", "value": "1", "timestamp": 1}
    answer = served.call("POST", f"2.0/mlflow/runs/{path}", run_id="0" * 32, **fields)
    refused(answer, "RESOURCE_DOES_NOT_EXIST", "0" * 32)
    refused(served.call("POST", f"2.0/mlflow/runs/{path}", **fields), "INVALID_PARAMETER_VALUE", "'run_id'")
    refused(served.call("POST", f"2.0/mlflow/runs/{path}", run_id="../x", **fields), "INVALID_PARAMETER_VALUE", "run_id")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("log-metric", '"key":"m","value":"abc","timestamp":1'),
        ("log-metric", '"key":"m","timestamp":1'),
        ("log-metric", '"key":"m","value":null,"timestamp":1'),
        ("log-metric", '"key":"m","value":1'),
        ("log-metric", '"key":"m","value":1,"timestamp":-1'),
        ("log-metric", '"key":"m","value":1,"timestamp":99999999999999999999'),
        ("log-metric", '"key":"m","value":1,"timestamp":9223372036854775807'),
        ("log-metric", '"key":"m","value":1,"timestamp":1,"step":9223372036854775808'),
        ("log-metric", '"key":"m","value":1,"timestamp":1,"step":"x"'),
        ("log-metric", '"key":"m","value":{},"timestamp":1'),
        ("log-metric", '"key":"m","value":true,"timestamp":1'),
        ("log-metric", '"key":"","value":1,"timestamp":1'),
        ("log-metric", '"key":"a/../b","value":1,"timestamp":1'),
        ("log-metric", '"key":"/a","value":1,"timestamp":1'),
        ("log-metric", '"key":".","value":1,"timestamp":1'),
        ("log-metric", '"key":"a\\u0000b","value":1,"timestamp":1'),
        ("log-metric", '"key":"a;b","value":1,"timestamp":1'),
        ("log-metric", f'"key":"{"k" * 251}","value":1,"timestamp":1'),
        ("log-parameter", '"key":"p","value":1'),
        ("log-parameter", '"value":"1"'),
        ("set-tag", '"key":7,"value":"x"'),
        ("log-batch", '"metrics":{}'),
        ("log-batch", '"metrics":[1]'),
        ("log-batch", '"metrics":[{"key":"m"}]'),
        ("log-batch", '"params":[{"value":"x"}]'),
        ("log-batch", '"tags":"x"'),
        ("log-inputs", '"datasets":[{"tags":[]}]'),
        ("log-inputs", '"datasets":[{"dataset":{"name":"d"}}]'),
        ("log-inputs", '"datasets":[{"dataset":{"name":"d","digest":"' + "x" * 37 + '","source_type":"a","source":"b"}}]'),
        ("log-model", '"model_json":"{"'),
        ("log-model", '"model_json":"{}"'),
        ("update", '"end_time":-5'),
        ("update", '"end_time":"soon"'),
    ],
)
def test_bad_input_is_never_a_failure_of_the_server(served: Served, run: str, path: str, body: str) -> None:
    answer = served.http.post(f"/api/2.0/mlflow/runs/{path}", content=f'{{"run_id":"{run}",{body}}}')
    refused(answer, "INVALID_PARAMETER_VALUE")
    data = get(served, run)["data"]
    assert "metrics" not in data and "params" not in data


@pytest.mark.parametrize("what", ["metrics", "params", "tags"])
def test_a_batch_has_its_limits(served: Served, run: str, what: str) -> None:
    most = 1000 if what == "metrics" else 100
    items = [{"key": f"k{i}", "value": 1.0 if what == "metrics" else "1", "timestamp": 1} for i in range(most + 1)]
    refused(
        served.call("POST", "2.0/mlflow/runs/log-batch", run_id=run, **{what: items}),
        "INVALID_PARAMETER_VALUE",
        str(most + 1),
    )
    assert served.call("POST", "2.0/mlflow/runs/log-batch", run_id=run, **{what: items[:-1]}).json() == {}


def test_together_a_batch_has_a_thousand(served: Served, run: str) -> None:
    metrics = [{"key": f"k{i}", "value": i, "timestamp": 1} for i in range(1000)]
    answer = served.call(
        "POST", "2.0/mlflow/runs/log-batch", run_id=run, metrics=metrics, params=[{"key": "p", "value": ""}]
    )
    refused(answer, "INVALID_PARAMETER_VALUE", "1001")


def test_a_null_is_as_if_the_field_were_not_there(served: Served, experiment: str) -> None:
    call = served.call
    tags = [{"key": "a", "value": None}]
    made = call("POST", "2.0/mlflow/runs/create", experiment_id=experiment, run_name=None, tags=tags).json()["run"]
    run = made["info"]["run_id"]
    point = {"key": "m", "value": 1, "timestamp": 5, "step": None, "model_id": None}
    assert call("POST", "2.0/mlflow/runs/log-batch", run_id=run, metrics=[point], params=None).json() == {}
    dataset = {"name": "d", "digest": "1", "source_type": "s", "source": "x", "schema": None}
    assert (
        call("POST", "2.0/mlflow/runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": None}]).json() == {}
    )
    shown = get(served, run)
    assert shown["data"]["metrics"] == [{"key": "m", "value": 1.0, "timestamp": 5, "step": 0}]
    assert {"key": "a", "value": ""} in shown["data"]["tags"]
    assert shown["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "d"
    refused(call("POST", "2.0/mlflow/runs/log-batch", run_id=run, metrics=[None]), "INVALID_PARAMETER_VALUE", "metrics")


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"run_id": 1}', "\x00", "{" * 5000, '{"a":' * 3000, b'{"run_id":"\xff"}']
)
def test_a_body_that_is_none(served: Served, body: str | bytes) -> None:
    answer = served.http.post("/api/2.0/mlflow/runs/log-metric", content=body)
    assert answer.status_code == 400 and answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


def test_what_a_run_read_and_made_comes_back(mlflow: Any, client: Any, served: Served) -> None:
    import pandas as pd

    data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="small")
    with mlflow.start_run() as run:
        for _ in range(2):
            mlflow.log_input(data, context="training")
    shown = client.get_run(run.info.run_id)
    (read,) = shown.inputs.dataset_inputs
    assert read.dataset.name == "small" and read.dataset.digest == data.digest
    assert [(tag.key, tag.value) for tag in read.tags] == [("mlflow.data.context", "training")]
    path, models = "2.0/mlflow/runs/outputs", [{"model_id": "m-1", "step": "3"}]
    assert served.call("POST", path, run_id=run.info.run_id, models=models).json() == {}
    assert get(served, run.info.run_id)["outputs"] == {"model_outputs": [{"model_id": "m-1", "step": 3}]}


def test_a_figure_of_a_logged_model_is_one_of_the_run_as_well(
    client: Any, served: Served, experiment: str, run: str
) -> None:
    model = served.call("POST", "2.0/mlflow/logged-models", experiment_id=experiment, source_run_id=run).json()["model"]
    identity = model["info"]["model_id"]
    client.log_metric(run, "auc", 0.7, model_id=identity, dataset_name="d", dataset_digest="1")
    client.log_metric(run, "loss", 0.3, model_id="m-" + "0" * 32)
    assert client.get_run(run).data.metrics == {"auc": 0.7, "loss": 0.3}
    (figure,) = client.get_logged_model(identity).metrics
    assert (figure.key, figure.value, figure.run_id, figure.dataset_name) == ("auc", 0.7, run, "d")


def test_an_old_flavours_note_on_its_model_is_kept(served: Served, run: str) -> None:
    note = '{"artifact_path":"model","flavors":{},"utc_time_created":"x","run_id":"' + run + '"}'
    for _ in range(2):
        assert served.call("POST", "2.0/mlflow/runs/log-model", run_id=run, model_json=note).json() == {}
    tags = {tag["key"]: tag["value"] for tag in get(served, run)["data"]["tags"]}
    assert tags["mlflow.log-model.history"].count('"artifact_path":"model"') == 2


def test_many_threads_write_to_one_run_and_nothing_is_lost(served_twice: Served) -> None:
    made = served_twice.call("POST", "2.0/mlflow/runs/create", experiment_id="0").json()["run"]["info"]["run_id"]
    answers: list[Any] = []

    def write(worker: int) -> None:
        for at in range(10):
            points = [{"key": f"m{i}", "value": worker, "timestamp": worker, "step": at} for i in range(20)]
            both = {
                "metrics": points,
                "params": [{"key": "p", "value": "same"}],
                "tags": [{"key": "t", "value": str(worker)}],
            }
            answers.append(served_twice.call("POST", "2.0/mlflow/runs/log-batch", run_id=made, **both))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    for key in ("m0", "m19"):
        history = served_twice.call("GET", "2.0/mlflow/metrics/get-history", run_id=made, metric_key=key).json()["metrics"]
        assert len(history) == 80
    shown = served_twice.call("GET", "2.0/mlflow/runs/get", run_id=made).json()["run"]["data"]
    assert {(metric["step"], metric["value"]) for metric in shown["metrics"]} == {(9, 7.0)}
