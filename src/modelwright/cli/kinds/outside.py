"""Traces of programs, and the receivers that are told of events, at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Face, titled
from modelwright.cli.output import facts, section, when
from modelwright.core.paging import Filter, Page, every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text

if TYPE_CHECKING:
    from modelwright.traces import Span, Trace, TraceInfo
    from modelwright.webhooks import Webhook
    from modelwright.workspace import Workspace

TEXT = 400  # characters of what went in and came out
SPANS = 200  # spans that are shown of a trace


class TraceFace(Face):
    """What a program did in answer to one request."""

    kind = Kind.TRACE
    columns = ("trace", "name", "experiment", "state", "began", "took")
    right = ("took",)

    def show(self, rooms: Workspace, ref: Ref) -> Trace:
        return rooms.traces.show(ref)

    def tell(self, rooms: Workspace, found: Trace) -> None:
        info = found.info
        run = info.metadata.get("mlflow.sourceRun")
        facts(
            str(info.ref),
            {
                "name": info.name,
                "experiment": titled(info.experiment, info.experiment_title),
                "run": f"run:{run}" if run else None,
                "state": info.state.value,
                "began": when(_moment(info.started)),
                "took": _took(info.milliseconds),
                "went in": _cut(info.request),
                "came out": _cut(info.response),
                "tags": [f"{key}={value}"[:200] for key, value in info.tags.items()],
            },
        )
        rows = [
            [f"{'  ' * depth}{span.name or span.id}", span.status.value, _took(span.milliseconds), _said(span)]
            for span, depth in _tree(found.spans)[:SPANS]
        ]
        section(["span", "state", "took", "what it says"], rows, right=("took",))
        judged = [
            [each.name, _value(each.value), each.source_id, each.rationale] for each in info.assessments if each.valid
        ]
        section(["judged", "value", "by", "why"], judged)

    def list(self, rooms: Workspace, where: Filter) -> Page[TraceInfo]:
        text = (where.text or "").replace("'", "''")
        clause = f"(trace.text ILIKE '%{text}%' OR name ILIKE '%{text}%')" if text else ""
        among = [each.ref for each in every(rooms.experiments.list_experiments)]
        page = rooms.traces.search(among, where=clause, limit=where.limit, after=where.after)
        return Page(items=page.items, next=page.next)

    def row(self, item: TraceInfo) -> Sequence[Any]:
        experiment = item.experiment_title or item.experiment
        return [item.id, item.name, experiment, item.state.value, when(_moment(item.started)), _took(item.milliseconds)]


class WebhookFace(Face):
    """Receivers of events."""

    kind = Kind.WEBHOOK
    columns = ("webhook", "name", "url", "state")

    def show(self, rooms: Workspace, ref: Ref) -> Webhook:
        return rooms.webhooks.show(ref)

    def tell(self, rooms: Workspace, found: Webhook) -> None:
        facts(
            str(found.ref),
            {
                "name": found.name,
                "about": found.description,
                "url": found.url,
                "told of": found.events,
                "format": found.format.value,
                "state": found.status.value,
                "signed": "with a secret" if found.signed else "not",
                "made": f"{when(found.created_at)} by {found.created_by}",
            },
        )
        tell_deliveries(rooms.webhooks.deliveries(found.ref, limit=10).items)

    def list(self, rooms: Workspace, where: Filter) -> Page[Webhook]:
        return rooms.webhooks.list(limit=where.limit, after=where.after)

    def row(self, item: Webhook) -> Sequence[Any]:
        return [item.id, item.name, item.url, item.status.value]


def tell_deliveries(found: Sequence[Any]) -> None:
    """What was sent to a webhook, as a table."""
    rows = [
        [
            each.id,
            each.event,
            each.state.value,
            each.attempts,
            when(each.finished_at or each.created_at),
            each.status or "",
            each.error or (f"again at {each.due_at:%H:%M:%S}" if each.due_at and each.attempts else ""),
        ]
        for each in found
    ]
    section(["delivery", "event", "state", "tries", "when", "answer", "what happened"], rows, right=("tries", "answer"))


def _tree(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Each span below its parent, with how deep it lies; one whose parent is missing stands on top."""
    known = {span.id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in spans:
        below.setdefault(span.parent if span.parent in known and span.parent != span.id else None, []).append(span)
    lines: list[tuple[Span, int]] = []
    waiting, seen = [(span, 0) for span in reversed(below.get(None, []))], set[str]()
    while waiting:
        span, depth = waiting.pop()
        if span.id not in seen:
            seen.add(span.id)
            lines.append((span, depth))
            waiting += [(child, depth + 1) for child in reversed(below.get(span.id, []))]
    return lines + [(span, 0) for span in spans if span.id not in seen]  # parents that go round in a circle


def _said(span: Span) -> str:
    """The message of a span, or that of an exception in it."""
    thrown = [each.attributes.get("exception.message") for each in span.events if each.name == "exception"]
    return span.message or next((str(each) for each in thrown if each), "")


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(min(millis, 253_402_300_799_000) / 1000, UTC)


def _took(millis: float | None) -> str:
    if millis is None:
        return ""
    return f"{millis:.0f} ms" if millis < 1000 else f"{millis / 1000:.1f} s"


def _cut(text: str | None) -> str:
    return "" if not text else text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else encode_text(value)
