"""Our reading of OTLP against OpenTelemetry's own protobuf classes."""

from __future__ import annotations

import base64
import gzip
import json
import math
import zlib
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from modelwright.core.errors import Invalid
from modelwright.traces import otlp
from modelwright.traces.records import Span, SpanBatch, SpanStatus

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
values = st.recursive(
    st.one_of(
        st.none(),
        texts,
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=3)
times = st.integers(0, 2**63 - 1)


def ids(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).filter(any)


def fill(target: AnyValue, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for each in value:
            fill(target.array_value.values.add(), each)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        add(target.kvlist_value.values, value)


def add(target: Any, pairs: dict[str, Any]) -> None:
    for key, value in pairs.items():
        made = target.add()
        made.key = key
        made.value.SetInParent()
        fill(made.value, value)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        batch = request.resource_spans.add()
        batch.schema_url = draw(texts)
        add(batch.resource.attributes, draw(attributes))
        scope = batch.scope_spans.add()
        scope.scope.name = draw(texts)
        for _ in range(draw(st.integers(0, 2))):
            span = scope.spans.add()
            span.trace_id, span.span_id = draw(ids(16)), draw(ids(8))
            span.parent_span_id = draw(st.one_of(st.just(b""), ids(8)))
            span.name, span.trace_state = draw(texts), draw(texts)
            span.kind, span.flags = draw(st.integers(0, 5)), draw(st.integers(0, 2**32 - 1))
            span.start_time_unix_nano, span.end_time_unix_nano = draw(times), draw(times)
            span.dropped_attributes_count = draw(st.integers(0, 2**32 - 1))
            span.status.code, span.status.message = draw(st.integers(0, 2)), draw(texts)
            add(span.attributes, draw(attributes))
            for _ in range(draw(st.integers(0, 2))):
                event = span.events.add()
                event.name, event.time_unix_nano = draw(texts), draw(times)
                add(event.attributes, draw(attributes))
            for _ in range(draw(st.integers(0, 2))):
                link = span.links.add()
                link.trace_id, link.span_id = draw(ids(16)), draw(ids(8))
                add(link.attributes, draw(attributes))
    return request


def plain(value: AnyValue) -> Any:
    """What OpenTelemetry's own classes hold, as plain values."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: plain(each.value) for each in value.kvlist_value.values}
        case kind:
            return getattr(value, kind)


def pairs(given: Any) -> dict[str, Any]:
    return {each.key: plain(each.value) for each in given}


def assert_same(found: list[SpanBatch], request: ExportTraceServiceRequest) -> None:
    assert len(found) == len(request.resource_spans)
    for batch, wanted in zip(found, request.resource_spans, strict=True):
        assert batch.resource == pairs(wanted.resource.attributes)
        expected = [span for scope in wanted.scope_spans for span in scope.spans]
        for span, proto in zip(batch.spans, expected, strict=True):
            assert (span.trace, span.id, span.parent or "") == (
                proto.trace_id.hex(),
                proto.span_id.hex(),
                proto.parent_span_id.hex(),
            )
            assert (span.name, span.kind, span.message) == (proto.name, proto.kind, proto.status.message)
            assert (span.start, span.end or 0) == (proto.start_time_unix_nano, proto.end_time_unix_nano)
            assert span.status == list(SpanStatus)[proto.status.code]
            assert span.attributes == pairs(proto.attributes)
            assert [(e.name, e.time, e.attributes) for e in span.events] == [
                (e.name, e.time_unix_nano, pairs(e.attributes)) for e in proto.events
            ]
            assert [(each.trace, each.span, each.attributes) for each in span.links] == [
                (each.trace_id.hex(), each.span_id.hex(), pairs(each.attributes)) for each in proto.links
            ]


@given(requests())
def test_protobuf_says_what_opentelemetrys_own_classes_say(request: ExportTraceServiceRequest) -> None:
    assert_same(otlp.read_protobuf(request.SerializeToString()), request)


@given(requests())
def test_json_says_the_same(request: ExportTraceServiceRequest) -> None:
    told = MessageToDict(request)
    for batch in told.get("resourceSpans", ()):
        for scope in batch.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in holder:
                            holder[name] = base64.b64decode(holder[name]).hex()
    assert_same(otlp.read_json(json.dumps(told).encode()), request)


@given(requests())
def test_what_was_read_is_told_again_as_it_came(request: ExportTraceServiceRequest) -> None:
    for batch, wanted in zip(otlp.read_protobuf(request.SerializeToString()), request.resource_spans, strict=True):
        again = [ParseDict(otlp.protobuf_json(span), ProtoSpan()) for span in batch.spans]
        for span, proto in zip(again, wanted.scope_spans[0].spans, strict=True):
            for name in ("flags", "trace_state", "dropped_attributes_count"):
                proto.ClearField(name)
            assert span == proto


@given(st.binary(max_size=60))
def test_rubbish_is_refused_or_read_but_never_a_failure(body: bytes) -> None:
    for read in (otlp.read_protobuf, otlp.read_json):
        try:
            read(body)
        except Invalid:
            continue


@given(requests(), st.data())
def test_a_message_cut_short_is_refused_or_read_but_never_a_failure(
    request: ExportTraceServiceRequest, data: st.DataObject
) -> None:
    body = request.SerializeToString()
    with suppress(Invalid):
        otlp.read_protobuf(body[: data.draw(st.integers(0, len(body)))])


def one_span(**fields: Any) -> bytes:
    return json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a" * 32, "spanId": "b" * 16, **fields}]}]}]}
    ).encode()


def read_one(**fields: Any) -> Span:
    return otlp.read_json(one_span(**fields))[0].spans[0]


def test_figures_that_json_has_no_words_for_become_text() -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = b"t" * 16, b"s" * 8
    add(span.attributes, {"nan": math.nan, "high": math.inf, "low": -math.inf})
    found = otlp.read_protobuf(request.SerializeToString())[0].spans[0]
    assert found.attributes == {"nan": "NaN", "high": "Infinity", "low": "-Infinity"}


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": ""},
        {"traceId": "0" * 32},
        {"traceId": "xyz" * 11},
        {"spanId": "ab"},
        {"parentSpanId": "abc"},
        {"startTimeUnixNano": "-1"},
        {"startTimeUnixNano": str(2**63)},
        {"startTimeUnixNano": "9" * 5000},
        {"startTimeUnixNano": [1]},
        {"attributes": {"key": "a"}},
        {"attributes": [{"key": "a", "value": {"intValue": "9" * 30}}]},
        {"attributes": [{"key": "a", "value": {"intValue": True}}]},
        {"attributes": [{"key": "a", "value": {"boolValue": "yes"}}]},
        {"attributes": [{"key": "a", "value": {"doubleValue": []}}]},
        {"attributes": [{"key": "a", "value": 3}]},
        {"status": "ok"},
        {"name": 7},
        {"events": [3]},
    ],
)
def test_json_that_is_no_span_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        read_one(**fields)


def test_attributes_nested_without_end_are_refused() -> None:
    value: dict[str, Any] = {"stringValue": "at last"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(Invalid, match="deep"):
        read_one(attributes=[{"key": "a", "value": value}])
    with pytest.raises(Invalid):
        otlp.read_json(b'{"resourceSpans":' + b"[" * 100_000)
    data = b""
    for _ in range(2_000):
        data = _length(5, _length(1, data))
    with pytest.raises(Invalid, match="deep"):
        otlp.read_protobuf(_length(1, _length(2, _length(2, _length(9, _length(2, data))))))


def _length(number: int, data: bytes) -> bytes:
    size, head = len(data), bytes([number << 3 | 2])
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + data


def test_a_link_to_an_id_of_another_make_does_not_lose_the_span() -> None:
    assert read_one(links=[{"traceId": "abc", "spanId": "d" * 16}, {"traceId": "c" * 32, "spanId": "d" * 16}]).links == [
        otlp.SpanLink(trace="c" * 32, span="d" * 16)
    ]


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert read_one(name="a\x00b").name == "a\ufffdb"


def test_too_many_spans_at_once_are_refused() -> None:
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a" * 32, "spanId": "b" * 16}] * 20_001}]}]}
    with pytest.raises(Invalid, match="20000 spans"):
        otlp.read_json(json.dumps(request).encode())


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("", bytes),
        ("identity", bytes),
    ],
)
def test_bodies_are_unpacked(encoding: str, pack: Any) -> None:
    assert otlp.unpack(pack(b"spans" * 1000), encoding) == b"spans" * 1000


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"no gzip", "gzip", "not gzip"),
        (gzip.compress(b"spans", mtime=0)[:-6], "gzip", "not all of it"),
        (gzip.compress(b"spans", mtime=0) + b"more", "gzip", "not all of it"),
        (b"x", "br", "not known"),
        (None, "gzip", "64 MiB"),
    ],
    ids=["not gzip", "cut off", "more after it", "not known", "bomb"],
)
def test_a_bomb_or_a_broken_body_is_refused(body: bytes | None, encoding: str, why: str) -> None:
    if body is None:
        body = gzip.compress(bytes(otlp.MAX_INFLATED + 1), 1)
    with pytest.raises(Invalid, match=why):
        otlp.unpack(body, encoding)
