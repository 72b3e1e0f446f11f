"""Figures over traces, spans and assessments, alike on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.traces import (
    Assessment,
    AssessmentKind,
    FigureQuery,
    Span,
    SpanBatch,
    SpanStatus,
    Summary,
    TraceGiven,
    TraceState,
    View,
)
from modelwright.workspace import Workspace

AT = 1_767_225_600_000  # a full hour
CHAT = Ref(Kind.EXPERIMENT, "chat")
both_databases = pytest.mark.parametrize("workspace", ["sqlite-embedded", "postgresql-embedded"], indirect=True)


def how(*names: str) -> list[Summary]:
    """`avg`, or `p95` for a percentile."""
    return [
        Summary(how="percentile", percentile=float(name[1:])) if name[1:].isdigit() else Summary(how=name)  # type: ignore[arg-type]
        for name in names
    ]


def tid(number: int) -> str:
    return f"tr-{number:032x}"


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    workspace.experiments.create("chat")
    workspace.experiments.create("other")
    tokens = [
        '{"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}',
        '{"cache_read_input_tokens":7,"input_tokens":20,"total_tokens":20.0}',
        "no JSON at all",
        '{"input_tokens": "text"}',
    ]
    for number in range(4):
        told = TraceGiven(
            id=tid(number + 1),
            state=TraceState.ERROR if number == 3 else TraceState.OK,
            started=AT + number * 1_800_000,  # every half hour
            milliseconds=[100, 200, 400, None][number],
            tags={"mlflow.traceName": "answer" if number < 3 else "sum up", "the team": "ops" if number else "dev"},
            metadata={"mlflow.trace.tokenUsage": tokens[number], "mlflow.trace.session": f"s{number // 2}"},
        )
        workspace.traces.start(CHAT, told)
    workspace.traces.start(Ref(Kind.EXPERIMENT, "other"), TraceGiven(id=tid(9), started=AT, milliseconds=1))
    begin = AT * 1_000_000
    model = {"mlflow.spanType": "LLM", "mlflow.llm.model": "small", "mlflow.llm.cost": {"total_cost": 0.25}}
    spans = [
        Span(trace=f"{1:032x}", id=f"{1:016x}", name="run", start=begin, end=begin + 100_000_000),
        Span(trace=f"{1:032x}", id=f"{2:016x}", name="ask", start=begin, end=begin + 50_000_000, attributes=model),
        Span(trace=f"{2:032x}", id=f"{1:016x}", name="ask", start=begin, status=SpanStatus.ERROR, attributes=model),
    ]
    workspace.traces.log(CHAT, [SpanBatch(spans=spans)])
    for number, value in ((1, True), (2, False), (1, 4.5), (1, "short")):
        name = "good" if isinstance(value, bool) else "score"
        made = Assessment(name=name, kind=AssessmentKind.FEEDBACK, value=value)
        workspace.traces.assess(Ref(Kind.TRACE, tid(number)), made)
    return workspace


def ask(workspace: Workspace, view: View, metric: str, *hows: str, **asked: Any) -> list[tuple[Any, ...]]:
    """Each figure as its dimensions' values, its time, and its values."""
    query = FigureQuery(view=view, metric=metric, how=how(*hows), **asked)
    found = workspace.traces.figures([CHAT], query).items
    return [(*each.dimensions.values(), *([each.time] if each.time else []), *each.values.values()) for each in found]


@both_databases
def test_traces_are_summed_up(filled: Workspace) -> None:
    t = View.TRACES
    assert ask(filled, t, "trace_count", "count") == [(4.0,)]
    assert ask(filled, t, "session_count", "count") == [(2.0,)]
    assert ask(filled, t, "trace_count", "count", by=["trace_name", "trace_status"]) == [
        ("answer", "OK", 3.0),
        ("sum up", "ERROR", 1.0),
    ]
    (latency,) = ask(filled, t, "latency", "sum", "avg", "min", "max", "p50", "p75", "p100", "p0")
    assert latency == pytest.approx((700, 700 / 3, 100, 400, 200, 300, 400, 100))
    assert ask(filled, t, "input_tokens", "sum", "p50", by=["trace_name"]) == [("answer", 30.0, 15.0)]
    assert ask(filled, t, "total_tokens", "max") == [(20.0,)]
    assert ask(filled, t, "cache_read_input_tokens", "sum") == [(7.0,)]
    assert ask(filled, t, "cache_creation_input_tokens", "sum") == []


@both_databases
def test_time_is_cut_into_pieces_and_bounded(filled: Workspace) -> None:
    first, second = (datetime.fromtimestamp(AT / 1000 + hour * 3600, UTC) for hour in (0, 1))
    counted = ask(filled, View.TRACES, "trace_count", "count", every=3600)
    assert counted == [(first, 2.0), (second, 2.0)]
    assert ask(filled, View.TRACES, "latency", "p50", every=3600) == [(first, 150.0), (second, 400.0)]
    assert ask(filled, View.TRACES, "trace_count", "count", since=AT + 1, until=AT + 3_600_000) == [(2.0,)]


@both_databases
def test_spans_and_assessments_are_summed_up(filled: Workspace) -> None:
    assert ask(filled, View.SPANS, "span_count", "count", by=["span_name", "span_type"]) == [
        ("ask", "LLM", 2.0),
        ("run", "", 1.0),
    ]
    assert ask(filled, View.SPANS, "latency", "max", by=["span_status"]) == [("UNSET", 100.0)]
    assert ask(filled, View.SPANS, "total_cost", "sum", by=["span_model_name"]) == [("small", 0.5)]
    assert ask(filled, View.SPANS, "span_count", "count", where=["span.name = 'ask'", "trace.status = 'OK'"]) == [(2.0,)]
    assert ask(filled, View.ASSESSMENTS, "assessment_count", "count", by=["assessment_name", "assessment_value"]) == [
        ("good", "false", 1.0),
        ("good", "true", 1.0),
        ("score", "4.5", 1.0),
        ("score", "short", 1.0),
    ]
    assert ask(filled, View.ASSESSMENTS, "assessment_value", "avg", where=["assessment.name = 'good'"]) == [(0.5,)]


@both_databases
def test_figures_are_filtered_by_what_is_said_of_their_traces(filled: Workspace) -> None:
    wanted = {
        "trace.status = 'error'": 1,
        "trace.tag.`the team` = 'ops'": 3,
        "trace.metadata.`mlflow.trace.session` = 's0'": 2,
        "trace.metadata.mlflow.sourceRun = 'none'": 0,
        "NOT (trace.status = 'OK' OR trace.tag.`the team` = 'dev')": 1,
    }
    got = {where: ask(filled, View.TRACES, "trace_count", "count", where=[where])[0][0] for where in wanted}
    assert got == wanted


@pytest.mark.parametrize("workspace", ["sqlite-embedded"], indirect=True)
def test_figures_come_in_pages(filled: Workspace) -> None:
    query = FigureQuery(view=View.TRACES, metric="trace_count", how=how("count"), every=1800)
    first = filled.traces.figures([CHAT], query, limit=3)
    rest = filled.traces.figures([CHAT], query, limit=3, after=first.next)
    assert (len(first.items), len(rest.items), rest.next) == (3, 1, None)
    assert len({each.time for each in [*first.items, *rest.items]}) == 4


@pytest.mark.parametrize("workspace", ["sqlite-embedded"], indirect=True)
def test_what_there_is_no_figure_of_is_refused(filled: Workspace) -> None:
    t = View.TRACES
    refused: list[tuple[View, str, list[str], dict[str, Any]]] = [
        (t, "nothing", ["sum"], {}),
        (t, "span_count", ["count"], {}),
        (t, "latency", ["count"], {}),
        (t, "trace_count", ["sum"], {}),
        (t, "latency", [], {}),
        (t, "latency", ["p101"], {}),
        (t, "latency", ["avg"], {"by": ["span_name"]}),
        (t, "latency", ["avg"], {"by": ["trace_name", "trace_name"]}),
        (t, "latency", ["avg"], {"where": ["span.name = 'ask'"]}),
        (t, "latency", ["avg"], {"where": ["trace.nothing = 'ask'"]}),
        (t, "latency", ["avg"], {"every": 0}),
        (t, "latency", ["avg"], {"until": 2**62}),
    ]
    for view, metric, hows, asked in refused:
        with pytest.raises(Invalid):
            ask(filled, view, metric, *hows, **asked)
    fine = FigureQuery(view=t, metric="latency", how=how("avg"))
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after": "-1"}, {"after": "9" * 30}):
        with pytest.raises(Invalid):
            filled.traces.figures([CHAT], fine, **wrong)  # type: ignore[arg-type]
