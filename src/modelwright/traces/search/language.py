"""The fields that filters and orders of traces are made of. Pure."""

from __future__ import annotations

from typing import Final

from modelwright.core.search import LISTS, NULLS, NUMBERS, TEXTS, Entity, Field, Language, Op

_TEXT = Field(ops=TEXTS | LISTS)
_NUMBER = Field(ops=NUMBERS, number=True)
_CONTENT = Field(ops=frozenset({Op.LIKE, Op.ILIKE}), orders=False)
_PAIR = Field(ops=TEXTS | LISTS | NULLS)
_JUDGED = Field(ops=TEXTS | NUMBERS | NULLS, either=True, orders=False)
_SPAN = Field(ops=TEXTS | LISTS, orders=False)

ATTRIBUTES: Final = "attributes."  # what a key of a span begins with that is one of its attributes

TRACES: Final = Language(
    Entity(
        "trace",
        ("trace", "attribute", "attributes", "attr"),
        keys={
            "request_id": _TEXT,
            "client_request_id": _TEXT,
            "status": _TEXT,
            "name": _TEXT,
            "run_id": _TEXT,
            "experiment_id": Field(ops=frozenset()),
            "prompt": Field(ops=frozenset({Op.EQUAL}), orders=False),
            "timestamp": _NUMBER,
            "execution_time": _NUMBER,
            "end_time": _NUMBER,
            "text": _CONTENT,
        },
        aliases={
            "trace_id": "request_id",
            "id": "request_id",
            "state": "status",
            "timestamp_ms": "timestamp",
            "request_time": "timestamp",
            "created": "timestamp",
            "execution_time_ms": "execution_time",
            "execution_duration": "execution_time",
            "end_time_ms": "end_time",
        },
    ),
    Entity("tag", ("tag", "tags"), any=_PAIR),
    Entity("metadata", ("metadata", "request_metadata", "trace_metadata"), any=_PAIR),
    Entity("span", ("span", "spans"), keys={"name": _SPAN, "type": _SPAN, "status": _SPAN, "content": _CONTENT}, any=_SPAN),
    Entity("feedback", ("feedback",), any=_JUDGED),
    Entity("expectation", ("expectation",), any=_JUDGED),
)
