"""Traces: the steps by which a program came to an answer, and what people, programs and models judged of them.

`Traces` is the service; `otlp` reads what any OpenTelemetry SDK sends.
"""

from modelwright.traces.queries import body_digests, overdue_bodies, with_bodies
from modelwright.traces.records import (
    Assessment,
    AssessmentChange,
    AssessmentKind,
    Correlation,
    Figure,
    FigurePage,
    FigureQuery,
    PromptUse,
    Span,
    SpanBatch,
    SpanEvent,
    SpanLink,
    SpanStatus,
    Summary,
    Trace,
    TraceGiven,
    TraceInfo,
    TracePage,
    TraceState,
    View,
)
from modelwright.traces.service import Traces
from modelwright.traces.writing import drop_bodies

__all__ = [
    "Assessment",
    "AssessmentChange",
    "AssessmentKind",
    "Correlation",
    "Figure",
    "FigurePage",
    "FigureQuery",
    "PromptUse",
    "Span",
    "SpanBatch",
    "SpanEvent",
    "SpanLink",
    "SpanStatus",
    "Summary",
    "Trace",
    "TraceGiven",
    "TraceInfo",
    "TracePage",
    "TraceState",
    "Traces",
    "View",
    "body_digests",
    "drop_bodies",
    "overdue_bodies",
    "with_bodies",
]
