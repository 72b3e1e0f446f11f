"""What can be asked of runs and experiments in a search: the entities, their keys, and how each may be compared. Pure."""

from __future__ import annotations

from typing import Final

from modelwright.core.search import LISTS, NULLS, NUMBERS, TEXTS, Entity, Field, Language

_TEXT: Final = Field(TEXTS)
_NUMBER: Final = Field(NUMBERS, number=True)
_NAMES: Final = dict.fromkeys(("Run name", "run name", "Run Name"), "run_name") | {
    "created": "start_time",
    "Created": "start_time",
}

METRIC: Final = Entity("metric", ("metric", "metrics"), any=_NUMBER)
PARAM: Final = Entity("param", ("param", "params", "parameter", "parameters"), any=Field(TEXTS | NULLS))
TAG: Final = Entity("tag", ("tag", "tags"), any=Field(TEXTS | NULLS))
DATASET: Final = Entity(
    "dataset",
    ("dataset", "datasets"),
    keys={key: Field(TEXTS | LISTS, orders=False) for key in ("name", "digest", "context")},
)
RUN: Final = Entity(
    "attribute",
    ("attribute", "attributes", "attr", "run"),
    keys={
        "run_id": Field(TEXTS | LISTS),
        "status": _TEXT,
        "run_name": _TEXT,
        "user_id": _TEXT,
        "artifact_uri": _TEXT,
        "start_time": _NUMBER,
        "end_time": _NUMBER,
    },
    aliases=_NAMES,
)
EXPERIMENT: Final = Entity(
    "attribute",
    ("attribute", "attributes", "attr", "experiment"),
    keys={
        "name": _TEXT,
        "experiment_id": Field(TEXTS | LISTS),
        "creation_time": _NUMBER,
        "last_update_time": _NUMBER,
    },
)
RUNS: Final = Language(RUN, METRIC, PARAM, TAG, DATASET)
EXPERIMENTS: Final = Language(EXPERIMENT, TAG)
