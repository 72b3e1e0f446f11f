"""Filters and orders over traces, alike on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.traces import Assessment, AssessmentKind, Span, SpanBatch, SpanEvent, SpanStatus, TraceGiven, TraceState
from modelwright.traces.search.queries import npmi
from modelwright.workspace import Workspace

AT = 1_767_225_600_000
CHAT = Ref(Kind.EXPERIMENT, "chat")


def tid(number: int) -> str:
    return f"tr-{number:032x}"


FILTERS = {
    "": {1, 2, 3, 4},
    "status = 'OK'": {1, 4},
    "attributes.status = 'ok'": {1, 4},
    "trace.status != 'OK'": {2, 3},
    "status IN ('ERROR', 'IN_PROGRESS')": {2, 3},
    "status LIKE 'ERR%'": {2},
    "name = 'answer'": {1},
    "name LIKE 'ans%'": {1},
    "name LIKE 'ANS%'": set(),
    "name ILIKE 'ANS%'": {1, 3},
    "name IN ('answer', 'summary')": {1, 2},
    "name != 'answer'": {2, 3},
    f"request_id = '{tid(2)}'": {2},
    f"trace_id IN ('{tid(2)}', '{tid(3)}')": {2, 3},
    f"request_id NOT IN ('{tid(2)}', '{tid(3)}')": {1, 4},
    "client_request_id = 'c1'": {1},
    f"timestamp_ms > {AT + 1}": {2, 3, 4},
    f"timestamp <= {AT + 2}": {1, 2},
    "execution_time_ms >= 200": {2},
    "execution_time < 1e3": {1, 2},
    f"end_time = {AT + 1 + 100}": {1},
    "tags.team = 'ops'": {1},
    "tag.team != 'ops'": {2},
    "tags.`the team` LIKE '%x%'": {3},
    "tags.team IS NULL": {3, 4},
    "tags.team IS NOT NULL": {1, 2},
    "metadata.user = 'ada'": {1, 2},
    "request_metadata.user ILIKE 'AD_'": {1, 2},
    "metadata.`mlflow.trace.session` = 's1'": {1},
    "metadata.mlflow.trace.session = 's1'": {1},
    "run_id = 'r1'": {2},
    "run_id IN ('r1', 'r2')": {2},
    "span.name = 'ask'": {1},
    "span.type = 'LLM'": {1, 2},
    "span.status = 'ERROR'": {2},
    "span.type IN ('LLM', 'TOOL') AND status = 'OK'": {1},
    "span.attributes.model = 'small'": {1},
    "span.attributes.model != 'small'": {2},
    "span.attributes.model LIKE 'sm%'": {1},
    "span.attributes.n = '3'": {1},
    "span.attributes.on = 'true'": {1},
    "span.attributes.`gen_ai.model` ILIKE '%BIG%'": {2},
    "span.content LIKE '%needle%'": {2},
    "trace.text LIKE '%needle%'": {2},
    "trace.text LIKE '%a \"quoted\" word%'": {2},
    "text ILIKE '%ÜBER%'": {2},
    "text LIKE '%über%'": {2},
    "trace.text LIKE '%100!% sure%'": set(),
    "feedback.good = 'true'": {1},
    "feedback.good = 'false'": {2},
    "feedback.score > 3": {1},
    "feedback.score >= '3'": {1, 2},
    "feedback.score = 3": {2},
    "feedback.score IS NULL": {3, 4},
    "feedback.why LIKE '%short%'": {1},
    "expectation.good = 'true'": set(),
    "expectation.answer = '42'": {1},
    "expectation.answer IS NOT NULL": {1},
    "status = 'OK' OR tags.team = 'dev'": {1, 2, 4},
    "NOT status = 'OK'": {2, 3},
    "NOT (status = 'OK' OR client_request_id = 'c2')": {2, 3},
    "NOT execution_time > 100": {1, 3, 4},
    "(status = 'OK' AND name = 'answer') OR (name = 'summary')": {1, 2},
    "name = 'it''s'": set(),
    "tags.team = '%'": set(),
}

ORDERS: dict[tuple[str, ...], list[int]] = {
    (): [4, 3, 2, 1],
    ("timestamp_ms DESC",): [4, 3, 2, 1],
    ("timestamp ASC",): [1, 2, 3, 4],
    ("execution_time_ms",): [1, 2, 4, 3],
    ("execution_time DESC",): [2, 1, 4, 3],
    ("tags.team ASC",): [2, 1, 4, 3],
    ("tags.team DESC",): [1, 2, 4, 3],
    ("status", "timestamp_ms"): [2, 3, 1, 4],
    ("name DESC", "request_id"): [2, 1, 3, 4],
    ("metadata.user", "request_id DESC"): [2, 1, 4, 3],
}

REFUSED = [
    "status",
    "status = ",
    "status = OK",
    "nothing = 'a'",
    "span.nothing = 'a'",
    "span.attributes. = 'a'",
    "span.attributes.`a\"b` = 'x'",
    "trace.text = 'a'",
    "timestamp = 'late'",
    "prompt = 'no version'",
    "name RLIKE '(a+)+$'",
    "feedback.score > 'high'",
    "issue.id = 'i-1'",
    "status = 'OK' AND",
    "((status = 'OK')",
    "tags.team = 'ops' tags.team = 'ops'",
    "NOT " * 200 + "status = 'OK'",
    " AND ".join(["status = 'OK'"] * 300),
]


def span(trace: int, number: int, name: str, parent: int | None = None, **fields: Any) -> Span:
    ids = {"trace": f"{trace:032x}", "id": f"{number:016x}", "parent": None if parent is None else f"{parent:016x}"}
    start = (AT + trace) * 1_000_000
    return Span(name=name, **ids, **{"start": start, "end": start + 1_000_000, **fields})


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    workspace.experiments.create("chat")
    workspace.experiments.create("other")
    run = {"mlflow.sourceRun": "r1"}
    told = [
        TraceGiven(id=tid(1), state=TraceState.OK, started=AT + 1, milliseconds=100, client_request_id="c1",
                   tags={"mlflow.traceName": "answer", "team": "ops"},
                   metadata={"user": "ada", "mlflow.trace.session": "s1"}),
        TraceGiven(id=tid(2), state=TraceState.ERROR, started=AT + 2, milliseconds=200,
                   tags={"mlflow.traceName": "summary", "team": "dev"}, metadata={"user": "ada"} | run),
        TraceGiven(id=tid(3), state=TraceState.IN_PROGRESS, started=AT + 3,
                   tags={"mlflow.traceName": "Answers", "the team": "x"}),
        TraceGiven(id=tid(4), state=TraceState.OK, started=AT + 4),
    ]  # fmt: skip
    for each in told:
        workspace.traces.start(CHAT, each)
    workspace.traces.start(Ref(Kind.EXPERIMENT, "other"), TraceGiven(id=tid(5), started=AT))
    attributes = {"mlflow.spanType": "LLM", "model": "small", "n": 3, "on": True}
    failed = {"mlflow.spanType": "LLM", "model": "large", "gen_ai.model": "big one"}
    raised = SpanEvent(name="exception", time=1, attributes={"message": 'a "quoted" word, über\nneedle'})
    spans = [
        span(1, 1, "run"),
        span(1, 2, "ask", 1, attributes=attributes),
        span(2, 1, "sum", attributes=failed, status=SpanStatus.ERROR, events=[raised]),
    ]
    workspace.traces.log(CHAT, [SpanBatch(spans=spans)])
    judged: list[tuple[int, AssessmentKind, str, Any]] = [
        (1, AssessmentKind.FEEDBACK, "good", True),
        (2, AssessmentKind.FEEDBACK, "good", False),
        (1, AssessmentKind.FEEDBACK, "score", 4.5),
        (2, AssessmentKind.FEEDBACK, "score", 3),
        (1, AssessmentKind.FEEDBACK, "why", "too short"),
        (1, AssessmentKind.EXPECTATION, "answer", "42"),
    ]
    for trace, kind, name, value in judged:
        workspace.traces.assess(Ref(Kind.TRACE, tid(trace)), Assessment(name=name, kind=kind, value=value))
    return workspace


def search(workspace: Workspace, where: str = "", **asked: Any) -> list[int]:
    page = workspace.traces.search([CHAT], where=where, **asked)
    return [int(each.id.removeprefix("tr-"), 16) for each in page.items]


both_databases = pytest.mark.parametrize("workspace", ["sqlite-embedded", "postgresql-embedded"], indirect=True)


@both_databases
def test_filters_find_what_they_say(filled: Workspace) -> None:
    wrong = {where: got for where, wanted in FILTERS.items() if (got := set(search(filled, where))) != wanted}
    assert wrong == {}


@both_databases
def test_orders_put_what_has_no_value_last(filled: Workspace) -> None:
    wrong = {order: got for order, wanted in ORDERS.items() if (got := search(filled, order_by=order)) != wanted}
    assert wrong == {}


@pytest.mark.parametrize("workspace", ["sqlite-embedded"], indirect=True)
@pytest.mark.parametrize("order", [(), ("timestamp_ms DESC",), ("name ASC",), ("execution_time_ms DESC", "status")])
def test_pages_hold_every_trace_once(filled: Workspace, order: tuple[str, ...]) -> None:
    found, after = [], None
    for _ in range(5):
        page = filled.traces.search([CHAT], order_by=order, limit=1, after=after)
        found += [each.id for each in page.items]
        after = page.next
        if after is None:
            break
    assert sorted(found) == [tid(number) for number in (1, 2, 3, 4)]


@both_databases
def test_what_cannot_be_read_is_refused(filled: Workspace) -> None:
    for where in REFUSED:
        with pytest.raises(Invalid):
            search(filled, where)
    for order in ("nothing", "span.name", "timestamp UP", "feedback.good"):
        with pytest.raises(Invalid):
            search(filled, order_by=[order])
    for after in ("!", "e30x", "eyJza2lwIjotMX0=", "eyJhdCI6MWU5OX0="):
        with pytest.raises(Invalid):
            search(filled, after=after)
    for limit in (0, 501):
        with pytest.raises(Invalid):
            search(filled, limit=limit)


@pytest.mark.parametrize("workspace", ["sqlite-embedded"], indirect=True)
def test_several_experiments_are_looked_through_at_once(filled: Workspace) -> None:
    found = filled.traces.search([CHAT, Ref(Kind.EXPERIMENT, "other"), Ref(Kind.EXPERIMENT, "none")])
    assert len(found.items) == 5
    assert filled.traces.search([]).items == []


@pytest.mark.parametrize("workspace", ["sqlite-embedded"], indirect=True)
def test_filters_are_correlated(filled: Workspace) -> None:
    found = filled.traces.correlate([CHAT], "status = 'OK'", "metadata.user = 'ada'")
    assert (found.first, found.second, found.both, found.total) == (2, 2, 1, 4)
    assert found.npmi == pytest.approx(0.0)
    narrowed = filled.traces.correlate([CHAT], "tags.team = 'ops'", "status = 'OK'", where="metadata.user = 'ada'")
    assert (narrowed.total, narrowed.npmi) == (2, pytest.approx(1.0))


def test_npmi_is_as_bouma_defines_it() -> None:
    assert npmi(5, 5, 5, 10) == pytest.approx(1.0)
    assert npmi(5, 4, 2, 10) == pytest.approx(0.0)
    assert npmi(5, 5, 0, 10) == -1.0
    assert npmi(0, 5, 0, 10) is None
    assert npmi(10, 10, 10, 10) == 1.0
