"""A definition's SQL computes each row from that row alone, and gives the same answer tomorrow: read from its syntax tree.

Point-in-time truth rests on this. A window function, an aggregate, a join or a limit inside `select` would let rows of the
future into a row of the past, before the joins that keep them apart; so would the present time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from modelwright.core.errors import Invalid

_PRESENT = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_localtimestamp"}
_CLAUSES = {
    "group_expressions": "GROUP BY",
    "having": "HAVING",
    "qualify": "QUALIFY",
    "sample": "a sample",
    "modifiers": "ORDER BY, LIMIT or DISTINCT",
}
_TABLES = {"BASE_TABLE", "SUBQUERY", "EMPTY"}
# Every form of a function by its name. Where some forms are the same at all times and some within one query only, these
# look at the time zone of the session, which a join sets to UTC; a function without any constant form looks at the present.
_FORMS = """
    SELECT function_type, stability, macro_definition FROM duckdb_functions()
    WHERE function_name = ? AND function_type IN ('scalar', 'aggregate', 'window', 'macro')"""
_ZONED = {"make_timestamptz"}  # looks at the session's time zone in every form, and at nothing else


def check(connection: Any, text: str, what: str) -> None:
    """Raise `Invalid` unless the text is one SELECT that computes each row from that row alone."""
    parsed = json.loads(connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()[0])
    if parsed["error"]:
        raise Invalid(f"{what} must be one SELECT: {parsed['error_message']}")
    if len(parsed["statements"]) != 1:
        raise Invalid(f"{what} must be one SELECT and nothing else.")
    for found in _breaches(connection, parsed["statements"][0]):
        raise Invalid(
            f"{what} must compute each row from that row alone, and it uses {found}.",
            mend="Rows of other times would get in. Use mean, count and the like with a window, or prepare the dataset.",
        )


def _breaches(connection: Any, tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        kind = node.get("class")
        if kind in ("WINDOW", "SUBQUERY"):
            yield "a window function" if kind == "WINDOW" else "a subquery in an expression"
        elif kind == "FUNCTION":
            yield from _function(connection, node)
        elif kind == "COLUMN_REF" and node["column_names"][-1].lower() in _PRESENT:
            yield f"the present time ({node['column_names'][-1]})"
        if node.get("type") in ("SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"):
            yield "UNION or another set operation"
        yield from (words for key, words in _CLAUSES.items() if kind is None and node.get(key))
        table = node.get("from_table") or {"type": "EMPTY"}
        if table["type"] not in _TABLES:
            yield f"a {table['type'].lower().replace('_', ' ')}"


def _function(connection: Any, node: dict[str, Any]) -> Iterator[str]:
    name = node["function_name"].lower()
    if name == "age" and len(node.get("arguments") or node.get("children") or ()) == 1:
        yield "the present time (age)"
    forms = connection.execute(_FORMS, [name]).fetchall()
    scalar = {stability for kind, stability, _ in forms if kind == "scalar"}
    if scalar and "CONSISTENT" not in scalar and name not in _ZONED:
        yield f"{name}(), which gives another answer every time"
    for kind, _, macro in forms:
        if kind in ("aggregate", "window"):
            yield f"the {kind} function {name}()"
        elif macro:
            inside = json.loads(connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {macro}"]).fetchone()[0])
            yield from (f"{name}(): {found}" for found in _breaches(connection, inside))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
