"""Which columns of its source a feature is computed from, read from DuckDB's own parse of the definition.

Where it cannot be told (a row as a whole, `COLUMNS(...)`, a query within the query), it is all of them: better one too many
than one that is not held against who may not read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from modelwright.features.records import COUNTS, Aggregation, Feature, FeatureView, identifier

DROP: Final = "drop"
_ROWS: Final = ("STAR", "COLUMNS")


def origins(view: FeatureView, columns: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the source behind each feature and each entity column, by name."""
    from modelwright.store import analytics  # with DuckDB

    with closing(analytics.locked()) as connection:
        outputs = _outputs(connection, view.select, columns)
        found = {name: outputs.get(name.lower(), set()) for name in view.entity}
        for each in view.features:
            found[each.name] = _behind(connection, each.sql, outputs)
        known = {**outputs, **{name.lower(): found[name] for name in view.stored}}
        known |= {name.lower(): set() for name in view.request}
        for each in view.on_demand:
            found[each.name] = _behind(connection, each.sql, known)
    order = {name: place for place, name in enumerate(columns)}
    return {name: sorted(held, key=order.__getitem__) for name, held in found.items()}


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


def _outputs(connection: Any, select: str | None, columns: Sequence[str]) -> dict[str, set[str]]:
    """What each column that features see comes from, by its name in lower case."""
    own = {name.lower(): {name} for name in columns}
    if select is None:
        return own
    node = _parsed(connection, select)
    everything = set(columns)
    simple = node is not None and node.get("type") == "SELECT_NODE" and not node["cte_map"]["map"]
    if node is None or not simple or (node.get("from_table") or {}).get("type") != "BASE_TABLE":
        return _Everything(dict.fromkeys(map(str.lower, columns), everything), everything)
    besides = set().union(*(_refs(part, own, everything) for key, part in node.items() if key != "select_list"))
    found: dict[str, set[str]] = {}
    for each in node["select_list"]:
        if each.get("class") == "STAR" and not each.get("expr") and not each.get("replace_list"):
            found |= {name: held | besides for name, held in own.items()}
            continue
        name = each.get("alias") or (each.get("column_names") or [""])[-1]
        found[name.lower()] = _refs(each, own, everything) | besides
    return _Everything(found, everything)


class _Everything(dict[str, set[str]]):
    """Names and what they come from; of a name that is not known, it may be everything."""

    def __init__(self, known: Mapping[str, set[str]], everything: set[str]) -> None:
        super().__init__(known)
        self.everything = everything


def _behind(connection: Any, sql: str, outputs: Mapping[str, set[str]]) -> set[str]:
    everything = outputs.everything if isinstance(outputs, _Everything) else set().union(*outputs.values())
    if not sql.strip():
        return set()
    node = _parsed(connection, f"SELECT ({sql}\n)")
    return everything if node is None else _refs(node["select_list"], outputs, everything)


def _parsed(connection: Any, sql: str) -> Any:
    import json

    (text,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    told = json.loads(text)
    return None if told.get("error") or len(told["statements"]) != 1 else told["statements"][0]["node"]


def _refs(node: Any, known: Mapping[str, set[str]], everything: set[str]) -> set[str]:
    """What the column references below a node of the parse come from."""
    found: set[str] = set()
    for each in _nodes(node):
        if each.get("class") in _ROWS or each.get("type") in _ROWS:
            return set(everything)
        if each.get("class") == "COLUMN_REF":
            meant = [known[name.lower()] for name in each["column_names"] if name.lower() in known]
            if not meant:
                return set(everything)
            found |= set().union(*meant)
    return found


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _nodes(each)
    elif isinstance(node, list):
        for each in node:
            yield from _nodes(each)
