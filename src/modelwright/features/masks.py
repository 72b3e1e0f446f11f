"""How features are masked where some columns behind them are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from modelwright.features.definitions import COUNTS, Aggregation, Feature, FeatureView, identifier

DROP: Final = "drop"


def feature_masks(view: FeatureView, behind: Mapping[str, Sequence[str]], masked: Mapping[str, str]) -> dict[str, str]:
    """How features are masked where some columns of their source are: a column as such as it is there, all else left out.

    A count of rows, or of what is in a column as such, passes: it is no value of a row. One of an expression, or of rows
    that a `select` made or chose, is not: it tells of each row whether a condition holds.
    """
    found = {}
    for each in [*view.features, *view.on_demand]:
        hidden = [name for name in behind.get(each.name, []) if name in masked]
        if not hidden or (each.aggregation in COUNTS and _is_plain(view, each)):
            continue
        found[each.name] = masked[hidden[0]] if is_column(view, each) else DROP
        if found[each.name].startswith("shift"):  # by the subject of a row, which a packed row does not know
            found[each.name] = DROP
    return found


def is_column(view: FeatureView, feature: Feature) -> bool:
    """Whether a feature is a column of the source as it stands, or its last value."""
    plain = feature.aggregation in (None, Aggregation.LAST) and feature not in view.on_demand
    return plain and _is_plain(view, feature)


def _is_plain(view: FeatureView, feature: Feature) -> bool:
    """Whether it is of a column of the source as that stands, or of its rows."""
    of = feature.sql
    return view.select is None and (not of.strip() or (of.startswith('"') and of == identifier(of[1:-1])))
