"""Traces: the steps by which a program came to an answer, and what people, programs and models judged of them.

`Traces` is the service; `otlp` reads what any OpenTelemetry SDK sends.
"""

from modelwright.traces.records import (
    Assessment,
    AssessmentChange,
    AssessmentKind,
    Correlation,
    PromptUse,
    Span,
    SpanBatch,
    SpanEvent,
    SpanLink,
    SpanStatus,
    Trace,
    TraceGiven,
    TraceInfo,
    TracePage,
    TraceState,
)
from modelwright.traces.service import Traces

__all__ = [
    "Assessment",
    "AssessmentChange",
    "AssessmentKind",
    "Correlation",
    "PromptUse",
    "Span",
    "SpanBatch",
    "SpanEvent",
    "SpanLink",
    "SpanStatus",
    "Trace",
    "TraceGiven",
    "TraceInfo",
    "TracePage",
    "TraceState",
    "Traces",
]
