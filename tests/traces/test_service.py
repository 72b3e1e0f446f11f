"""What is known of traces, whichever way and in whatever order it arrives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwright.core.errors import Conflict, Denied, Invalid, NotFound
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.store import EventFilter, acting_as
from modelwright.traces import (
    Assessment,
    AssessmentChange,
    AssessmentKind,
    PromptUse,
    Span,
    SpanBatch,
    SpanEvent,
    SpanLink,
    SpanStatus,
    TraceGiven,
    TraceState,
)
from modelwright.workspace import Workspace

AT = 1_767_225_600_000  # 2026-01-01 in milliseconds
CHAT = Ref(Kind.EXPERIMENT, "chat")


def identity(number: int) -> str:
    return f"{number:032x}"


def ref_of(number: int) -> Ref:
    return Ref(Kind.TRACE, f"tr-{identity(number)}")


def span(number: int, name: str = "answer", *, trace: int = 1, parent: int | None = None, **fields: Any) -> Span:
    start = (AT + number) * 1_000_000
    return Span(
        trace=identity(trace),
        id=f"{number:016x}",
        parent=None if parent is None else f"{parent:016x}",
        name=name,
        **{"start": start, "end": start + 40_000_000, **fields},
    )


def log(workspace: Workspace, *spans: Span, **resource: Any) -> None:
    workspace.experiments.create("chat")
    workspace.traces.log(CHAT, [SpanBatch(spans=list(spans), resource=resource)])


def feedback(name: str = "good", value: Any = True, **fields: Any) -> Assessment:
    return Assessment(name=name, kind=AssessmentKind.FEEDBACK, value=value, source_type="HUMAN", source_id="ada", **fields)


ROOT = span(1, attributes={"mlflow.spanInputs": {"q": "why?"}, "mlflow.spanOutputs": "so", "mlflow.spanType": "CHAIN"})
CHILD = span(
    2,
    "ask the model",
    parent=1,
    kind=3,
    status=SpanStatus.ERROR,
    message="too long",
    attributes={
        "mlflow.spanType": "LLM",
        "n": 3,
        "x": 1.5,
        "on": True,
        "list": [1, "a", None],
        "of": {"a": {"b": "ü'\"%"}},
    },
    events=[SpanEvent(name="exception", time=AT * 1_000_000, attributes={"exception.type": "ValueError"})],
    links=[SpanLink(trace=identity(9), span="00000000000000aa", attributes={"why": "retry"})],
)


def test_spans_come_back_as_they_went_in(workspace: Workspace) -> None:
    log(workspace, CHILD, ROOT)
    found = workspace.traces.show(ref_of(1))
    assert found.spans == [ROOT, CHILD]
    info = found.info
    assert (info.experiment, info.name, info.state) == ("chat", "answer", TraceState.OK)
    assert (info.started, info.milliseconds, info.spans) == (AT + 1, 41, 2)
    assert (info.request, info.response) == ('{"q":"why?"}', "so")
    assert info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert json.loads(info.metadata["mlflow.trace.sizeStats"])["num_spans"] == 2


@pytest.mark.parametrize("order", ["info first", "spans first", "spans, info, spans", "all twice"])
def test_the_order_of_arrival_does_not_matter(embedded: Workspace, order: str) -> None:
    given = TraceGiven(
        id=ref_of(1).name,
        state=TraceState.OK,
        started=AT,
        milliseconds=50,
        request="short",
        metadata={"mlflow.trace.tokenUsage": "{}", "mlflow.trace.session": "s1"},
        tags={"mlflow.traceName": "named", "a": "b"},
    )
    embedded.experiments.create("chat")
    steps = {
        "info first": [given, ROOT, CHILD],
        "spans first": [CHILD, ROOT, given],
        "spans, info, spans": [CHILD, given, ROOT],
        "all twice": [ROOT, given, CHILD, CHILD, given, ROOT],
    }[order]
    for step in steps:
        if isinstance(step, Span):
            log(embedded, step)
        else:
            embedded.traces.start(CHAT, step)
    found = embedded.traces.show(ref_of(1))
    assert found.spans == [ROOT, CHILD]
    info = found.info
    assert (info.started, info.milliseconds, info.state, info.name) == (AT, 50, TraceState.OK, "named")
    assert (info.request, info.response) == ("short", "so")
    assert info.metadata["mlflow.trace.session"] == "s1"
    assert info.tags["a"] == "b"


def test_a_trace_without_its_root_is_in_progress(embedded: Workspace) -> None:
    log(embedded, CHILD)
    assert embedded.traces.info(ref_of(1)).state is TraceState.IN_PROGRESS
    log(embedded, span(1, status=SpanStatus.ERROR))
    assert embedded.traces.info(ref_of(1)).state is TraceState.ERROR


def test_a_span_that_comes_again_replaces_itself(embedded: Workspace) -> None:
    log(embedded, span(1, "before", end=None), span(1, "now"))
    log(embedded, span(1, "after"))
    assert [each.name for each in embedded.traces.show(ref_of(1)).spans] == ["after"]


def usage(ins: int, outs: int) -> dict[str, Any]:
    return {"mlflow.chat.tokenUsage": {"input_tokens": ins, "output_tokens": outs, "total_tokens": ins + outs}}


def test_tokens_are_added_up_once_in_any_order(embedded: Workspace) -> None:
    cost = {"mlflow.llm.cost": {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75}}
    log(embedded, span(3, parent=2, attributes=usage(1, 2)), span(4, parent=1, attributes=usage(10, 20) | cost))
    log(embedded, span(2, parent=1, attributes=usage(100, 200)))  # says what its child used as well
    log(embedded, span(1), span(5, parent=1, attributes={"gen_ai.usage.input_tokens": 5}))
    metadata = embedded.traces.info(ref_of(1)).metadata
    assert json.loads(metadata["mlflow.trace.tokenUsage"]) == {
        "input_tokens": 115,
        "output_tokens": 220,
        "total_tokens": 335,
    }
    assert json.loads(metadata["mlflow.trace.cost"])["total_cost"] == 0.75


def test_what_a_program_says_of_itself_becomes_tags(embedded: Workspace) -> None:
    root = span(1, attributes={"mlflow.traceTag.team": "ops", "session.id": "s7", "user.id": "u3"})
    told = {"service.name": "shop", "telemetry.sdk.name": "otel", "mlflow.trace.spansLocation": "elsewhere", "n": 3}
    log(embedded, root, **told)
    info = embedded.traces.info(ref_of(1))
    assert info.tags == {"service.name": "shop", "team": "ops", "n": "3", "mlflow.trace.spansLocation": "TRACKING_STORE"}
    assert (info.metadata["mlflow.trace.session"], info.metadata["mlflow.trace.user"]) == ("s7", "u3")


def test_several_traces_may_come_at_once(embedded: Workspace) -> None:
    log(embedded, *(span(number, trace=number) for number in range(1, 30)))
    found = embedded.traces.batch([ref_of(number).name for number in (7, 99, 3, 7)], spans=True)
    assert [each.info.id for each in found] == [ref_of(7).name, ref_of(3).name]
    assert [len(each.spans) for each in found] == [1, 1]


def test_a_trace_does_not_move_to_another_experiment(workspace: Workspace) -> None:
    log(workspace, ROOT)
    workspace.experiments.create("other")
    other = Ref(Kind.EXPERIMENT, "other")
    with pytest.raises(Conflict):
        workspace.traces.log(other, [SpanBatch(spans=[CHILD])])
    with pytest.raises(Conflict):
        workspace.traces.start(other, TraceGiven(id=ref_of(1).name))
    assert workspace.traces.show(ref_of(1)).spans == [ROOT]


def test_tags_are_set_and_taken_away(workspace: Workspace) -> None:
    log(workspace, ROOT)
    workspace.traces.tag(ref_of(1), "team", "ops")
    workspace.traces.tag(ref_of(1), "team", "x" * 9000)
    assert len(workspace.traces.info(ref_of(1)).tags["team"]) == 8000
    workspace.traces.tag(ref_of(1), "team", None)
    with pytest.raises(NotFound):
        workspace.traces.tag(ref_of(1), "team", None)
    for key in ("", "k" * 251):
        with pytest.raises(Invalid):
            workspace.traces.tag(ref_of(1), key, "v")


def test_traces_are_linked_to_runs_and_prompts(workspace: Workspace) -> None:
    log(workspace, ROOT, span(1, trace=2))
    run = workspace.experiments.start("chat")
    for _ in range(2):
        workspace.traces.link(run.ref, [ref_of(1).name])
        workspace.traces.link_prompts(ref_of(1), [PromptUse(name="hello", version="3")])
    assert found(workspace, f"run_id = '{run.id}'") == {1}
    assert found(workspace, f"run_id != '{run.id}'") == set()
    assert found(workspace, "prompt = 'hello/3'") == {1}
    tag = json.loads(workspace.traces.info(ref_of(1)).tags["mlflow.linkedPrompts"])
    assert tag == [{"name": "hello", "version": "3"}]
    with pytest.raises(NotFound):
        workspace.traces.link(run.ref, [ref_of(77).name])
    with pytest.raises(NotFound):
        workspace.traces.link(Ref(Kind.RUN, "nothing"), [ref_of(1).name])


def found(workspace: Workspace, where: str, *, order_by: tuple[str, ...] = (), limit: int = 100) -> set[int]:
    page = workspace.traces.search([CHAT], where=where, order_by=order_by, limit=limit)
    return {int(each.id.removeprefix("tr-"), 16) for each in page.items}


def test_deleting_is_on_the_record_and_takes_everything(workspace: Workspace) -> None:
    log(workspace, ROOT, span(1, trace=2), span(5, trace=3), span(9, trace=4))
    workspace.traces.assess(ref_of(1), feedback())
    assert workspace.traces.delete(CHAT, ids=[ref_of(1).name, ref_of(99).name], reason="asked for") == 1
    assert workspace.traces.delete(CHAT, until=AT + 5, most=1) == 1
    assert found(workspace, "") == {3, 4}
    with pytest.raises(NotFound):
        workspace.traces.show(ref_of(1))
    log(workspace, ROOT)
    assert workspace.traces.info(ref_of(1)).assessments == []
    events = workspace.record.events(EventFilter(action="traces.deleted")).items
    assert [each.before["traces"] for each in events] == [1, 1]
    assert workspace.traces.delete(CHAT, ids=[ref_of(99).name]) == 0
    for wrong in ({}, {"ids": ["x"], "until": 3}, {"ids": ["x"], "most": 3}, {"until": 3, "most": 0}):
        with pytest.raises(Invalid):
            workspace.traces.delete(CHAT, **wrong)


def test_spans_leave_no_event(embedded: Workspace) -> None:
    embedded.experiments.create("chat")
    before = embedded.record.head().size
    log(embedded, ROOT, CHILD)
    embedded.traces.tag(ref_of(1), "a", "b")
    embedded.traces.assess(ref_of(1), feedback())
    assert embedded.record.head().size == before


# What was judged


def test_an_assessment_is_made_changed_and_withdrawn(workspace: Workspace) -> None:
    log(workspace, ROOT)
    made = workspace.traces.assess(ref_of(1), feedback(value={"score": 3}, rationale="it is", metadata={"a": "1"}))
    assert workspace.traces.assessment(ref_of(1), made.id) == made
    change = AssessmentChange(kind=AssessmentKind.FEEDBACK, value=False, metadata={"b": "2"})
    after = workspace.traces.reassess(ref_of(1), made.id, change)
    assert (after.value, after.rationale, after.metadata) == (False, "it is", {"a": "1", "b": "2"})
    assert workspace.traces.info(ref_of(1)).assessments == [after]
    with pytest.raises(Invalid):
        workspace.traces.reassess(ref_of(1), made.id, AssessmentChange(kind=AssessmentKind.EXPECTATION, value=1))
    workspace.traces.withdraw(ref_of(1), made.id)
    workspace.traces.withdraw(ref_of(1), made.id)
    with pytest.raises(NotFound):
        workspace.traces.assessment(ref_of(1), made.id)


def test_one_that_overrides_another_makes_it_invalid_while_it_stands(embedded: Workspace) -> None:
    log(embedded, ROOT)
    first = embedded.traces.assess(ref_of(1), feedback(value=True))
    second = embedded.traces.assess(ref_of(1), feedback(value=False, overrides=first.id))
    assert not embedded.traces.assessment(ref_of(1), first.id).valid
    assert found(embedded, "feedback.good = 'true'") == set()
    embedded.traces.withdraw(ref_of(1), second.id)
    assert embedded.traces.assessment(ref_of(1), first.id).valid
    with pytest.raises(NotFound):
        embedded.traces.assess(ref_of(1), feedback(overrides="a-nothing"))


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"name": "n" * 251}, {"rationale": "r" * 70_000}, {"value": "v" * 300_000}, {"overrides": "o" * 65}],
)
def test_what_is_no_assessment_is_refused(embedded: Workspace, fields: dict[str, Any]) -> None:
    log(embedded, ROOT)
    with pytest.raises(Invalid):
        embedded.traces.assess(ref_of(1), feedback(**{"name": "good", **fields}))


# Who may


def test_rights_are_those_on_the_experiment(embedded: Workspace) -> None:
    log(embedded, ROOT)
    embedded.experiments.create("pricing/late")
    mine = Ref(Kind.EXPERIMENT, "pricing/late")
    embedded.traces.log(mine, [SpanBatch(spans=[span(1, trace=2)])])
    made = embedded.traces.assess(ref_of(1), feedback())
    embedded.access.create_user("ada")
    embedded.access.grant("ada", "scientist", scope="run:pricing", reason="hers")
    run = embedded.experiments.start("chat")
    with acting_as(Principal(id="ada", auth="token")):
        assert embedded.traces.info(ref_of(2)).experiment == "pricing/late"
        page = embedded.traces.search([CHAT, mine])
        assert [each.id for each in page.items] == [ref_of(2).name]
        assert embedded.traces.correlate([CHAT, mine], "", "").total == 1
        assert [each.info.id for each in embedded.traces.batch([ref_of(1).name, ref_of(2).name])] == [ref_of(2).name]
        for refused in (
            lambda: embedded.traces.show(ref_of(1)),
            lambda: embedded.traces.info(ref_of(1)),
            lambda: embedded.traces.log(CHAT, [SpanBatch(spans=[CHILD])]),
            lambda: embedded.traces.start(CHAT, TraceGiven(id="tr-x")),
            lambda: embedded.traces.tag(ref_of(1), "a", "b"),
            lambda: embedded.traces.assess(ref_of(1), feedback()),
            lambda: embedded.traces.assessment(ref_of(1), made.id),
            lambda: embedded.traces.reassess(ref_of(1), made.id, AssessmentChange(valid=False)),
            lambda: embedded.traces.withdraw(ref_of(1), made.id),
            lambda: embedded.traces.link(run.ref, [ref_of(2).name]),
            lambda: embedded.traces.link_prompts(ref_of(1), [PromptUse(name="a", version="1")]),
            lambda: embedded.traces.delete(CHAT, until=AT * 2),
        ):
            with pytest.raises(NotFound):
                refused()
        with pytest.raises(Denied, match="of others"):  # a scientist does not erase what others made
            embedded.traces.delete(mine, until=AT * 2)
        own = embedded.experiments.start("pricing/late")
        with pytest.raises(NotFound):  # nor draw another's trace to a run of hers
            embedded.traces.link(own.ref, [ref_of(1).name])


def test_a_scientist_deletes_the_traces_of_her_own_runs_and_experiments_as_mlflows_client_does(
    embedded: Workspace,
) -> None:
    log(embedded, ROOT)  # somebody else's experiment
    embedded.access.create_user("eve")
    embedded.access.grant("eve", "scientist", scope="*")
    with acting_as(Principal(id="eve")):
        own = embedded.experiments.create("hers").ref
        embedded.traces.log(own, [SpanBatch(spans=[span(9, trace=9)])])
        assert embedded.traces.delete(own, until=AT * 2) == 1
        run = embedded.experiments.start("chat")
        given = TraceGiven(id="tr-5", started=AT, metadata={"mlflow.sourceRun": run.id})
        embedded.traces.start(CHAT, given)
        with pytest.raises(Denied, match="1 of these are of others"):
            embedded.traces.delete(CHAT, until=AT * 2)
        assert embedded.traces.delete(CHAT, ids=["tr-5"]) == 1


def test_a_deleted_experiment_takes_no_traces(embedded: Workspace) -> None:
    log(embedded, ROOT)
    embedded.experiments.discard(CHAT)
    with pytest.raises(Conflict, match="deleted"):
        embedded.traces.log(CHAT, [SpanBatch(spans=[CHILD])])
    with pytest.raises(Conflict, match="deleted"):
        embedded.traces.start(CHAT, TraceGiven(id="tr-x"))


@pytest.mark.parametrize("identity", ["", "a/b", "a b", "..", "x" * 65, "tr-\u00fc"])
def test_what_is_no_id_of_a_trace_is_refused(embedded: Workspace, identity: str) -> None:
    embedded.experiments.create("chat")
    with pytest.raises(Invalid):
        embedded.traces.start(CHAT, TraceGiven(id=identity))


def test_what_a_client_does_not_say_of_a_trace_stays_as_its_spans_tell(workspace: Workspace) -> None:
    workspace.experiments.create("chat")
    span = Span(trace=identity(1), id="1" * 16, name="root", start=AT * 10**6, end=(AT + 5) * 10**6)
    workspace.traces.log(CHAT, [SpanBatch(spans=[span])])
    told = workspace.traces.start(CHAT, TraceGiven(id=ref_of(1).name, tags={"a": "b"}))
    assert (told.started, told.milliseconds, told.state, told.tags["a"]) == (AT, 5, TraceState.OK, "b")
    later = Span(trace=identity(1), id="2" * 16, parent="1" * 16, start=AT * 10**6, end=(AT + 9) * 10**6)
    workspace.traces.log(CHAT, [SpanBatch(spans=[later])])
    assert workspace.traces.info(ref_of(1)).milliseconds == 9  # only what the client says holds


@pytest.mark.slow
@pytest.mark.parametrize("workspace", ["postgresql-embedded"], indirect=True)
def test_more_traces_than_a_statement_can_name_are_deleted_at_once(workspace: Workspace) -> None:
    number = workspace.experiments.create("chat").id
    assert workspace.home is not None
    many = f"""
        INSERT INTO traces_traces (id, experiment, name, state, started, told, spans, size)
        SELECT 'tr-' || n, {number}, '', 'ok', n, true, 0, 0 FROM generate_series(1, 66000) AS n
    """
    with workspace.home.caller().transaction(write=True) as tx:
        tx.connection.exec_driver_sql(many)
    assert workspace.traces.delete(CHAT, until=AT) == 66_000
