"""Which figures there are of traces, spans and assessments, and what they are told apart by. Pure."""

from __future__ import annotations

from typing import Final

from modelwright.core.errors import Invalid
from modelwright.traces.records import FigureQuery, View
from modelwright.traces.summing import COSTS, TOKENS

MAX_LIMIT = 1000  # figures on one page
MAX_SUMMARIES = 20
ALL_TOKENS: Final = (*TOKENS, "cache_read_input_tokens", "cache_creation_input_tokens")
COUNTS: Final = {
    View.TRACES: ("trace_count", "session_count"),
    View.SPANS: ("span_count",),
    View.ASSESSMENTS: ("assessment_count",),
}
MEASURES: Final = {
    View.TRACES: ("latency", *ALL_TOKENS),
    View.SPANS: ("latency", *COSTS),
    View.ASSESSMENTS: ("assessment_value",),
}
DIMENSIONS: Final = {
    View.TRACES: ("trace_name", "trace_status"),
    View.SPANS: ("span_name", "span_type", "span_status", "span_model_name", "span_model_provider"),
    View.ASSESSMENTS: ("assessment_name", "assessment_value"),
}


def check(asked: FigureQuery, limit: int) -> None:
    """Raise unless that can be summed up, saying what can."""
    counts, known = COUNTS[asked.view], (*COUNTS[asked.view], *MEASURES[asked.view])
    if asked.metric not in known:
        raise Invalid(f"There is no figure {asked.metric[:80]!r} of {asked.view.value}: they are {', '.join(known)}.")
    if not 0 < len(asked.how) <= MAX_SUMMARIES:
        raise Invalid(f"1 to {MAX_SUMMARIES} aggregations are asked for at once, not {len(asked.how)}.")
    for each in asked.how:
        if (asked.metric in counts) is not (each.how == "count"):
            takes = "count only" if asked.metric in counts else "sum, avg, min, max or percentile"
            raise Invalid(f"{asked.metric} takes {takes}, not {each.how}.")
        if (each.how == "percentile") is not (each.percentile is not None) or not 0 <= (each.percentile or 0) <= 100:
            raise Invalid("A percentile has a place from 0 to 100, and nothing else has one.")
    wrong = [name for name in asked.by if name not in DIMENSIONS[asked.view]]
    if wrong or len(set(asked.by)) < len(asked.by):
        raise Invalid(
            f"Figures of {asked.view.value} are told apart by {', '.join(DIMENSIONS[asked.view])}, each once; "
            f"not by {', '.join(each[:80] for each in wrong or asked.by)}."
        )
    if asked.every is not None and not 1 <= asked.every <= 2**31:
        raise Invalid(f"A figure is for at least one second, not {asked.every}.")
    if not all(abs(each or 0) < 2**53 for each in (asked.since, asked.until)):
        raise Invalid("A time is in milliseconds since 1970.")
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} figures, not {limit}.")
