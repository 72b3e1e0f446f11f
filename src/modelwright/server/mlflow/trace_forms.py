"""How traces and assessments look in MLflow's protocol, and what its messages mean in ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from modelwright.core.errors import ModelwrightError
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.messages import SEEN, Message, lacking
from modelwright.traces import Assessment, AssessmentChange, AssessmentKind, Trace, TraceGiven, TraceInfo, TraceState
from modelwright.traces.otlp import protobuf_json
from modelwright.traces.records import NAME_TAG

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")
_MILLISECOND = timedelta(milliseconds=1)
_STATES = {state.value.upper(): state for state in TraceState} | {
    str(number): state
    for number, state in enumerate((TraceState.UNSPECIFIED, TraceState.OK, TraceState.ERROR, TraceState.IN_PROGRESS))
}
_V2 = {TraceState.UNSPECIFIED: "TRACE_STATUS_UNSPECIFIED"}
_FROM_V2 = {"TRACE_STATUS_UNSPECIFIED": TraceState.UNSPECIFIED, "OK": TraceState.OK, "ERROR": TraceState.ERROR} | {
    "IN_PROGRESS": TraceState.IN_PROGRESS,
    **{number: _STATES[number] for number in "0123"},
}


class Pair(Message):
    key: str = ""
    value: str = ""


class Source(Message):
    source_type: str | int = ""
    source_id: str = ""


class Serialized(Message):
    serialization_format: str = ""
    value: str = ""


class Judged(Message):
    """The value of a feedback or of an expectation."""

    value: Any = None
    error: dict[str, Any] | None = None
    serialized_value: Serialized | None = None


class AssessmentMessage(Message):
    assessment_id: str = ""
    assessment_name: str = ""
    trace_id: str = ""
    span_id: str | None = None
    source: Source | None = None
    create_time: str | None = None
    last_update_time: str | None = None
    feedback: Judged | None = None
    expectation: Judged | None = None
    rationale: str | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    overrides: str | None = None
    valid: bool | None = None


class ExperimentLocation(Message):
    experiment_id: str = ""


class Location(Message):
    type: str | int = ""
    mlflow_experiment: ExperimentLocation | None = None

    @property
    def number(self) -> str:
        """The experiment's id."""
        if self.mlflow_experiment is None or not self.mlflow_experiment.experiment_id:
            raise invalid("Traces are kept in experiments of this server: a location is an mlflow_experiment with its id.")
        return self.mlflow_experiment.experiment_id


class InfoMessage(Message):
    trace_id: str = ""
    client_request_id: str | None = None
    trace_location: Location | None = None
    request: str | None = None
    response: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    request_time: str | None = None
    execution_duration: str | None = None
    state: str | int = ""
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[AssessmentMessage] = []


def given(info: InfoMessage) -> TraceGiven:
    """What a client says of a trace."""
    return TraceGiven(
        id=info.trace_id,
        state=_state(info.state),
        started=0 if info.request_time is None else read_time(info.request_time, "request_time"),
        milliseconds=None if info.execution_duration is None else read_duration(info.execution_duration),
        client_request_id=info.client_request_id,
        request=info.request_preview if info.request_preview is not None else info.request,
        response=info.response_preview if info.response_preview is not None else info.response,
        metadata=info.trace_metadata,
        tags=info.tags,
        assessments=[assessment_of(each) for each in info.assessments],
    )


def info_form(info: TraceInfo) -> dict[str, Any]:
    """A trace without its spans."""
    form: dict[str, Any] = {
        "trace_id": info.id,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": str(info.experiment_id)}},
        "request_time": time_text(info.started),
        "state": info.state.value.upper(),
        "trace_metadata": info.metadata,
        "tags": _tags(info),
    }
    for name, value in (
        ("client_request_id", info.client_request_id),
        ("request_preview", info.request),
        ("response_preview", info.response),
    ):
        if value is not None:
            form[name] = value
    if info.milliseconds is not None:
        form["execution_duration"] = duration_text(info.milliseconds)
    if info.assessments:
        form["assessments"] = [assessment_form(each) for each in info.assessments]
    return form


def trace_form(trace: Trace) -> dict[str, Any]:
    """A trace with its spans."""
    form: dict[str, Any] = {"trace_info": info_form(trace.info)}
    if trace.spans:
        form["spans"] = [protobuf_json(each) for each in trace.spans]
    return form


def v2_form(info: TraceInfo) -> dict[str, Any]:
    """A trace as the second version of the protocol has it."""
    return {
        "request_id": info.id,
        "experiment_id": str(info.experiment_id),
        "timestamp_ms": info.started,
        **({} if info.milliseconds is None else {"execution_time_ms": info.milliseconds}),
        "status": _V2.get(info.state, info.state.value.upper()),
        "request_metadata": [{"key": key, "value": value} for key, value in info.metadata.items()],
        "tags": [{"key": key, "value": value} for key, value in _tags(info).items()],
    }


def v2_state(status: str | int) -> TraceState:
    """A state as the second version of the protocol names it."""
    return _FROM_V2.get(str(status), TraceState.UNSPECIFIED)


def assessment_of(message: AssessmentMessage) -> Assessment:
    """What a client judged."""
    kind, judged = _judged(message)
    if kind is None or judged is None:
        raise invalid("An assessment has exactly one of feedback and expectation.")
    value, serialized, error = _value(judged)
    source = message.source or Source()
    return Assessment(
        id=message.assessment_id,
        span=message.span_id or None,
        name=message.assessment_name or lack("assessment_name"),
        kind=kind,
        value=value,
        serialized=serialized,
        error=error or (message.error if kind is AssessmentKind.FEEDBACK else None),
        rationale=message.rationale or "",
        metadata=message.metadata or {},
        source_type=_source(source.source_type),
        source_id=source.source_id,
        created=0 if message.create_time is None else read_time(message.create_time, "create_time"),
        updated=0 if message.last_update_time is None else read_time(message.last_update_time, "last_update_time"),
        overrides=message.overrides or None,
        valid=message.valid is not False,
    )


def change_of(message: AssessmentMessage, mask: str | list[str]) -> AssessmentChange:
    """What a client wants to be changed: the fields that its mask names, and no other."""
    paths = mask.split(",") if isinstance(mask, str) else mask
    named = {re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), path.strip()).partition(".")[0] for path in paths}
    allowed = {"assessment_name", "feedback", "expectation", "rationale", "metadata", "overrides", "valid"}
    if not named - {""} or not named <= allowed | {"", "name"}:
        raise invalid(f"update_mask names one or more of {', '.join(sorted(allowed))}.")
    kind, judged = _judged(message)
    change: dict[str, Any] = {}
    if named & {"feedback", "expectation"}:
        if kind is None or judged is None or kind.value not in named:
            raise invalid("update_mask names a value that the assessment does not hold.")
        value, serialized, error = _value(judged)
        change |= {"kind": kind, "value": value, "serialized": serialized, "error": error}
    if named & {"assessment_name", "name"}:
        change["name"] = message.assessment_name
    for name in ("rationale", "metadata", "overrides", "valid"):
        if name in named:
            change[name] = getattr(message, name)
    return AssessmentChange(**change)


def assessment_form(made: Assessment) -> dict[str, Any]:
    """An assessment."""
    judged: dict[str, Any] = {}
    if made.serialized:
        judged["serialized_value"] = {"serialization_format": "JSON_FORMAT", "value": made.value}
    elif made.value is not None or made.error is None:
        judged["value"] = made.value
    if made.error is not None:
        judged["error"] = made.error
    form: dict[str, Any] = {
        "assessment_id": made.id,
        "assessment_name": made.name,
        "trace_id": made.trace,
        "source": {"source_type": made.source_type, "source_id": made.source_id},
        "create_time": time_text(made.created),
        "last_update_time": time_text(made.updated),
        made.kind.value: judged,
        "valid": made.valid,
    }
    for name, value in (
        ("span_id", made.span),
        ("rationale", made.rationale),
        ("metadata", made.metadata),
        ("overrides", made.overrides),
    ):
        if value:
            form[name] = value
    return form


def read_time(text: str, name: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
        millis = (moment - _EPOCH) // _MILLISECOND + int((match[2] or "0").ljust(9, "0")) // 1_000_000
    except (ValueError, OverflowError):
        raise invalid(f"Invalid value {text[:SEEN]!r} for parameter '{name}' supplied: not an RFC 3339 time.") from None
    if millis < 0:
        raise invalid(f"Invalid value {text[:SEEN]!r} for parameter '{name}' supplied: it lies before 1970.")
    return millis


def time_text(millis: int) -> str:
    """RFC 3339 of milliseconds since 1970."""
    try:
        return (_EPOCH + millis * _MILLISECOND).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except OverflowError:
        return "9999-12-31T23:59:59.999Z"


def read_duration(text: str) -> int:
    """Milliseconds of protobuf's `0.313s`."""
    match = _DURATION.fullmatch(text)
    if match is None or match[1]:
        raise invalid(f"Invalid value {text[:SEEN]!r} for parameter 'execution_duration' supplied: write 0.313s.")
    return int(match[2]) * 1000 + int((match[3] or "0").ljust(9, "0")) // 1_000_000


def duration_text(millis: int) -> str:
    """Protobuf's form of a duration."""
    return f"{millis // 1000}.{millis % 1000:03d}s"


def no_trace(identity: str, error: ModelwrightError | None = None) -> MlflowError:
    """What is told of a trace that is not there, or that one may not know of: the same words."""
    return missing(f"Trace with ID '{identity[:80]}' not found.")


def lack(name: str) -> str:
    """Raise what a request without a field is told."""
    raise lacking(name)


def _tags(info: TraceInfo) -> dict[str, str]:
    return info.tags | ({NAME_TAG: info.name} if info.name and NAME_TAG not in info.tags else {})


def _state(state: str | int) -> TraceState:
    return _STATES.get(str(state), TraceState.UNSPECIFIED)


def _judged(message: AssessmentMessage) -> tuple[AssessmentKind | None, Judged | None]:
    if message.feedback is not None and message.expectation is not None:
        raise invalid("An assessment has exactly one of feedback and expectation.")
    if message.feedback is not None:
        return AssessmentKind.FEEDBACK, message.feedback
    if message.expectation is not None:
        return AssessmentKind.EXPECTATION, message.expectation
    return None, None


def _value(judged: Judged) -> tuple[Any, bool, dict[str, Any] | None]:
    if judged.serialized_value is not None:
        try:
            msgspec.json.decode(judged.serialized_value.value)
        except (msgspec.MsgspecError, RecursionError):
            raise invalid("A serialized value is JSON in a text.") from None
        return judged.serialized_value.value, True, judged.error
    return judged.value, False, judged.error


_SOURCES = {"0": "SOURCE_TYPE_UNSPECIFIED", "1": "HUMAN", "2": "LLM_JUDGE", "3": "CODE"}


def _source(source: str | int) -> str:
    text = _SOURCES.get(str(source), str(source)) or "SOURCE_TYPE_UNSPECIFIED"
    if text not in _SOURCES.values():
        raise invalid(f"Invalid value {text[:80]!r} for parameter 'source_type' supplied.")
    return text
