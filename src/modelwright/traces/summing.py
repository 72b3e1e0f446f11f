"""What the spans of a trace come to: how long, in which state, how many tokens, what went in and what came out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from modelwright.core.wire import encode_text
from modelwright.traces.records import MAX_PREVIEW, Span, SpanStatus, TraceState

TOKENS: Final = ("input_tokens", "output_tokens", "total_tokens")
COSTS: Final = ("input_cost", "output_cost", "total_cost")

# Several conventions say the same by different names: MLflow's, OpenTelemetry's for generative AI, OpenInference's.
_INPUTS = ("mlflow.spanInputs", "gen_ai.input.messages", "input.value", "traceloop.entity.input")
_OUTPUTS = ("mlflow.spanOutputs", "gen_ai.output.messages", "output.value", "traceloop.entity.output")
_TYPES = ("mlflow.spanType", "openinference.span.kind", "traceloop.span.kind", "gen_ai.operation.name")
_SESSIONS = ("session.id", "gen_ai.conversation.id")
_USAGE = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
    ("llm.token_count.prompt", "llm.token_count.completion"),
)


class Node(NamedTuple):
    """A span as far as sums go."""

    id: str
    parent: str | None
    figures: Mapping[str, float] | None


def state_of(root: Span) -> TraceState:
    """How a trace stands by its root span."""
    if root.status is SpanStatus.ERROR:
        return TraceState.ERROR
    return TraceState.IN_PROGRESS if root.end is None else TraceState.OK


def first(spans: Iterable[Span]) -> Span | None:
    """The root: the span without a parent, the earliest if there are several."""
    return min((span for span in spans if span.parent is None), key=lambda span: span.start, default=None)


def type_of(span: Span) -> str:
    """The kind of step that a span is (LLM, TOOL, RETRIEVER, ...), or nothing."""
    found = _first_of(span.attributes, _TYPES)
    return found if isinstance(found, str) else ""


def session_of(spans: Iterable[Span]) -> str | None:
    """The session that a span names."""
    for span in spans:
        found = _first_of(span.attributes, _SESSIONS)
        if isinstance(found, str) and found:
            return found
    return None


def user_of(spans: Iterable[Span]) -> str | None:
    """The user that a span names."""
    for span in spans:
        found = span.attributes.get("user.id")
        if isinstance(found, str) and found:
            return found
    return None


def request_of(span: Span) -> str | None:
    """The beginning of what went in."""
    return _preview(_first_of(span.attributes, _INPUTS))


def response_of(span: Span) -> str | None:
    """The beginning of what came out."""
    return _preview(_first_of(span.attributes, _OUTPUTS))


def usage_of(span: Span) -> dict[str, float] | None:
    """The tokens that a span counted, or None."""
    told = _plain(span.attributes.get("mlflow.chat.tokenUsage"))
    if isinstance(told, dict):
        counted = {key: value for key, value in told.items() if _is_count(value)}
        if any(key in counted for key in TOKENS):
            return counted
    for names in _USAGE:
        read, written = (span.attributes.get(name) for name in names)
        if _is_count(read) or _is_count(written):
            counts = [int(value or 0) if _is_count(value) else 0 for value in (read, written)]
            return dict(zip(TOKENS, [*counts, sum(counts)], strict=True))
    return None


def cost_of(span: Span) -> dict[str, float] | None:
    """What a span cost, in US dollars, or None."""
    told = _plain(span.attributes.get("mlflow.llm.cost"))
    if not isinstance(told, dict):
        return None
    found = {key: float(told[key]) for key in COSTS if _is_number(told.get(key))}
    return found or None


def add_up(nodes: Sequence[Node]) -> dict[str, float] | None:
    """The figures of a whole tree; None where no span has any.

    Some programs put on a parent what its children used together: below a span that has figures nothing is added.
    """
    by_id = {node.id: node for node in nodes}
    known: dict[str, bool] = {}
    total: dict[str, float] = {}
    for node in nodes:
        if node.figures and not _covered(node, by_id, known):
            for key, value in node.figures.items():
                total[key] = total.get(key, 0) + value
    return total or None


def size_stats(sizes: Sequence[int]) -> str:
    """The sizes of a trace's spans, as MLflow's metadata has them."""
    ordered = sorted(sizes)

    def quantile(part: float) -> int:
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0

    return encode_text(
        {
            "total_size_bytes": sum(ordered),
            "num_spans": len(ordered),
            "max": ordered[-1] if ordered else 0,
            "p25": quantile(0.25),
            "p50": quantile(0.5),
            "p75": quantile(0.75),
        }
    )


def _covered(node: Node, by_id: Mapping[str, Node], known: dict[str, bool]) -> bool:
    """Whether a span above has figures. Parents may be missing, and a bad program may make them go round.

    `known` holds the answers for the spans that were passed on the way, so that a tree is walked once.
    """
    passed, answer = [node.id], False
    above = node.parent
    while above is not None and above not in passed[:1]:
        if above in known:
            answer = known[above] or bool(by_id[above].figures)
            break
        parent = by_id.get(above)
        if parent is None or len(passed) > len(by_id):
            break
        if parent.figures:
            answer = True
            break
        passed.append(above)
        above = parent.parent
    known.update(dict.fromkeys(passed, answer))
    return answer


def _preview(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else encode_text(value)
    return text if len(text) <= MAX_PREVIEW else text[: MAX_PREVIEW - 1] + "…"


def _first_of(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _plain(value: Any) -> Any:
    """A value, or what it says where it is JSON in a text."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is_count(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
