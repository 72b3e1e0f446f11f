"""The pages of traces: the list with its search, and one trace as a tree of spans along time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request

from modelwright.core.errors import Invalid
from modelwright.core.paging import every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.server.pages.render import PER_PAGE, named, turning
from modelwright.traces import Span, TraceInfo, TracePage
from modelwright.traces.summing import request_of, response_of, type_of
from modelwright.workspace import Workspace

CHOICES = 500  # experiments to choose from
MOST_SPANS = 300  # drawn of a trace
MOST_TEXT = 4000  # characters of a value
DEEPEST = 12  # steps that a span is drawn inwards
STATES = ("OK", "ERROR", "IN_PROGRESS")
_WORDS = ("=", "<", ">", " like ", " is ", " in ", " ilike ")


class Bar(NamedTuple):
    """One span as it is drawn."""

    span: Span
    type: str
    depth: int
    left: float  # of a hundred: where it begins
    width: float
    request: str | None
    response: str | None
    attributes: list[tuple[str, str]]
    events: list[tuple[str, float, list[tuple[str, str]]]]  # name, seconds after the trace's beginning, attributes


def index(workspace: Workspace, request: Request) -> dict[str, Any]:
    """Traces, newest first, of one experiment or of all that there are."""
    asked = request.query_params
    experiments = list(every(workspace.experiments.list_experiments))
    named = asked.get("experiment", "")
    chosen = [each for each in experiments if named and named in (each.name, each.title)]
    among = chosen if named else experiments
    wrong, page = "", TracePage(items=[])
    try:
        page = workspace.traces.search(
            [each.ref for each in among], where=_filter(asked), limit=PER_PAGE, after=asked.get("after") or None
        )
    except Invalid as error:
        wrong = str(error)
    return {
        "traces": [(each, _moment(each.started), _seconds(each), _judged(each)) for each in page.items],
        "experiments": list({each.name: each for each in [*experiments[:CHOICES], *chosen]}.values()),
        "chosen": chosen,
        "states": STATES,
        "wrong": wrong,
        "turning": turning(request, page.next),
        "query": asked,
    }


def trace(workspace: Workspace, request: Request) -> dict[str, Any]:
    """One trace: its spans along time, its assessments, tags and metadata."""
    found = workspace.traces.show(named(request, Kind.TRACE))
    bars = _bars(found.spans)
    return {
        "trace": found.info,
        "started": _moment(found.info.started),
        "seconds": _seconds(found.info),
        "bars": bars[:MOST_SPANS],
        "hidden": max(len(bars) - MOST_SPANS, 0),
        "assessments": [(each, _value(each.value), _moment(each.updated)) for each in found.info.assessments],
        "run": _run(found.info),
    }


def _filter(asked: Any) -> str:
    """The filter that the search box and the choices beside it mean; a plain word is looked for in all texts."""
    clauses = []
    text = asked.get("q", "").strip()
    if text:
        quoted = text.replace("'", "''")
        plain = f"(trace.text ILIKE '%{quoted}%' OR name ILIKE '%{quoted}%')"
        clauses.append(f"({text})" if any(word in f" {text.lower()} " for word in _WORDS) else plain)
    if asked.get("state") in STATES:
        clauses.append(f"status = '{asked['state']}'")
    return " AND ".join(clauses)


def _bars(spans: Sequence[Span]) -> list[Bar]:
    """Spans as a tree, each below its parent, in order of their beginning; those whose parent is missing stand on top."""
    if not spans:
        return []
    begin = min(span.start for span in spans)
    whole = max(max(span.end or span.start for span in spans) - begin, 1)
    known = {span.id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in spans:
        below.setdefault(span.parent if span.parent in known and span.parent != span.id else None, []).append(span)
    bars: list[Bar] = []
    waiting = [(span, 0) for span in reversed(below.get(None, []))]
    seen: set[str] = set()
    while waiting or len(seen) < len(spans):
        if not waiting:  # parents that go round in a circle
            waiting = [(next(span for span in spans if span.id not in seen), 0)]
        span, depth = waiting.pop()
        if span.id in seen:
            continue
        seen.add(span.id)
        bars.append(_bar(span, depth, begin, whole))
        waiting += [(child, depth + 1) for child in reversed(below.get(span.id, []))]
    return bars


def _bar(span: Span, depth: int, begin: int, whole: int) -> Bar:
    left = 100 * (span.start - begin) / whole
    width = 100 * ((span.end or span.start) - span.start) / whole
    return Bar(
        span=span,
        type=type_of(span),
        depth=min(depth, DEEPEST),
        left=round(min(left, 99.6), 3),
        width=round(max(width, 0.4), 3),
        request=request_of(span),
        response=response_of(span),
        attributes=_pairs(span.attributes),
        events=[(each.name, (each.time - begin) / 1e9, _pairs(each.attributes)) for each in span.events],
    )


def _pairs(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, _value(value)) for key, value in sorted(attributes.items())]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else encode_text(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text)} characters)"


def _judged(info: TraceInfo) -> list[str]:
    """What was judged of a trace, in a word each."""
    return [f"{each.name}: {_value(each.value)[:40]}" for each in info.assessments if each.valid][:3]


def _run(info: TraceInfo) -> Ref | None:
    """The run that a trace was made in, if its id can be one's name."""
    try:
        return Ref(Kind.RUN, info.metadata["mlflow.sourceRun"])
    except (KeyError, Invalid):
        return None


def _moment(millis: int) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _seconds(info: TraceInfo) -> float | None:
    return None if info.milliseconds is None else info.milliseconds / 1000
