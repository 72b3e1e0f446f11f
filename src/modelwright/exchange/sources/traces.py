"""Traces of MLflow's: what is said of each, and its spans from the JSON that MLflow keeps of them."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from modelwright.traces import Span, SpanEvent, SpanLink, SpanStatus, TraceGiven, TraceState
from modelwright.traces.records import PREFIX

PLACE_TAG = "mlflow.artifactLocation"  # a path there, which says nothing here
STATUSES = {"STATUS_CODE_OK": SpanStatus.OK, "STATUS_CODE_ERROR": SpanStatus.ERROR}


class ForeignTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace there: what is said of it, its spans, and the runs that it is linked to."""

    experiment: str
    given: TraceGiven
    spans: list[Span]
    runs: list[str] = []
    broken: str = ""  # why its spans cannot be read


def span_of(content: str) -> Span:
    """A span from the JSON that MLflow keeps of it: ids in Base64, attributes as JSON in text."""
    said = json.loads(content)
    parent = said.get("parent_span_id")
    status = said.get("status") or {}
    return Span(
        trace=hex_of(said["trace_id"]),
        id=hex_of(said["span_id"]),
        parent=hex_of(parent) if parent else None,
        name=said.get("name") or "",
        start=int(said["start_time_unix_nano"]),
        end=None if said.get("end_time_unix_nano") is None else int(said["end_time_unix_nano"]),
        status=STATUSES.get(status.get("code", ""), SpanStatus.UNSET),
        message=status.get("message") or "",
        attributes={key: value_of(value) for key, value in (said.get("attributes") or {}).items()},
        events=[
            SpanEvent(name=each["name"], time=int(each["time_unix_nano"]), attributes=each.get("attributes") or {})
            for each in said.get("events") or ()
        ],
        links=[
            SpanLink(
                trace=hex_of(each["trace_id"].removeprefix(PREFIX)),
                span=hex_of(each["span_id"]),
                attributes=each.get("attributes") or {},
            )
            for each in said.get("links") or ()
        ],
    )


def hex_of(text: str) -> str:
    """An id in hexadecimal digits, as it is or from Base64."""
    if len(text) in (16, 32) and all(letter in "0123456789abcdef" for letter in text):
        return text
    return base64.b64decode(text, validate=True).hex()


def value_of(text: Any) -> Any:
    """What a text says as JSON; what is none is itself."""
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return text


def state_of(text: str) -> TraceState:
    """How a trace stands; words that are not known say nothing."""
    try:
        return TraceState(text.lower())
    except ValueError:
        return TraceState.UNSPECIFIED
