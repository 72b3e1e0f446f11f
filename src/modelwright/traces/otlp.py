"""Spans from OTLP, as protobuf or as JSON, and back to its JSON.

OTLP: https://opentelemetry.io/docs/specs/otlp/. In its JSON ids are hexadecimal; where a span stands in an answer of
MLflow's protocol they are base 64, as in any JSON that protobuf makes.
"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from modelwright.core.errors import Invalid
from modelwright.traces.protobuf import BYTES, FIXED64, VARINT, broken, double, fields, signed
from modelwright.traces.records import MAX_TIME, Span, SpanBatch, SpanEvent, SpanLink, SpanStatus

MAX_SPANS = 20_000  # in one request
MAX_DEPTH = 32  # of an attribute's value
MAX_INFLATED = 64 * 2**20  # bytes of a body after it was unpacked

T = TypeVar("T")
_STATUS = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)
_CODES = {status: f"STATUS_CODE_{status.value.upper()}" for status in SpanStatus}
_HEX = re.compile(r"[0-9a-fA-F]*")


def unpack(body: bytes, encoding: str) -> bytes:
    """A body as its Content-Encoding says it is packed: gzip, deflate or nothing. It never grows past a limit."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise Invalid(f"The content encoding {encoding[:40]!r} is not known.", mend="Use gzip, deflate or none.")
    windows = (31,) if encoding == "gzip" else (15, -15)  # deflate is sent with and without zlib's frame
    for window in windows:
        inflater = zlib.decompressobj(window)
        try:
            found = inflater.decompress(body, MAX_INFLATED + 1)
        except zlib.error:
            continue
        if len(found) > MAX_INFLATED:
            raise Invalid(f"The body unpacks to more than {MAX_INFLATED // 2**20} MiB.", mend="Send fewer spans at once.")
        if inflater.eof and not inflater.unused_data:
            return found
    raise Invalid(f"The body is not {encoding}, or not all of it.")


def read_protobuf(body: bytes) -> list[SpanBatch]:
    """Spans from an ExportTraceServiceRequest; `Invalid` for bytes that are none."""
    counted = _Counter()
    found = []
    for number, wire, value in fields(memoryview(body)):
        if (number, wire) == (1, BYTES):
            found.append(_resource_spans(_view(value), counted))
    return found


def read_json(body: bytes) -> list[SpanBatch]:
    """The same from OTLP's JSON."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Invalid("The body is no JSON.") from None
    counted, found = _Counter(), []
    for each in _dicts(request, "resourceSpans"):
        resource = each.get("resource") or {}
        spans = []
        for scope in _dicts(each, "scopeSpans"):
            spans += [counted(_json_span(one)) for one in _dicts(scope, "spans")]
        found.append(SpanBatch(spans=spans, resource=_json_attributes(resource)))
    return found


def protobuf_json(span: Span) -> dict[str, Any]:
    """A span as the JSON that protobuf makes of OTLP's message: what an answer of MLflow's protocol holds."""
    made: dict[str, Any] = {
        "traceId": _base64(span.trace),
        "spanId": _base64(span.id),
        "name": span.name,
        "startTimeUnixNano": str(span.start),
        "attributes": _told(span.attributes),
        "status": {"code": _CODES[span.status], **({"message": span.message} if span.message else {})},
    }
    if span.parent:
        made["parentSpanId"] = _base64(span.parent)
    if span.kind:
        made["kind"] = span.kind
    if span.end is not None:
        made["endTimeUnixNano"] = str(span.end)
    if span.events:
        made["events"] = [
            {"timeUnixNano": str(each.time), "name": each.name, "attributes": _told(each.attributes)}
            for each in span.events
        ]
    if span.links:
        made["links"] = [
            {"traceId": _base64(each.trace), "spanId": _base64(each.span), "attributes": _told(each.attributes)}
            for each in span.links
        ]
    return made


class _Counter:
    """Counts spans on their way, so that a small body cannot become a large heap."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, span: Span) -> Span:
        self._count += 1
        if self._count > MAX_SPANS:
            raise Invalid(f"One request holds at most {MAX_SPANS} spans.", mend="Send them in several.")
        return span


# Protobuf


def _resource_spans(data: memoryview, counted: _Counter) -> SpanBatch:
    resource: dict[str, Any] = {}
    spans: list[Span] = []
    for number, wire, value in fields(data):
        if wire != BYTES:
            continue
        if number == 1:
            resource |= _attributes(_view(value), 1)
        elif number == 2:
            for inner, inner_wire, span in fields(_view(value)):
                if (inner, inner_wire) == (2, BYTES):
                    spans.append(counted(_span(_view(span))))
    return SpanBatch(spans=spans, resource=resource)


def _span(data: memoryview) -> Span:
    ids = {1: b"", 2: b"", 4: b""}
    name, kind, start, end, code, message = "", 0, 0, 0, 0, ""
    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    for number, wire, value in fields(data):
        if wire == BYTES:
            view = _view(value)
            if number in ids:
                ids[number] = bytes(view)
            elif number == 5:
                name = _text(view)
            elif number == 9:
                _add(attributes, view, 0)
            elif number == 11:
                events.append(_event(view))
            elif number == 13:
                links += _link(view)
            elif number == 15:
                for inner, inner_wire, one in fields(view):
                    if (inner, inner_wire) == (2, BYTES):
                        message = _text(_view(one))
                    elif (inner, inner_wire) == (3, VARINT):
                        code = _number(one)
        elif wire == VARINT and number == 6:
            kind = _number(value)
        elif wire == FIXED64 and number == 7:
            start = _number(value)
        elif wire == FIXED64 and number == 8:
            end = _number(value)
    return _made(
        trace=ids[1].hex(), id=ids[2].hex(), parent=ids[4].hex(), name=name, kind=kind, start=start, end=end, code=code,
        message=message, attributes=attributes, events=events, links=links,
    )  # fmt: skip


def _event(data: memoryview) -> SpanEvent:
    time, name, attributes = 0, "", dict[str, Any]()
    for number, wire, value in fields(data):
        if (number, wire) == (1, FIXED64):
            time = _number(value)
        elif (number, wire) == (2, BYTES):
            name = _text(_view(value))
        elif (number, wire) == (3, BYTES):
            _add(attributes, _view(value), 0)
    return SpanEvent(name=name, time=_nanoseconds(time), attributes=attributes)


def _link(data: memoryview) -> list[SpanLink]:
    trace, span, attributes = "", "", dict[str, Any]()
    for number, wire, value in fields(data):
        if wire != BYTES:
            continue
        if number == 1:
            trace = _view(value).hex()
        elif number == 2:
            span = _view(value).hex()
        elif number == 4:
            _add(attributes, _view(value), 0)
    return _linked(trace, span, attributes)


def _linked(trace: str, span: str, attributes: dict[str, Any]) -> list[SpanLink]:
    """A link, or none: some programs link to ids of their own, which is no reason to lose the span."""
    try:
        return [SpanLink(trace=_id(trace, 16), span=_id(span, 8), attributes=attributes)]
    except Invalid:
        return []


def _attributes(data: memoryview, wanted: int, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, wire, value in fields(data):
        if (number, wire) == (wanted, BYTES):
            _add(found, _view(value), depth)
    return found


def _add(attributes: dict[str, Any], data: memoryview, depth: int) -> None:
    key, value = "", None
    for number, wire, held in fields(data):
        if (number, wire) == (1, BYTES):
            key = _text(_view(held))
        elif (number, wire) == (2, BYTES):
            value = _value(_view(held), depth)
    attributes[key] = value


def _value(data: memoryview, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Invalid(f"An attribute is nested more than {MAX_DEPTH} deep.")
    found: Any = None
    for number, wire, value in fields(data):
        match number, wire:
            case 1, 2:
                found = _text(_view(value))
            case 2, 0:
                found = bool(value)
            case 3, 0:
                found = signed(_number(value))
            case 4, 1:
                found = _real(double(_number(value)))
            case 5, 2:
                items = fields(_view(value))
                found = [_value(_view(item), depth + 1) for number, wire, item in items if (number, wire) == (1, BYTES)]
            case 6, 2:
                found = _attributes(_view(value), 1, depth + 1)
            case 7, 2:
                found = base64.b64encode(_view(value)).decode()
    return found


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise broken()
    return value


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise broken()
    return value


def _text(view: memoryview) -> str:
    return _clean(str(view, "utf-8", "replace"))


# JSON


def _json_span(given: Mapping[str, Any]) -> Span:
    status = given.get("status") or {}
    if not isinstance(status, dict):
        raise _wrong("status")
    return _made(
        trace=_json_text(given, "traceId"),
        id=_json_text(given, "spanId"),
        parent=_json_text(given, "parentSpanId"),
        name=_json_text(given, "name"),
        kind=_json_number(given, "kind", _KINDS),
        start=_json_number(given, "startTimeUnixNano"),
        end=_json_number(given, "endTimeUnixNano"),
        code=_json_number(status, "code", _CODE_NUMBERS),
        message=_json_text(status, "message"),
        attributes=_json_attributes(given),
        events=[
            SpanEvent(
                name=_json_text(each, "name"),
                time=_nanoseconds(_json_number(each, "timeUnixNano")),
                attributes=_json_attributes(each),
            )
            for each in _dicts(given, "events")
        ],
        links=[
            link
            for each in _dicts(given, "links")
            for link in _linked(_json_text(each, "traceId"), _json_text(each, "spanId"), _json_attributes(each))
        ],
    )


_KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_CODE_NUMBERS = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def _json_attributes(given: Any, depth: int = 0) -> dict[str, Any]:
    return {_json_text(each, "key"): _json_value(each.get("value"), depth) for each in _dicts(given, "attributes")}


def _json_value(given: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Invalid(f"An attribute is nested more than {MAX_DEPTH} deep.")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise _wrong("value")
    for kind, read in _VALUES.items():
        if kind in given:
            return read(given[kind], depth)
    return None


def _json_bool(value: Any, depth: int) -> bool:
    if not isinstance(value, bool):
        raise _wrong("boolValue")
    return value


def _json_int(value: Any, depth: int) -> int:
    number = _whole(value, "intValue")
    if not -(1 << 63) <= number < 1 << 63:
        raise _wrong("intValue")
    return number


def _json_double(value: Any, depth: int) -> Any:
    try:
        return _real(float(value))
    except (TypeError, ValueError, OverflowError):
        raise _wrong("doubleValue") from None


def _json_array(value: Any, depth: int) -> list[Any]:
    found = value.get("values") or [] if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise _wrong("arrayValue")
    return [_json_value(each, depth + 1) for each in found]


def _json_map(value: Any, depth: int) -> dict[str, Any]:
    pairs = _dicts(value, "values")
    return {_json_text(each, "key"): _json_value(each.get("value"), depth + 1) for each in pairs}


_VALUES: dict[str, Callable[[Any, int], Any]] = {
    "stringValue": lambda value, depth: _json_text({"stringValue": value}, "stringValue"),
    "boolValue": _json_bool,
    "intValue": _json_int,
    "doubleValue": _json_double,
    "arrayValue": _json_array,
    "kvlistValue": _json_map,
    "bytesValue": lambda value, depth: _json_text({"bytesValue": value}, "bytesValue"),
}


def _json_text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name)
    return _clean(value)


def _json_number(given: Mapping[str, Any], name: str, words: Mapping[str, int] | None = None) -> int:
    value = given.get(name)
    if value is None:
        return 0
    if words is not None and isinstance(value, str) and value in words:
        return words[value]
    return _whole(value, name)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > 20:
        raise _wrong(name)
    try:
        return int(value)
    except ValueError:
        raise _wrong(name) from None


def _dicts(given: Any, name: str) -> Iterator[dict[str, Any]]:
    if not isinstance(given, dict):
        raise _wrong(name)
    found = given.get(name)
    if found is None:
        return
    if not isinstance(found, list):
        raise _wrong(name)
    for each in found:
        if not isinstance(each, dict):
            raise _wrong(name)
        yield each


def _wrong(name: str) -> Invalid:
    return Invalid(f"The body is no JSON of OTLP: {name} is not what it should be.")


# Both


def _made(
    *,
    trace: str,
    id: str,
    parent: str,
    name: str,
    kind: int,
    start: int,
    end: int,
    code: int,
    message: str,
    attributes: dict[str, Any],
    events: list[SpanEvent],
    links: list[SpanLink],
) -> Span:
    return Span(
        trace=_id(trace, 16),
        id=_id(id, 8),
        parent=_id(parent, 8) if parent.strip("0") else None,
        name=name,
        kind=kind if 0 <= kind <= 5 else 0,
        start=_nanoseconds(start),
        end=_nanoseconds(end) or None,
        status=_STATUS[code] if 0 <= code < len(_STATUS) else SpanStatus.UNSET,
        message=message,
        attributes=attributes,
        events=events,
        links=links,
    )


def _id(text: str, size: int) -> str:
    """An id in hexadecimal, of so many bytes; `Invalid` for another size and for all zeros, as OpenTelemetry has it."""
    if len(text) != 2 * size or not _HEX.fullmatch(text) or not text.strip("0"):
        raise Invalid(f"{text[:80]!r} is no id of {size} bytes.", mend="Ids of traces have 16 bytes, ids of spans 8.")
    return text.lower()


def _nanoseconds(value: int) -> int:
    if not 0 <= value <= MAX_TIME:
        raise Invalid(f"{value} is no time in nanoseconds since 1970.")
    return value


def _real(value: float) -> Any:
    """A float as JSON can hold it: what is not finite becomes text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _clean(text: str) -> str:
    """Text without the character that PostgreSQL cannot hold."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def _told(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _told(value)}}
    return {"arrayValue": {"values": [_any_value(each) for each in value]}}
