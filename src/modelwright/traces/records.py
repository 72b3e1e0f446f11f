"""The nouns of tracing: traces, their spans, and what somebody judged of them. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from modelwright.core.refs import Kind, Ref

PREFIX: Final = "tr-"  # of a trace's id; the rest is the 32 hexadecimal digits of OpenTelemetry's
NAME_TAG: Final = "mlflow.traceName"
BODIES_GONE: Final = "modelwright.bodiesDeleted"  # metadata: the deletion by which the bodies of a trace went
PLACE_TAG: Final = "mlflow.trace.spansLocation"  # where MLflow's clients find the spans of a trace
PLACE: Final = "TRACKING_STORE"  # always here, and never among the files
RUN_KEY: Final = "mlflow.sourceRun"  # metadata: the run that a trace was made in

MAX_KEY = 250  # characters of a tag's or a metadata's key
MAX_VALUE = 8000  # of its value; what is longer is cut
MAX_PREVIEW = 1000  # of what went in and came out, as lists show it
MAX_TIME = 2**63 - 1  # nanoseconds since 1970 that a column holds: until 2262


class TraceState(StrEnum):
    """How a trace stands. The words are MLflow's, in lower case."""

    UNSPECIFIED = "state_unspecified"
    OK = "ok"
    ERROR = "error"
    IN_PROGRESS = "in_progress"


class SpanStatus(StrEnum):
    """How a span ended, in OpenTelemetry's words."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


class SpanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at one moment of a span: an exception, a token."""

    name: str
    time: int  # nanoseconds since 1970
    attributes: dict[str, Any] = {}


class SpanLink(msgspec.Struct, frozen=True, kw_only=True):
    """Another span that this one has to do with, perhaps of another trace."""

    trace: str  # 32 hexadecimal digits
    span: str  # 16
    attributes: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a trace, as OpenTelemetry has it: attributes are text, numbers, booleans, lists and dicts of them."""

    trace: str  # 32 hexadecimal digits
    id: str  # 16
    parent: str | None = None
    name: str = ""
    kind: int = 0  # OpenTelemetry's: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    start: int = 0  # nanoseconds since 1970
    end: int | None = None
    status: SpanStatus = SpanStatus.UNSET
    message: str = ""
    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []

    @property
    def trace_id(self) -> str:
        """The id of its trace, as a ref names it."""
        return PREFIX + self.trace

    @property
    def milliseconds(self) -> float | None:
        """How long it took, or None while it is open."""
        return None if self.end is None else max(self.end - self.start, 0) / 1e6


class SpanBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Spans that one program made, with what it says of itself."""

    spans: list[Span]
    resource: dict[str, Any] = {}


class AssessmentKind(StrEnum):
    """What an assessment is: a judgement of what came out, or what should have come out."""

    FEEDBACK = "feedback"
    EXPECTATION = "expectation"


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What a person, a program or a model judged of a trace, or of one span."""

    id: str = ""  # given by the service
    trace: str = ""
    span: str | None = None
    name: str
    kind: AssessmentKind
    value: Any = None
    serialized: bool = False  # the value is JSON in a text, as MLflow's client sends what is deeper than one list
    error: dict[str, Any] | None = None  # why there is no value
    rationale: str = ""
    metadata: dict[str, str] = {}
    source_type: str = "CODE"  # HUMAN, LLM_JUDGE, CODE
    source_id: str = ""
    created: int = 0  # milliseconds since 1970
    updated: int = 0
    overrides: str | None = None  # the id of the assessment that it stands for
    valid: bool = True  # no other overrides it


class AssessmentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an assessment; None leaves it as it is."""

    name: str | None = None
    kind: AssessmentKind | None = None  # the kind that `value` is meant for; it cannot change
    value: Any = None
    serialized: bool = False
    error: dict[str, Any] | None = None
    rationale: str | None = None
    metadata: dict[str, str] | None = None  # added to what is there
    overrides: str | None = None
    valid: bool | None = None


class PromptUse(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt's version that a trace made use of."""

    name: str
    version: str


class TraceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A trace without its spans."""

    id: str
    experiment: str  # the name of its ref
    experiment_title: str = ""
    experiment_id: int
    state: TraceState = TraceState.UNSPECIFIED
    started: int = 0  # milliseconds since 1970
    milliseconds: int | None = None  # how long it took
    client_request_id: str | None = None
    request: str | None = None  # the beginning of what went in
    response: str | None = None
    name: str = ""
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[Assessment] = []
    spans: int = 0
    size: int = 0  # bytes of the spans' contents

    @property
    def ref(self) -> Ref:
        """`trace:<id>`."""
        return Ref(Kind.TRACE, self.id)


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace with its spans, in order of their beginning."""

    info: TraceInfo
    spans: list[Span]


class TraceGiven(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of a trace. What is None or absent is left as the spans tell it."""

    id: str
    state: TraceState = TraceState.UNSPECIFIED
    started: int = 0  # milliseconds since 1970
    milliseconds: int | None = None
    client_request_id: str | None = None
    request: str | None = None
    response: str | None = None
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[Assessment] = []


class TracePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search."""

    items: list[TraceInfo]
    next: str | None = None


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """How two filters go together over the same traces.

    `npmi` is the normalised pointwise mutual information (Bouma, 2009): 1 where they always meet, 0 where they are
    independent, -1 where they never meet; None where it is not defined. The smoothed one adds half a trace to each cell.
    """

    npmi: float | None
    npmi_smoothed: float | None
    first: int
    second: int
    both: int
    total: int


class View(StrEnum):
    """What figures are of."""

    TRACES = "traces"
    SPANS = "spans"
    ASSESSMENTS = "assessments"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How many values become one."""

    how: Literal["count", "sum", "avg", "min", "max", "percentile"]
    percentile: float | None = None  # 0 to 100

    @property
    def name(self) -> str:
        """As it stands in the values of a figure: `avg`, `p95.0`."""
        return self.how if self.percentile is None else f"p{self.percentile}"


class FigureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures to sum up; docs/traces.md lists the metrics, and what they are told apart by."""

    view: View
    metric: str
    how: list[Summary]
    by: list[str] = []
    where: list[str] = []  # filters that all hold
    every: int | None = None  # seconds: a figure for each span of time
    since: int | None = None  # milliseconds since 1970, both ends included
    until: int | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a summary over traces, spans or assessments."""

    metric: str
    dimensions: dict[str, str]
    values: dict[str, float]
    time: datetime | None = None  # when its span of time begins


class FigurePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of figures."""

    items: list[Figure]
    next: str | None = None
