"""The traces of a running server of MLflow's: pages of what it says of each, and their spans a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from modelwright.core.errors import Invalid
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.traces import PLACE_TAG, STATUSES, ForeignTrace, hex_of, state_of, value_of
from modelwright.traces import Assessment, AssessmentKind, Span, SpanEvent, SpanLink, SpanStatus, TraceGiven

Ask = Callable[..., Any]  # method, path, and what goes along; the JSON of the answer

SEARCH, BATCH = "/api/3.0/mlflow/traces/search", "/api/3.0/mlflow/traces/batchGet"
PAGE = 100
AT_ONCE = 20  # traces whose spans come in one answer


class TracesOfServer:
    """Reads the traces of some experiments, and counts them meanwhile: a server does not tell how many there are."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.counted = Counts()

    def all(self, experiments: Sequence[str]) -> Iterator[ForeignTrace]:
        """Every trace of these experiments, with its spans."""
        self.counted = Counts()
        for experiment in experiments:
            for page in self._pages(experiment):
                for at in range(0, len(page), AT_ONCE):
                    ids = [each["trace_id"] for each in page[at : at + AT_ONCE]]
                    spans = self._spans(ids)
                    for info in page[at : at + AT_ONCE]:
                        yield self._one(experiment, info, spans.get(info["trace_id"], ()))

    def _spans(self, ids: Sequence[str]) -> dict[str, Sequence[Any] | str]:
        """The spans of some traces; or why there are none: a server that has not those of one gives none of any."""
        try:
            told = self._ask("GET", BATCH, params=[("trace_ids", identity) for identity in ids])
        except Invalid as error:
            if error.details.get("unknown"):
                raise
            if len(ids) == 1:
                return {ids[0]: error.message}
            half = len(ids) // 2
            return {**self._spans(ids[:half]), **self._spans(ids[half:])}
        return {each["trace_info"]["trace_id"]: each.get("spans", ()) for each in told.get("traces", ())}

    def _pages(self, experiment: str) -> Iterator[list[Any]]:
        where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        asked: dict[str, Any] = {"locations": [where], "max_results": PAGE}
        while True:
            told = self._ask("POST", SEARCH, json=asked)
            yield told.get("traces", [])
            if not told.get("next_page_token"):
                return
            asked = {**asked, "page_token": told["next_page_token"]}

    def _one(self, experiment: str, info: Any, contents: Sequence[Any] | str) -> ForeignTrace:
        broken, spans = "", []
        if isinstance(contents, str):
            broken, contents = contents, ()
        try:
            spans = [span_from(each) for each in contents]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            broken = f"{type(error).__name__}: {error}"
        judged = [_assessment(each, info["trace_id"]) for each in info.get("assessments", ())]
        self.counted += Counts(traces=1, spans=len(contents), assessments=len(judged))
        took = info.get("execution_duration")
        given = TraceGiven(
            id=info["trace_id"],
            state=state_of(info.get("state", "")),
            started=_millis(info["request_time"]),
            milliseconds=None if took is None else int(Decimal(took.removesuffix("s")) * 1000),
            client_request_id=info.get("client_request_id"),
            request=info.get("request_preview"),
            response=info.get("response_preview"),
            metadata=info.get("trace_metadata", {}),
            tags={key: value for key, value in info.get("tags", {}).items() if key != PLACE_TAG},
            assessments=judged,
        )
        return ForeignTrace(experiment=experiment, given=given, spans=spans, broken=broken)


def span_from(said: Any) -> Span:
    """A span from the JSON that protobuf makes of OpenTelemetry's message, by either way of writing its names."""
    span = _plain_names(said)
    status = span.get("status", {})
    parent = span.get("parent_span_id")
    return Span(
        trace=hex_of(span["trace_id"]),
        id=hex_of(span["span_id"]),
        parent=hex_of(parent) if parent else None,
        name=span.get("name", ""),
        kind=span["kind"] if isinstance(span.get("kind"), int) else 0,
        start=int(span["start_time_unix_nano"]),
        end=int(span["end_time_unix_nano"]) if span.get("end_time_unix_nano") else None,
        status=STATUSES.get(status.get("code", ""), SpanStatus.UNSET),
        message=status.get("message", ""),
        attributes=_attributes(span),
        events=[
            SpanEvent(name=each.get("name", ""), time=int(each["time_unix_nano"]), attributes=_attributes(each))
            for each in map(_plain_names, span.get("events", ()))
        ],
        links=[
            SpanLink(trace=hex_of(each["trace_id"]), span=hex_of(each["span_id"]), attributes=_attributes(each))
            for each in map(_plain_names, span.get("links", ()))
        ],
    )


def _plain_names(said: Any) -> dict[str, Any]:
    """What an object says, its names in lower case with underscores."""
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): value for key, value in said.items()}


def _attributes(said: Any) -> dict[str, Any]:
    return {each["key"]: _any(each.get("value", {})) for each in said.get("attributes", ())}


def _any(said: Any) -> Any:
    """The value that one of OpenTelemetry's AnyValue stands for."""
    for kind, value in _plain_names(said).items():
        if kind == "int_value":
            return int(value)
        if kind == "array_value":
            return [_any(each) for each in value.get("values", ())]
        if kind == "kvlist_value":
            return {each["key"]: _any(each.get("value", {})) for each in value.get("values", ())}
        return float(value) if kind == "double_value" else value
    return None


def _assessment(said: Any, trace: str) -> Assessment:
    kind = AssessmentKind.EXPECTATION if "expectation" in said else AssessmentKind.FEEDBACK
    judged = said.get(kind.value, {})
    in_text = judged.get("serialized_value")
    source = said.get("source", {})
    return Assessment(
        id=said["assessment_id"],
        trace=trace,
        span=said.get("span_id") or None,
        name=said["assessment_name"],
        kind=kind,
        value=judged.get("value") if in_text is None else value_of(in_text.get("value")),
        error=judged.get("error"),
        rationale=said.get("rationale", ""),
        metadata=said.get("metadata", {}),
        source_type=source.get("source_type", "CODE"),
        source_id=source.get("source_id", ""),
        created=_millis(said["create_time"]),
        updated=_millis(said["last_update_time"]),
        overrides=said.get("overrides") or None,
        valid=said.get("valid", True),
    )


def _millis(text: str) -> int:
    """Milliseconds since 1970 of a time in the words of RFC 3339."""
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
