"""Features: views over datasets that are true at every point in time, offline in training sets and online in requests.

A project's `features.py` is written with what this front door offers:

    from modelwright.features import FeatureView, count, mean

    carrier_delays = FeatureView(
        name="carrier_delays", entity=["carrier"], source="dataset:flights", event_time="landed_at",
        features=[mean("late", window="7d", name="carrier_late_rate"), count(window="7d", name="carrier_landings")],
    )
"""

from modelwright.features.columns import Columns, column_origins
from modelwright.features.definitions import (
    Aggregation,
    Feature,
    FeatureView,
    column,
    count,
    deviation,
    distinct,
    expression,
    last,
    maximum,
    mean,
    minimum,
    total,
)
from modelwright.features.following import Origin, Use
from modelwright.features.ports import Asked, OnlineStore
from modelwright.features.pushes import Pushes
from modelwright.features.queries import forget_pushes, overdue_pushes
from modelwright.features.reads import ReadLog
from modelwright.features.records import Comparison, OnlineState, TrainingSet, ViewDiff, ViewVersion
from modelwright.features.service import Features, FeatureSettings, load_views
from modelwright.features.transformations import Transformation, look_in, vectorised
from modelwright.features.uses import Uses

__all__ = [
    "Aggregation",
    "Asked",
    "Columns",
    "Comparison",
    "Feature",
    "FeatureSettings",
    "FeatureView",
    "Features",
    "OnlineState",
    "OnlineStore",
    "Origin",
    "Pushes",
    "ReadLog",
    "Use",
    "Uses",
    "TrainingSet",
    "Transformation",
    "ViewDiff",
    "ViewVersion",
    "column",
    "count",
    "deviation",
    "distinct",
    "expression",
    "forget_pushes",
    "last",
    "load_views",
    "look_in",
    "maximum",
    "mean",
    "minimum",
    "column_origins",
    "overdue_pushes",
    "total",
    "vectorised",
]
