"""What can be asked of logged models in a search: the entities, their keys, and how each may be compared. Pure."""

from __future__ import annotations

from typing import Final

from modelwright.core.search import LISTS, NUMBERS, TEXTS, Entity, Field, Language

_TEXT: Final = Field(TEXTS | LISTS)
_NUMBER: Final = Field(NUMBERS, number=True)
ATTRIBUTE: Final = Entity(
    "attribute",
    ("attribute", "attributes", "attr"),
    keys={
        "name": _TEXT,
        "model_id": _TEXT,
        "model_type": _TEXT,
        "status": _TEXT,
        "source_run_id": _TEXT,
        "experiment_id": _NUMBER,
        "creation_timestamp": _NUMBER,
        "last_updated_timestamp": _NUMBER,
    },
    aliases={
        "creation_time": "creation_timestamp",
        "creation_timestamp_ms": "creation_timestamp",
        "last_updated_time": "last_updated_timestamp",
        "last_updated_timestamp_ms": "last_updated_timestamp",
        "run_id": "source_run_id",
    },
)
METRIC: Final = Entity("metric", ("metric", "metrics"), any=_NUMBER)
PARAM: Final = Entity("param", ("param", "params"), any=Field(TEXTS | LISTS, orders=False))
TAG: Final = Entity("tag", ("tag", "tags"), any=Field(TEXTS | LISTS, orders=False))
MODELS: Final = Language(ATTRIBUTE, METRIC, PARAM, TAG)
