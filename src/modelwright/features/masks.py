"""How features are masked where some columns behind them are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from modelwright.features.definitions import COUNTS, Aggregation, Feature, FeatureView, identifier

DROP: Final = "drop"


def feature_masks(view: FeatureView, behind: Mapping[str, Sequence[str]], masked: Mapping[str, str]) -> dict[str, str]:
    """How features are masked where some columns of their source are: a column as such as it is there, all else left out.

    Counts pass: they are of rows, and no value of one.
    """
    found = {}
    for each in [*view.features, *view.on_demand]:
        hidden = [name for name in behind.get(each.name, []) if name in masked]
        if not hidden or each.aggregation in COUNTS:
            continue
        found[each.name] = masked[hidden[0]] if is_column(view, each) else DROP
        if found[each.name].startswith("shift"):  # by the subject of a row, which a packed row does not know
            found[each.name] = DROP
    return found


def is_column(view: FeatureView, feature: Feature) -> bool:
    """Whether a feature is a column of the source as it stands, or its last value."""
    plain = feature.aggregation in (None, Aggregation.LAST) and feature not in view.on_demand
    return plain and view.select is None and feature.sql.startswith('"') and feature.sql == identifier(feature.sql[1:-1])
