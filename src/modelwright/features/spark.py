"""From DuckDB's SQL to Spark's, by SQLGlot; and the words for which SQLGlot has no translation, or one that differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import Invalid

if TYPE_CHECKING:
    from sqlglot import exp

_INTERVALS = {"to_days": 0, "to_hours": 1, "to_minutes": 2, "to_seconds": 3}  # places in make_dt_interval


def translated(text: str) -> str:
    """A SELECT of DuckDB's as one of Spark's (3.4 and later); `Invalid` names what has no words there."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ErrorLevel, SqlglotError

    try:
        tree = sqlglot.parse_one(text, dialect="duckdb").transform(_rewritten)
        for each in tree.ctes:
            _keep_apart(each)
        unknown = sorted({each.name.lower() for each in tree.find_all(exp.Anonymous)} - _KNOWN)
        if unknown:
            raise Invalid(
                f"Nobody can say what {', '.join(f'{name}()' for name in unknown)} would be in Spark.",
                mend="Write the view's SQL with functions that both know, or add the column to the dataset.",
            )
        made: str = tree.sql(dialect="spark", pretty=True, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise Invalid(
            f"This cannot be said in Spark's SQL: {str(error).splitlines()[0]}",
            mend="Write the view's SQL without what only DuckDB knows.",
        ) from error
    return made


def _keep_apart(relation: exp.CTE) -> None:
    """Give the tables that a relation names for itself names that no other has: SQLGlot lays them all beside each other."""
    from sqlglot import exp

    own = {each.alias: f"{each.alias}_{relation.alias}" for each in relation.this.find_all(exp.CTE)}
    for each in list(relation.this.find_all(exp.CTE)):
        each.args["alias"].set("this", exp.to_identifier(own[each.alias]))
    for table in list(relation.this.find_all(exp.Table)):
        if table.name in own and not table.db:
            table.set("this", exp.to_identifier(own[table.name]))
    for column in list(relation.this.find_all(exp.Column)):
        if column.table in own:
            column.set("table", exp.to_identifier(own[column.table]))


def _rewritten(node: exp.Expression) -> exp.Expression:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        change = _FUNCTIONS.get(node.name.lower())
        return node if change is None else change(*node.expressions)
    if isinstance(node, exp.Case) and (moment := _moment(node)) is not None:
        return _call("UNIX_MICROS", moment)
    if isinstance(node, exp.ArgMax):  # DuckDB passes over rows without a value, Spark would answer with none
        there = exp.Case(ifs=[exp.If(this=exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null())),
                                     true=node.expression)])  # fmt: skip
        return _call("MAX_BY", node.this, there)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.Count) and isinstance(node.this.this, exp.Distinct):
        found = node.copy()  # Spark counts no distinct values over a window, but it collects them
        found.set("this", _call("COLLECT_SET", *node.this.this.expressions))
        return _call("SIZE", found)
    if isinstance(node, exp.Length) and isinstance(node.this, exp.ArrayFilter):
        return _call("SIZE", node.this)
    if isinstance(node, exp.Div):  # nothing, and no error, where the divisor is 0
        return _call("TRY_DIVIDE", node.this, node.expression)
    return node


def _moment(node: exp.Case) -> exp.Expression | None:
    """What is asked for in `CASE WHEN isfinite(x) THEN epoch_us(x) END`: Spark's moments are all finite."""
    branches = node.args.get("ifs") or []
    if len(branches) != 1 or node.args.get("default") is not None:
        return None
    condition, value = branches[0].this, branches[0].args.get("true")
    if _named(condition) == "isfinite" and _named(value) == "epoch_us" and condition.expressions == value.expressions:
        found: exp.Expression = value.expressions[0]
        return found
    return None


def _named(node: Any) -> str:
    from sqlglot import exp

    return node.name.lower() if isinstance(node, exp.Anonymous) else ""


def _call(name: str, *arguments: Any) -> exp.Anonymous:
    from sqlglot import exp

    inner = [each.transform(_rewritten) for each in arguments]  # SQLGlot does not look into what was put in
    return exp.Anonymous(this=name, expressions=inner)


def _finite(value: Any) -> exp.Expression:
    from sqlglot import exp

    infinity = exp.Cast(this=exp.Literal.string("Infinity"), to=exp.DataType.build("double"))
    small = exp.LT(this=_call("ABS", value), expression=infinity)  # NaN is greater than all numbers in Spark
    return exp.Paren(this=small)


def _interval(place: int) -> Callable[[Any], exp.Expression]:
    def made(value: Any) -> exp.Expression:
        from sqlglot import exp

        parts: list[Any] = [exp.Literal.number(0) for _ in range(4)]
        parts[place] = value
        return _call("MAKE_DT_INTERVAL", *parts)

    return made


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isfinite": _finite,
    "epoch_us": lambda value: _call("UNIX_MICROS", value),
    "make_timestamptz": lambda value: _call("TIMESTAMP_MICROS", value),
    **{name: _interval(place) for name, place in _INTERVALS.items()},
}
_KNOWN = {  # Spark's own, as they were put in above
    "unix_micros", "max_by", "collect_set", "size", "try_divide", "abs", "make_dt_interval", "timestamp_micros",
}  # fmt: skip
