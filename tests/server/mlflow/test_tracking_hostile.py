"""Every attack of the list on every parameter of tracking, traces and what hangs on them: and never a 500."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Lifecycle
from tests.server.mlflow.attacking import NESTED, WRONG_TYPES, Target, check
from tests.server.mlflow.payloads import EVERYTHING, HEAVY, INJECTIONS, SCRIPTS, TRAVERSALS

EXPERIMENTS, RUNS, METRICS, LOGGED = (f"2.0/mlflow/{each}" for each in ("experiments", "runs", "metrics", "logged-models"))
TRACES, SETS, SCORERS, HOOKS = "3.0/mlflow/traces", "3.0/mlflow/datasets", "3.0/mlflow/scorers", "2.0/mlflow/webhooks"
RUN, TRACE, SET, MODEL = "RUN-ID", "tr-" + "a" * 32, "SET-ID", "m-" + "0" * 32
PLACE = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
INFO = {
    "trace_id": TRACE,
    "trace_location": PLACE,
    "request_time": "2026-11-01T00:00:00Z",
    "execution_duration": "0.5s",
    "state": "OK",
    "client_request_id": "c",
    "request_preview": "q",
    "response_preview": "a",
    "trace_metadata": {"k": "v"},
    "tags": {"k": "v"},
}
JUDGED = {
    "assessment_name": "good",
    "source": {"source_type": "HUMAN", "source_id": "ada"},
    "feedback": {"value": "yes"},
    "rationale": "r",
    "metadata": {"k": "v"},
    "span_id": "s",
    "overrides": "",
}
DATASET = {"name": "d", "digest": "1", "source_type": "s", "source": "x", "schema": "", "profile": ""}
# Every endpoint with a request that is good but for one parameter at a time. A path in a name leads into what it holds.
REQUESTS: list[tuple[str, str, dict[str, Any], Sequence[str]]] = [
    ("POST", f"{EXPERIMENTS}/create", {"name": "Default", "artifact_location": "", "tags": [{"key": "k", "value": "v"}]},
     ("name", "artifact_location", "tags.0.key", "tags.0.value")),
    ("GET", f"{EXPERIMENTS}/get", {"experiment_id": "0"}, ("experiment_id",)),
    ("GET", f"{EXPERIMENTS}/get-by-name", {"experiment_name": "Default"}, ("experiment_name",)),
    ("POST", f"{EXPERIMENTS}/update", {"experiment_id": "1", "new_name": "spare"}, ("experiment_id", "new_name")),
    ("POST", f"{EXPERIMENTS}/delete", {"experiment_id": "777"}, ("experiment_id",)),
    ("POST", f"{EXPERIMENTS}/restore", {"experiment_id": "777"}, ("experiment_id",)),
    ("POST", f"{EXPERIMENTS}/set-experiment-tag", {"experiment_id": "0", "key": "k", "value": "v"},
     ("experiment_id", "key", "value")),
    ("POST", f"{EXPERIMENTS}/delete-experiment-tag", {"experiment_id": "0", "key": "k"}, ("experiment_id", "key")),
    ("POST", f"{EXPERIMENTS}/search",
     {"max_results": 1, "filter": "", "order_by": ["name"], "view_type": "ALL", "page_token": ""},
     ("max_results", "filter", "order_by.0", "view_type", "page_token")),
    ("POST", f"{EXPERIMENTS}/search-datasets", {"experiment_ids": ["0"]}, ("experiment_ids.0",)),
    ("POST", f"{RUNS}/create",
     {"experiment_id": "0", "user_id": "a", "run_name": "n", "start_time": 1, "tags": [{"key": "k", "value": "v"}]},
     ("experiment_id", "user_id", "run_name", "start_time", "tags.0.key", "tags.0.value")),
    ("GET", f"{RUNS}/get", {"run_id": RUN, "run_uuid": ""}, ("run_id", "run_uuid")),
    ("POST", f"{RUNS}/update", {"run_id": RUN, "status": "RUNNING", "end_time": 1, "run_name": "n"},
     ("run_id", "status", "end_time", "run_name")),
    ("POST", f"{RUNS}/delete", {"run_id": "none"}, ("run_id",)),
    ("POST", f"{RUNS}/restore", {"run_id": "none"}, ("run_id",)),
    ("POST", f"{RUNS}/log-metric",
     {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1, "step": 1, "model_id": MODEL, "dataset_name": "d",
      "dataset_digest": "1"},
     ("run_id", "key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest")),
    ("POST", f"{RUNS}/log-parameter", {"run_id": RUN, "key": "p", "value": "v"}, ("run_id", "key", "value")),
    ("POST", f"{RUNS}/log-batch",
     {"run_id": RUN, "metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 1}],
      "params": [{"key": "p", "value": "v"}], "tags": [{"key": "t", "value": "v"}]},
     ("run_id", "metrics.0.key", "metrics.0.value", "metrics.0.timestamp", "metrics.0.step", "params.0.key",
      "params.0.value", "tags.0.key", "tags.0.value")),
    ("POST", f"{RUNS}/set-tag", {"run_id": RUN, "key": "t", "value": "v"}, ("run_id", "key", "value")),
    ("POST", f"{RUNS}/delete-tag", {"run_id": RUN, "key": "none"}, ("run_id", "key")),
    ("POST", f"{RUNS}/log-inputs",
     {"run_id": RUN, "datasets": [{"dataset": DATASET, "tags": [{"key": "k", "value": "v"}]}],
      "models": [{"model_id": MODEL}]},
     ("run_id", *(f"datasets.0.dataset.{each}" for each in DATASET), "datasets.0.tags.0.key", "datasets.0.tags.0.value",
      "models.0.model_id")),
    ("POST", f"{RUNS}/outputs", {"run_id": RUN, "models": [{"model_id": MODEL, "step": 1}]},
     ("run_id", "models.0.model_id", "models.0.step")),
    ("POST", f"{RUNS}/log-model", {"run_id": RUN, "model_json": "{}"}, ("run_id", "model_json")),
    ("POST", f"{RUNS}/search",
     {"experiment_ids": ["0"], "filter": "", "run_view_type": "ALL", "max_results": 1, "order_by": ["start_time"],
      "page_token": ""},
     ("experiment_ids.0", "filter", "run_view_type", "max_results", "order_by.0", "page_token")),
    ("GET", f"{METRICS}/get-history", {"run_id": RUN, "metric_key": "m", "page_token": "", "max_results": 1},
     ("run_id", "metric_key", "page_token", "max_results")),
    ("GET", f"{METRICS}/get-history-bulk", {"run_id": RUN, "metric_key": "m", "max_results": 1},
     ("run_id", "metric_key", "max_results")),
    ("GET", f"{METRICS}/get-history-bulk-interval",
     {"run_ids": RUN, "metric_key": "m", "start_step": 0, "end_step": 5, "max_results": 1},
     ("run_ids", "metric_key", "start_step", "end_step", "max_results")),
    ("POST", f"{LOGGED}/search",
     {"experiment_ids": ["0"], "filter": "", "datasets": [{"dataset_name": "d", "dataset_digest": "1"}], "max_results": 1,
      "order_by": [{"field_name": "name", "ascending": True}], "page_token": ""},
     ("experiment_ids.0", "filter", "datasets.0.dataset_name", "datasets.0.dataset_digest", "max_results",
      "order_by.0.field_name", "order_by.0.ascending", "page_token")),
    ("POST", TRACES, {"trace": {"trace_info": INFO}},
     tuple(f"trace.trace_info.{each}" for each in
           ("trace_id", "trace_location.mlflow_experiment.experiment_id", "request_time", "execution_duration", "state",
            "client_request_id", "request_preview", "trace_metadata.k", "tags.k"))),
    ("POST", f"{TRACES}/search",
     {"locations": [PLACE], "filter": "", "max_results": 1, "order_by": ["timestamp"], "page_token": ""},
     ("locations.0.mlflow_experiment.experiment_id", "filter", "max_results", "order_by.0", "page_token")),
    ("GET", f"{TRACES}/get", {"trace_id": TRACE, "allow_partial": "true"}, ("trace_id", "allow_partial")),
    ("GET", f"{TRACES}/batchGet", {"trace_ids": TRACE, "experiment_ids": "0"}, ("trace_ids", "experiment_ids")),
    ("POST", f"{TRACES}/batchGetInfos", {"trace_ids": [TRACE]}, ("trace_ids.0",)),
    ("POST", f"{TRACES}/calculate-filter-correlation",
     {"experiment_ids": ["0"], "filter_string1": "", "filter_string2": "", "base_filter": ""},
     ("experiment_ids.0", "filter_string1", "filter_string2", "base_filter")),
    ("POST", f"{TRACES}/metrics",
     {"experiment_ids": ["0"], "view_type": "TRACES", "metric_name": "trace_count",
      "aggregations": [{"aggregation_type": "COUNT"}], "dimensions": ["trace_name"], "filters": [""],
      "time_interval_seconds": 60, "start_time_ms": 0, "end_time_ms": 9, "max_results": 1, "page_token": ""},
     ("experiment_ids.0", "view_type", "metric_name", "aggregations.0.aggregation_type", "dimensions.0", "filters.0",
      "time_interval_seconds", "start_time_ms", "end_time_ms", "max_results", "page_token")),
    ("POST", f"{TRACES}/link-to-run", {"trace_ids": [TRACE], "run_id": RUN}, ("trace_ids.0", "run_id")),
    ("POST", f"{TRACES}/link-prompts", {"trace_id": TRACE, "prompt_versions": [{"name": "p", "version": "1"}]},
     ("trace_id", "prompt_versions.0.name", "prompt_versions.0.version")),
    ("POST", f"{TRACES}/delete-traces", {"experiment_id": "0", "request_ids": ["tr-none"]},
     ("experiment_id", "request_ids.0")),
    ("POST", f"{TRACES}/delete-traces", {"experiment_id": "0", "max_timestamp_millis": 0, "max_traces": 1},
     ("max_traces",)),
    ("PATCH", f"{TRACES}/{TRACE}/tags", {"key": "t", "value": "v"}, ("key", "value")),
    ("DELETE", f"{TRACES}/{TRACE}/tags", {"key": "none"}, ("key",)),
    ("POST", f"{TRACES}/{TRACE}/assessments", {"assessment": JUDGED},
     tuple(f"assessment.{each}" for each in
           ("assessment_name", "source.source_type", "source.source_id", "feedback.value", "rationale", "metadata.k",
            "span_id", "overrides"))),
    ("POST", "2.0/mlflow/traces",
     {"experiment_id": "0", "timestamp_ms": 1, "status": "OK", "request_metadata": [{"key": "k", "value": "v"}],
      "tags": [{"key": "k", "value": "v"}]},
     ("experiment_id", "timestamp_ms", "request_metadata.0.key", "request_metadata.0.value", "tags.0.key", "tags.0.value")),
    ("PATCH", f"2.0/mlflow/traces/{TRACE}", {"timestamp_ms": 1, "status": "OK"}, ("timestamp_ms", "status")),
    ("GET", "2.0/mlflow/traces", {"experiment_ids": "0", "filter": "", "order_by": "timestamp"},
     ("experiment_ids", "filter", "order_by")),
    ("POST", f"{SETS}/create", {"name": "set", "experiment_ids": ["0"], "tags": "{}"},
     ("name", "experiment_ids.0", "tags")),
    ("POST", f"{SETS}/search",
     {"experiment_ids": ["0"], "filter_string": "", "max_results": 1, "order_by": ["name"], "page_token": ""},
     ("experiment_ids.0", "filter_string", "max_results", "order_by.0", "page_token")),
    ("POST", f"{SETS}/{SET}/records", {"records": '[{"inputs": {"a": 1}}]'}, ("records",)),
    ("GET", f"{SETS}/{SET}/records", {"max_results": 1, "page_token": ""}, ("max_results", "page_token")),
    ("DELETE", f"{SETS}/{SET}/records", {"dataset_record_ids": ["none"]}, ("dataset_record_ids.0",)),
    ("PATCH", f"{SETS}/{SET}/tags", {"tags": '{"k": "v"}'}, ("tags",)),
    ("POST", f"{SETS}/{SET}/add-experiments", {"experiment_ids": ["0"]}, ("experiment_ids.0",)),
    ("POST", f"{SETS}/{SET}/remove-experiments", {"experiment_ids": ["777"]}, ("experiment_ids.0",)),
    ("POST", f"{SCORERS}/register", {"experiment_id": "0", "name": "s", "serialized_scorer": "{}"},
     ("experiment_id", "name", "serialized_scorer")),
    ("GET", f"{SCORERS}/get", {"experiment_id": "0", "name": "s", "version": 1}, ("experiment_id", "name", "version")),
    ("GET", f"{SCORERS}/list", {"experiment_id": "0"}, ("experiment_id",)),
    ("DELETE", f"{SCORERS}/delete", {"experiment_id": "0", "name": "none", "version": 1},
     ("experiment_id", "name", "version")),
    ("POST", HOOKS,
     {"name": "w", "description": "", "url": "https://127.0.0.1/x",
      "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}], "secret": "", "status": "ACTIVE"},
     ("name", "description", "url", "events.0.entity", "events.0.action", "secret", "status")),
    ("GET", HOOKS, {"max_results": 1, "page_token": ""}, ("max_results", "page_token")),
]  # fmt: skip
PARAMETERS = [(method, path, fields, name) for method, path, fields, names in REQUESTS for name in names]
WRITES = [*TRAVERSALS[::7], *INJECTIONS[::3], *SCRIPTS[::2], *HEAVY[::4]]
SHARE = 24  # of a list for one parameter, another part for each


@pytest.fixture(scope="module")
def target(served: Any) -> Iterator[Target]:
    made = Target(served.here)
    made.one("GET", f"{EXPERIMENTS}/get", {"experiment_id": "0"})
    spare = made.one("POST", f"{EXPERIMENTS}/create", {"name": "spare"}).told["experiment_id"]
    assert spare == "1"
    run = made.one("POST", f"{RUNS}/create", {"experiment_id": "0"}).told["run"]["info"]["run_id"]
    made.one("POST", TRACES, {"trace": {"trace_info": INFO}})
    made.known = {RUN: run, SET: made.one("POST", f"{SETS}/create", {"name": "first"}).told["dataset"]["dataset_id"]}
    yield made
    kept = made.one("GET", f"{EXPERIMENTS}/get", {"experiment_id": "0"}).told["experiment"]
    assert (kept["name"], kept["lifecycle_stage"]) == ("Default", "active")
    assert served.here.experiments.show(Ref(Kind.RUN, run)).lifecycle is Lifecycle.ACTIVE


def put(fields: Any, name: str, value: Any) -> Any:
    """The fields with one of them, named by its path, replaced."""
    first, _, rest = name.partition(".")
    if isinstance(fields, list):
        at = int(first)
        return [*fields[:at], put(fields[at], rest, value) if rest else value, *fields[at + 1 :]]
    return {**fields, first: put(fields[first], rest, value) if rest else value}


def requests(fields: Mapping[str, Any], name: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    return [put(fields, name, value) for value in values]


@pytest.mark.parametrize(("method", "path", "fields", "name"), PARAMETERS)
def test_no_payload_breaks_a_parameter(
    target: Target, method: str, path: str, fields: dict[str, Any], name: str, thorough: bool
) -> None:
    payloads = EVERYTHING if method == "GET" or path.endswith("search") else WRITES
    if not thorough:
        payloads = payloads[PARAMETERS.index((method, path, fields, name)) % SHARE :: SHARE]
    answers = target.send([(method, path, each) for each in requests(fields, name, payloads)])
    for payload, answer in zip(payloads, answers, strict=True):
        check(answer, payload)


@pytest.mark.parametrize(("method", "path", "fields", "names"), [each for each in REQUESTS if each[0] != "GET"])
def test_no_wrong_type_breaks_a_parameter(
    target: Target, method: str, path: str, fields: dict[str, Any], names: Sequence[str], thorough: bool
) -> None:
    for at, name in enumerate(names):
        values = WRONG_TYPES if thorough else WRONG_TYPES[at % 5 :: 5]
        answers = target.send([(method, path, each) for each in requests(fields, name, values)])
        for value, answer in zip(values, answers, strict=True):
            check(answer, (name, value))


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"a":"\xff"}', NESTED.encode()])
def test_no_body_breaks_it(target: Target, body: bytes) -> None:
    for answer in target.raw([(method, path, body) for method, path, _, _ in REQUESTS if method != "GET"]):
        check(answer, body[:50])
