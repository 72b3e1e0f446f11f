"""Traces through MLflow's own client and through OpenTelemetry's SDK."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from mlflow.entities import AssessmentSource, SpanType
from mlflow.entities.trace_state import TraceState
from mlflow.exceptions import MlflowException

ADA = AssessmentSource(source_type="HUMAN", source_id="ada")


@pytest.fixture
def experiment(mlflow: Any, request: pytest.FixtureRequest) -> str:
    return str(mlflow.set_experiment(f"traces {request.node.name}").experiment_id)


@pytest.fixture
def answered(mlflow: Any, experiment: str) -> str:
    """The id of a trace of three spans."""

    @mlflow.trace(span_type=SpanType.CHAIN)
    def answer(question: str) -> str:
        with mlflow.start_span("look up", span_type=SpanType.RETRIEVER, attributes={"k": 3}) as span:
            span.set_inputs({"q": question})
            span.set_outputs(["a", "b"])
        return ask(question)

    @mlflow.trace(span_type=SpanType.LLM)
    def ask(question: str) -> str:
        span = mlflow.get_current_active_span()
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12})
        return question.upper()

    answer("why?")
    mlflow.flush_trace_async_logging()
    return str(mlflow.get_last_active_trace_id())


def test_a_trace_comes_back_with_its_tree(mlflow: Any, answered: str, experiment: str) -> None:
    trace = mlflow.get_trace(answered)
    assert trace.info.experiment_id == experiment
    assert trace.info.state is TraceState.OK
    assert trace.info.token_usage == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    assert json.loads(trace.info.request_preview) == {"question": "why?"}
    spans = {span.name: span for span in trace.data.spans}
    assert set(spans) == {"answer", "look up", "ask"}
    root = spans["answer"]
    assert root.parent_id is None
    assert {spans["look up"].parent_id, spans["ask"].parent_id} == {root.span_id}
    assert (root.inputs, root.outputs) == ({"question": "why?"}, "WHY?")
    assert spans["look up"].outputs == ["a", "b"]
    assert spans["look up"].attributes["k"] == 3
    assert spans["ask"].span_type == "LLM"
    assert all(span.trace_id == answered for span in trace.data.spans)
    assert trace.info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert trace.info.tags["mlflow.traceName"] == "answer"


def test_an_exception_is_on_the_span_that_raised_it(mlflow: Any, experiment: str) -> None:
    @mlflow.trace
    def fail() -> None:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        fail()
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
    assert trace.info.state is TraceState.ERROR
    span = trace.data.spans[0]
    assert span.status.status_code.value == "ERROR"
    assert span.events[0].name == "exception"
    assert span.events[0].attributes["exception.message"] == "no answer"


def test_a_search_finds_traces_with_their_spans(mlflow: Any, answered: str, experiment: str) -> None:
    found = mlflow.search_traces(locations=[experiment], return_type="list")
    assert [trace.info.trace_id for trace in found] == [answered]
    assert len(found[0].data.spans) == 3
    frame = mlflow.search_traces(locations=[experiment], filter_string="trace.status = 'OK' AND span.type = 'LLM'")
    assert list(frame["trace_id"]) == [answered]
    for nothing in ("trace.status = 'ERROR'", "trace.text LIKE '%nowhere%'", "tags.a = 'b'"):
        assert mlflow.search_traces(locations=[experiment], filter_string=nothing, return_type="list") == []
    with pytest.raises(MlflowException, match="Invalid clause"):
        mlflow.search_traces(locations=[experiment], filter_string="nothing = 'a'")


def test_searches_come_in_pages(mlflow: Any, client: Any, experiment: str) -> None:
    @mlflow.trace
    def one() -> None:
        return None

    for _ in range(5):
        one()
    mlflow.flush_trace_async_logging()
    first = client.search_traces(locations=[experiment], max_results=3, include_spans=False)
    rest = client.search_traces(locations=[experiment], max_results=3, page_token=first.token, include_spans=False)
    assert (len(first), len(rest), rest.token) == (3, 2, None)
    assert len({trace.info.trace_id for trace in [*first, *rest]}) == 5


def test_tags_are_set_found_and_taken_away(mlflow: Any, client: Any, answered: str, experiment: str) -> None:
    client.set_trace_tag(answered, "team", "ops")
    assert client.get_trace(answered).info.tags["team"] == "ops"
    found = client.search_traces(locations=[experiment], filter_string="tags.team = 'ops'", include_spans=False)
    assert len(found) == 1
    client.delete_trace_tag(answered, "team")
    with pytest.raises(MlflowException) as raised:
        client.delete_trace_tag(answered, "team")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_trace_belongs_to_the_run_it_was_made_in(mlflow: Any, client: Any, experiment: str) -> None:
    @mlflow.trace
    def one() -> None:
        return None

    with mlflow.start_run() as run:
        one()
    one()
    mlflow.flush_trace_async_logging()
    other = mlflow.get_last_active_trace_id()
    found = client.search_traces(locations=[experiment], run_id=run.info.run_id, include_spans=False)
    assert len(found) == 1
    client.link_traces_to_run([other], run.info.run_id)
    found = client.search_traces(locations=[experiment], run_id=run.info.run_id, include_spans=False)
    assert len(found) == 2
    with pytest.raises(MlflowException):
        client.link_traces_to_run([other], "0" * 32)


def test_traces_are_deleted(mlflow: Any, client: Any, answered: str, experiment: str) -> None:
    assert client.delete_traces(experiment, trace_ids=[answered, "tr-none"]) == 1
    with pytest.raises(MlflowException) as raised:
        client.get_trace(answered)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert client.delete_traces(experiment, max_timestamp_millis=int(time.time() * 1000)) == 0


def test_feedback_and_expectations_are_logged_changed_and_deleted(mlflow: Any, answered: str, experiment: str) -> None:
    made = mlflow.log_feedback(
        trace_id=answered, name="good", value=0.5, rationale="so so", source=ADA, metadata={"a": "b"}
    )
    assert mlflow.get_assessment(answered, made.assessment_id).value == 0.5
    wanted = mlflow.log_expectation(trace_id=answered, name="answer", value={"a": [1, {"b": None}]}, source=ADA)
    found = {each.name: each for each in mlflow.get_trace(answered).info.assessments}
    assert found["good"].rationale == "so so"
    assert found["good"].source == ADA
    assert found["good"].metadata == {"a": "b"}
    assert found["answer"].value == {"a": [1, {"b": None}]}
    changed = mlflow.update_assessment(answered, made.assessment_id, mlflow.entities.Feedback(name="good", value="yes"))
    assert (changed.value, changed.rationale) == ("yes", "so so")
    frame = mlflow.search_traces(locations=[experiment], filter_string="feedback.good = 'yes'")
    assert len(frame) == 1
    mlflow.delete_assessment(answered, wanted.assessment_id)
    with pytest.raises(MlflowException) as raised:
        mlflow.get_assessment(answered, wanted.assessment_id)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_feedback_may_override_and_may_be_an_error(mlflow: Any, answered: str) -> None:
    first = mlflow.log_feedback(trace_id=answered, name="good", value=True, source=ADA)
    second = mlflow.override_feedback(trace_id=answered, assessment_id=first.assessment_id, value=False, source=ADA)
    assert second.overrides == first.assessment_id
    assert not mlflow.get_assessment(answered, first.assessment_id).valid
    failed = mlflow.log_feedback(trace_id=answered, name="judge", error=ValueError("no judge"), source=ADA)
    found = mlflow.get_assessment(answered, failed.assessment_id)
    assert (found.value, found.error.error_message) == (None, "no judge")


def test_filters_are_correlated(mlflow: Any, answered: str, experiment: str) -> None:
    from mlflow.tracking._tracking_service.utils import _get_store

    store = _get_store()
    found = store.calculate_trace_filter_correlation([experiment], "trace.status = 'OK'", "span.type = 'LLM'")
    assert (found.filter1_count, found.joint_count, found.total_count) == (1, 1, 1)


def test_traces_are_summed_up_for_the_client(mlflow: Any, answered: str, experiment: str) -> None:
    from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
    from mlflow.tracking._tracking_service.utils import _get_store

    store, count = _get_store(), [MetricAggregation(AggregationType.COUNT)]
    (found,) = store.query_trace_metrics(
        [experiment], MetricViewType.TRACES, "trace_count", count, ["trace_name"], ["trace.status = 'OK'"], 60
    )
    assert (found.metric_name, found.values, found.dimensions["trace_name"]) == ("trace_count", {"COUNT": 1.0}, "answer")
    assert found.dimensions["time_bucket"].endswith(":00+00:00")
    both = [MetricAggregation(AggregationType.SUM), MetricAggregation(AggregationType.PERCENTILE, 50)]
    (tokens,) = store.query_trace_metrics([experiment], MetricViewType.TRACES, "total_tokens", both)
    assert tokens.values == {"SUM": 12.0, "P50.0": 12.0}
    with pytest.raises(MlflowException) as raised:
        store.query_trace_metrics([experiment], MetricViewType.SPANS, "trace_count", count)
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


# Any OpenTelemetry SDK


@pytest.mark.parametrize("packed", ["none", "gzip", "deflate"])
def test_opentelemetrys_own_exporter_needs_a_header_and_no_more(mlflow: Any, served: Any, packed: str) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode

    experiment = mlflow.set_experiment(f"opentelemetry {packed}").experiment_id
    exporter = OTLPSpanExporter(
        f"{served.url}/v1/traces",
        headers={"x-mlflow-experiment-id": experiment},
        compression=Compression(packed),
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("order", kind=SpanKind.SERVER, attributes={"items": [1, 2], "vip": True}) as root:
        root.add_event("paid", {"amount": 12.5})
        with tracer.start_as_current_span("ship") as child:
            child.set_attributes({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4})
            child.set_status(Status(StatusCode.ERROR, "no stock"))
    provider.shutdown()
    found = mlflow.search_traces(locations=[experiment], return_type="list")
    assert len(found) == 1
    trace = found[0]
    assert trace.info.trace_id == f"tr-{root.get_span_context().trace_id:032x}"
    assert trace.info.tags["service.name"] == "shop"
    assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    spans = {span.name: span for span in trace.data.spans}
    assert spans["ship"].parent_id == spans["order"].span_id
    assert spans["ship"].status.description == "no stock"
    assert spans["order"].attributes["items"] == [1, 2]
    assert spans["order"].attributes["vip"] is True
    assert (spans["order"].events[0].name, spans["order"].events[0].attributes) == ("paid", {"amount": 12.5})


def one_span(**fields: Any) -> bytes:
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "json", "startTimeUnixNano": "1000000000", **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_spans_may_come_as_json(mlflow: Any, served: Any, experiment: str) -> None:
    headers = {"content-type": "application/json; charset=utf-8", "x-mlflow-experiment-id": experiment}
    answer = served.http.post("/v1/traces", content=one_span(endTimeUnixNano=2_000_000_000), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {})
    trace = mlflow.get_trace(f"tr-{'a' * 32}")
    assert (trace.data.spans[0].name, trace.info.execution_duration) == ("json", 1000)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (one_span(), {"x-mlflow-experiment-id": ""}, 422),
        (one_span(), {"content-type": "text/plain"}, 400),
        (one_span(), {"content-type": "application/x-protobuf"}, 400),
        (one_span(), {"content-encoding": "gzip"}, 400),
        (one_span(), {"content-encoding": "br"}, 400),
        (gzip.compress(one_span())[:-4], {"content-encoding": "gzip"}, 400),
        (None, {"content-encoding": "gzip"}, 400),
        (one_span(traceId="zz"), {}, 400),
        (one_span(name="\ud800"), {}, 400),
        (one_span(), {"x-mlflow-experiment-id": "999999"}, 404),
        (one_span(), {"x-mlflow-experiment-id": "../1"}, 400),
        (one_span(traceId="c" * 32), {"x-mlflow-run-id": "no-such-run"}, 404),
        (b"", {}, 400),
        (b"{}", {}, 400),
        (b"[" * 200_000, {}, 400),
        (b"\x0a\xff\xff\xff\xff\x0f", {"content-type": "application/x-protobuf"}, 400),
    ],
    ids=range(16),
)
def test_rubbish_is_refused(served: Any, body: bytes | None, headers: Any, status: int) -> None:
    if body is None:  # a bomb
        body = gzip.compress(b" " * 70_000_000, 1)
    sent = {"content-type": "application/json", "x-mlflow-experiment-id": "0"} | headers
    answer = served.http.post("/v1/traces", content=body, headers=sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"]


# The second version of the protocol


def test_an_older_client_begins_and_ends_a_trace(served: Any, experiment: str) -> None:
    fields = {"experiment_id": experiment, "timestamp_ms": 1_000, "request_metadata": [{"key": "a", "value": "b"}]}
    began = served.call("POST", "2.0/mlflow/traces", **fields, tags=[{"key": "mlflow.traceName", "value": "old"}]).json()
    identity = began["trace_info"]["request_id"]
    assert began["trace_info"]["status"] == "IN_PROGRESS"
    ended = served.call("PATCH", f"2.0/mlflow/traces/{identity}", timestamp_ms=1_500, status="OK").json()["trace_info"]
    assert (ended["execution_time_ms"], ended["status"]) == (500, "OK")
    info = served.call("GET", f"2.0/mlflow/traces/{identity}/info").json()["trace_info"]
    assert info["request_metadata"] == [{"key": "a", "value": "b"}]
    assert {"key": "mlflow.traceName", "value": "old"} in info["tags"]
    found = served.call("GET", "2.0/mlflow/traces", experiment_ids=experiment, filter="name = 'old'").json()
    assert [each["request_id"] for each in found["traces"]] == [identity]


# What is told of what does not do


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("POST", "3.0/mlflow/traces", {}, 400),
        ("POST", "3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": "tr-1"}}}, 400),
        ("POST", "3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": "../1", "trace_location": "E"}}}, 400),
        ("POST", "3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": "a/b", "trace_location": {}}}}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": []}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": ["E"], "max_results": 0}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": ["E"], "max_results": 501}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": ["E"], "page_token": "!"}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": ["E"], "filter": "((("}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": ["E"], "order_by": ["nothing"]}, 400),
        ("POST", "3.0/mlflow/traces/search", {"locations": [{"type": "UC_TABLE_PREFIX"}]}, 400),
        ("GET", "3.0/mlflow/traces/tr-none", {}, 404),
        ("GET", "3.0/mlflow/traces/..%2f..%2fetc", {}, 404),
        ("GET", "3.0/mlflow/traces/get", {"trace_id": "tr-none"}, 404),
        ("GET", "3.0/mlflow/traces/get", {}, 400),
        ("GET", "3.0/mlflow/traces/batchGet", {}, 400),
        ("GET", "3.0/mlflow/traces/batchGet", {"trace_ids": ["x"] * 501}, 400),
        ("POST", "3.0/mlflow/traces/batchGetInfos", {"trace_ids": ["tr-none"]}, 200),
        ("PATCH", "3.0/mlflow/traces/tr-none/tags", {"key": "a", "value": "b"}, 404),
        ("DELETE", "2.0/mlflow/traces/tr-none/tags", {"key": "a"}, 404),
        ("POST", "2.0/mlflow/traces/delete-traces", {"experiment_id": "E"}, 400),
        ("POST", "2.0/mlflow/traces/delete-traces", {"experiment_id": "E", "request_ids": ["a"], "max_traces": 1}, 400),
        ("POST", "2.0/mlflow/traces/delete-traces", {"experiment_id": "999999", "request_ids": ["a"]}, 404),
        ("POST", "2.0/mlflow/traces/link-to-run", {"run_id": "none", "trace_ids": ["tr-1"]}, 404),
        ("POST", "2.0/mlflow/traces/link-to-run", {"run_id": "none", "trace_ids": []}, 400),
        ("POST", "2.0/mlflow/traces/link-prompts", {"trace_id": "tr-none"}, 404),
        ("POST", "3.0/mlflow/traces/tr-none/assessments", {}, 400),
        ("POST", "3.0/mlflow/traces/tr-none/assessments", {"assessment": {"feedback": {"value": 1}}}, 400),
        (
            "POST",
            "3.0/mlflow/traces/tr-none/assessments",
            {"assessment": {"assessment_name": "a", "feedback": {"value": 1}}},
            404,
        ),
        (
            "POST",
            "3.0/mlflow/traces/tr-none/assessments",
            {"assessment": {"assessment_name": "a", "feedback": {"value": 1}, "expectation": {"value": 1}}},
            400,
        ),
        ("GET", "3.0/mlflow/traces/tr-none/assessments/a", {}, 404),
        ("PATCH", "3.0/mlflow/traces/tr-none/assessments/a", {"assessment": {"rationale": "b"}, "update_mask": ""}, 400),
        ("POST", "3.0/mlflow/traces/calculate-filter-correlation", {"experiment_ids": ["E"], "filter_string1": "("}, 400),
    ],
)
def test_what_does_not_do_is_told_so(served: Any, method: str, path: str, fields: Any, status: int) -> None:
    experiment = "0"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    text = json.dumps(fields).replace('"E"', json.dumps(experiment))
    for name in ('"locations": ["', '"trace_location": "'):
        text = text.replace(f'{name}{experiment}"', f"{name[:-1]}{json.dumps(place)}")
    answer = served.call(method, path, **json.loads(text))
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")


def test_a_trace_that_comes_before_its_spans_says_where_they_go(served: Any, experiment: str) -> None:
    """A client sends both at once; one that finds no place in the answer says that the trace is corrupted."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    info = {"trace_id": f"tr-{'d' * 32}", "trace_location": place, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
    made = served.call("POST", "3.0/mlflow/traces", trace={"trace_info": info}).json()["trace"]["trace_info"]
    assert made["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"
