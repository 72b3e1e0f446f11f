"""The tables of traces: a row per trace, per tag, per span, per judgement. Rows point at each other by numbers.

A span's row holds what searches ask for as columns, and the rest (attributes, events, links) as JSON beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.wire import encode_text
from modelwright.store.tables import metadata
from modelwright.traces.records import (
    PREFIX,
    Assessment,
    AssessmentKind,
    Span,
    SpanEvent,
    SpanLink,
    SpanStatus,
    TraceInfo,
    TraceState,
)

# On SQLite a number of this type is the key of the row itself, and needs no index beside it.
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(length: int | None = None) -> Any:
    """Text that is ordered and compared byte by byte, alike on both databases."""
    plain = sa.Text() if length is None else sa.String(length)
    exact = sa.Text(collation="C") if length is None else sa.String(length, collation="C")
    return plain.with_variant(exact, "postgresql")


traces = sa.Table(
    "traces_traces",
    metadata,
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("id", _text(64), nullable=False, unique=True),
    sa.Column("experiment", sa.Integer, nullable=False),
    sa.Column("name", _text(), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False),  # milliseconds since 1970
    sa.Column("milliseconds", sa.BigInteger),
    sa.Column("client_request_id", _text()),
    sa.Column("request", sa.Text),
    sa.Column("response", sa.Text),
    sa.Column("told", sa.Boolean, nullable=False),  # the client said how it stands: spans do not overrule it
    sa.Column("spans", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Index("ix_traces_traces_experiment", "experiment", "started", "key"),
)

tags = sa.Table(
    "traces_tags",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", _text(250), primary_key=True),
    sa.Column("value", _text(), nullable=False),
    sqlite_with_rowid=False,
)

marks = sa.Table(  # metadata, which MLflow's clients give once and do not change
    "traces_marks",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", _text(250), primary_key=True),
    sa.Column("value", _text(), nullable=False),
    sqlite_with_rowid=False,
)

spans = sa.Table(
    "traces_spans",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", _text(16), primary_key=True),
    sa.Column("parent", _text(16)),
    sa.Column("name", _text(), nullable=False),
    sa.Column("type", _text(), nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),  # nanoseconds since 1970
    sa.Column("end", sa.BigInteger),
    sa.Column("content", _text(), nullable=False),
    sa.Column("usage", sa.Text),  # of tokens, as JSON
    sa.Column("cost", sa.Text),
    sqlite_with_rowid=False,
)

runs = sa.Table(  # what was linked to a run after it was made
    "traces_runs",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run", _text(64), primary_key=True),
    sqlite_with_rowid=False,
)

prompts = sa.Table(
    "traces_prompts",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", _text(250), primary_key=True),
    sa.Column("version", _text(64), primary_key=True),
    sqlite_with_rowid=False,
)

assessments = sa.Table(
    "traces_assessments",
    metadata,
    sa.Column("trace", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", _text(64), primary_key=True),
    sa.Column("span", _text(64)),
    sa.Column("name", _text(250), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("text", _text()),  # the value as a filter compares it
    sa.Column("number", sa.Double),
    sa.Column("content", sa.Text, nullable=False),  # value, error, metadata
    sa.Column("rationale", _text(), nullable=False),
    sa.Column("source_type", sa.String(40), nullable=False),
    sa.Column("source_id", _text(250), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),  # milliseconds since 1970
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("overrides", _text(64)),
    sa.Column("valid", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)

BELONGING = (tags, marks, spans, runs, prompts, assessments)  # to a trace, by its key


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a span has no column."""

    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    message: str = ""


class _Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of an assessment has no column."""

    value: Any = None
    serialized: bool = False
    error: dict[str, Any] | None = None
    metadata: dict[str, str] = {}


def span_content(span: Span) -> str:
    """What of a span has no column, as JSON."""
    return encode_text(_Content(span.attributes, span.events, span.links, span.message))


def span_of(row: Any, trace_id: str) -> Span:
    """A row of `spans` as a record."""
    content = msgspec.json.decode(row.content, type=_Content)
    return Span(
        trace=trace_id.removeprefix(PREFIX),
        id=row.id,
        parent=row.parent,
        name=row.name,
        kind=row.kind,
        start=row.start,
        end=row.end,
        status=SpanStatus(row.status),
        message=content.message,
        attributes=content.attributes,
        events=content.events,
        links=content.links,
    )


def info_of(
    row: Any,
    experiment: tuple[str, str],
    *,
    metadata: Mapping[str, str],
    tags: Mapping[str, str],
    assessments: Sequence[Assessment],
) -> TraceInfo:
    """A row of `traces` with what belongs to it as a record; `experiment` is the name of the ref, and the title."""
    return TraceInfo(
        id=row.id,
        experiment=experiment[0],
        experiment_title=experiment[1],
        experiment_id=row.experiment,
        state=TraceState(row.state),
        started=row.started,
        milliseconds=row.milliseconds,
        client_request_id=row.client_request_id,
        request=row.request,
        response=row.response,
        name=row.name,
        metadata=dict(metadata),
        tags=dict(tags),
        assessments=list(assessments),
        spans=row.spans,
        size=row.size,
    )


def assessment_row(made: Assessment) -> dict[str, Any]:
    """An assessment as a row of its table, bar its trace."""
    text, number = compared(made)
    content = _Judged(made.value, made.serialized, made.error, made.metadata)
    return {
        "id": made.id,
        "span": made.span,
        "name": made.name,
        "kind": made.kind.value,
        "text": text,
        "number": number,
        "content": encode_text(content),
        "rationale": made.rationale,
        "source_type": made.source_type,
        "source_id": made.source_id,
        "created": made.created,
        "updated": made.updated,
        "overrides": made.overrides,
        "valid": made.valid,
    }


def assessment_of(row: Any, trace_id: str) -> Assessment:
    """A row of `assessments` as a record."""
    content = msgspec.json.decode(row.content, type=_Judged)
    return Assessment(
        id=row.id,
        trace=trace_id,
        span=row.span,
        name=row.name,
        kind=AssessmentKind(row.kind),
        value=content.value,
        serialized=content.serialized,
        error=content.error,
        rationale=row.rationale,
        metadata=content.metadata,
        source_type=row.source_type,
        source_id=row.source_id,
        created=row.created,
        updated=row.updated,
        overrides=row.overrides,
        valid=row.valid,
    )


def compared(made: Assessment) -> tuple[str | None, float | None]:
    """A value as filters compare it: as text, and as a number where it is one (true is 1)."""
    value = made.value
    if value is None:
        return None, None
    if isinstance(value, bool):
        return ("true" if value else "false"), float(value)
    if isinstance(value, int | float):
        try:
            return encode_text(value), float(value)
        except OverflowError:
            return encode_text(value), None
    return (value if isinstance(value, str) else encode_text(value)), None
