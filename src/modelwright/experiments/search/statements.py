"""Conditions and orders over runs as SQL text with question marks. Pure: whoever runs it knows the numbers of names.

In every statement `r` is the run. A clause about a metric, a parameter or a tag is one look into the index by run and
name, so it can be asked of a run as it passes; most of them can also be the way to the runs themselves (`Driver`), along
the index by name and value. No term is ever NULL: so NOT means what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from modelwright.core.search import And, Clause, Condition, Not, Op, Or, Order
from modelwright.experiments.records import NAME_TAG
from modelwright.experiments.tables import HEAD, cut

_SIGNS: Final = {Op.EQUAL: "=", Op.UNEQUAL: "<>", Op.LESS: "<", Op.AT_MOST: "<=", Op.MORE: ">", Op.AT_LEAST: ">="}
_TABLES: Final = {"metric": "experiments_metrics", "param": "experiments_params", "tag": "experiments_tags"}
_PLACE: Final = (
    "(SELECT CASE WHEN e.artifact_location = '' THEN 'mlflow-artifacts:/' || e.id ELSE e.artifact_location END"
    " FROM experiments_experiments e WHERE e.id = r.experiment) || '/' || r.id || '/artifacts'"
)
_COLUMNS: Final = {
    "run_id": "r.id",
    "status": "upper(r.status)",
    "run_name": "r.name",
    "user_id": "r.user_id",
    "artifact_uri": _PLACE,
    "start_time": "r.started",
    "end_time": "r.ended",
}
_NEVER: Final = "1 = 0"
_ALWAYS: Final = "1 = 1"
_LONGEST: Final = (1 << 63) - 1


class Sql(NamedTuple):
    """A piece of a statement and what its question marks stand for, in their order."""

    text: str
    values: tuple[Any, ...] = ()


class Driver(NamedTuple):
    """A way to the runs that a clause lets through: `SELECT run ... `, each run once."""

    runs: Sql


class Compiler:
    """For one search on one database."""

    def __init__(self, ids: Mapping[str, int], *, sqlite: bool) -> None:
        """`ids` are the numbers of the names of metrics, parameters and tags; one that is not there nobody has used."""
        self._ids = ids
        self._like = "" if sqlite else " ESCAPE ''"

    def condition(self, condition: Condition) -> Sql:
        """A condition on `r`."""
        match condition:
            case Not(of=inner):
                text, values = self.condition(inner)
                return Sql(f"NOT ({text})", values)
            case And(of=parts):
                return self._joined(" AND ", parts)
            case Or(of=parts):
                return self._joined(" OR ", parts)
            case Clause():
                return self._clause(condition)

    def driver(self, condition: Condition) -> Driver | None:
        """The way along an index to the runs of a clause, if it has one."""
        if not isinstance(condition, Clause) or condition.op in (Op.UNEQUAL, Op.NOT_IN, Op.IS_NULL):
            return None
        if condition.entity == "attribute" or _is_name(condition):
            return self._identified(condition)
        if condition.entity == "dataset":
            return Driver(self._readings(condition, "DISTINCT dr.run", _ALWAYS))
        number = self._ids.get(condition.key)
        if number is None:
            return Driver(Sql(f"SELECT r.key AS run FROM experiments_runs r WHERE {_NEVER}"))
        table = _TABLES[condition.entity]
        if condition.entity == "metric":
            text, values = self._figure("v", condition)
        else:
            found = self._range("v", condition)
            if found is None:
                return None
            text, values = found
        return Driver(Sql(f"SELECT v.run AS run FROM {table} v WHERE v.name = {number} AND {text}", values))

    def between(self, clauses: Sequence[Clause]) -> Driver:
        """The way to the runs that several clauses about one metric let through: one range of its index."""
        number = self._ids.get(clauses[0].key)
        if number is None:
            return Driver(Sql(f"SELECT r.key AS run FROM experiments_runs r WHERE {_NEVER}"))
        figures = [self._figure("v", clause) for clause in clauses]
        text = " AND ".join(each.text for each in figures)
        values = tuple(value for each in figures for value in each.values)
        return Driver(Sql(f"SELECT v.run AS run FROM experiments_metrics v WHERE v.name = {number} AND {text}", values))

    def _joined(self, word: str, parts: Sequence[Condition]) -> Sql:
        compiled = [self.condition(part) for part in parts]
        return Sql(word.join(f"({each.text})" for each in compiled), tuple(v for each in compiled for v in each.values))

    def _clause(self, clause: Clause) -> Sql:
        if clause.entity == "attribute":
            return self._attribute(clause)
        if _is_name(clause):
            if clause.op in (Op.IS_NULL, Op.IS_NOT_NULL):
                return Sql("r.name = ''" if clause.op is Op.IS_NULL else "r.name <> ''")
            text, values = self._compared("r.name", clause)
            return Sql(f"r.name <> '' AND {text}", values)
        if clause.entity == "dataset":
            text, values = self._readings(clause, "1", "dr.run = r.key")
            return Sql(f"EXISTS ({text})", values)
        number = self._ids.get(clause.key)
        if number is None:
            return Sql(_ALWAYS if clause.op is Op.IS_NULL else _NEVER)
        there = f"SELECT 1 FROM {_TABLES[clause.entity]} v WHERE v.run = r.key AND v.name = {number}"
        if clause.op in (Op.IS_NULL, Op.IS_NOT_NULL):
            return Sql(f"{'NOT ' if clause.op is Op.IS_NULL else ''}EXISTS ({there})")
        text, values = self._figure("v", clause) if clause.entity == "metric" else self._text("v", clause)
        return Sql(f"EXISTS ({there} AND {text})", values)

    def _figure(self, alias: str, clause: Clause) -> Sql:
        value = float(clause.value)  # type: ignore[arg-type]
        return Sql(f"{alias}.value IS NOT NULL AND {alias}.value {_SIGNS[clause.op]} ?", (value,))

    def _text(self, alias: str, clause: Clause) -> Sql:
        """A text that is cut in two."""
        if clause.op in (Op.EQUAL, Op.UNEQUAL):
            head, tail = cut(str(clause.value))
            if len(head) < HEAD:  # then nothing that was cut has this head, and the index says it all
                same = Sql(f"({alias}.head = ?)", (head,))
            elif tail is None:
                same = Sql(f"({alias}.head = ? AND {alias}.tail IS NULL)", (head,))
            else:
                same = Sql(f"({alias}.head = ? AND coalesce({alias}.tail, '') = ?)", (head, tail))
            return same if clause.op is Op.EQUAL else Sql(f"NOT {same.text}", same.values)
        return self._compared(f"({alias}.head || coalesce({alias}.tail, ''))", clause)

    def _range(self, alias: str, clause: Clause) -> Sql | None:
        """The same as a range of the index by name and head."""
        if clause.op is Op.IS_NOT_NULL:
            return Sql(_ALWAYS)
        if clause.op is Op.EQUAL:
            return self._text(alias, clause)
        if clause.op is Op.LIKE:
            start = _literal(str(clause.value))[:HEAD]
            end = _after(start)
            if start and end:
                text, values = self._text(alias, clause)
                return Sql(f"{alias}.head >= ? AND {alias}.head < ? AND {text}", (start, end, *values))
        return None

    def _identified(self, clause: Clause) -> Driver | None:
        if clause.key == "run_id" and clause.op in (Op.EQUAL, Op.IN):
            wanted = clause.value if isinstance(clause.value, tuple) else (clause.value,)
            marks = ", ".join("?" * len(wanted))
            return Driver(Sql(f"SELECT i.key AS run FROM experiments_runs i WHERE i.id IN ({marks})", wanted))
        return None

    def _attribute(self, clause: Clause) -> Sql:
        column = _COLUMNS[clause.key]
        if clause.key in ("start_time", "end_time"):
            text, values = _moment(column, clause)
            return Sql(f"({column} IS NOT NULL AND {text})", values) if clause.key == "end_time" else Sql(text, values)
        return self._compared(column, clause)

    def _readings(self, clause: Clause, what: str, which: str) -> Sql:
        if clause.key == "context":
            text, values = self._compared("dr.context", clause)
            return Sql(
                f"SELECT {what} FROM experiments_datasets_read dr WHERE {which} AND dr.context IS NOT NULL AND {text}",
                values,
            )
        text, values = self._compared(f"d.{clause.key}", clause)
        joined = "experiments_datasets_read dr JOIN experiments_datasets d ON d.id = dr.dataset"
        return Sql(f"SELECT {what} FROM {joined} WHERE {which} AND {text}", values)

    def _compared(self, column: str, clause: Clause) -> Sql:
        value = clause.value
        if clause.op in (Op.IN, Op.NOT_IN):
            assert isinstance(value, tuple)
            return Sql(f"{column} {clause.op.value} ({', '.join('?' * len(value))})", value)
        if clause.op is Op.LIKE:
            return Sql(f"{column} LIKE ?{self._like}", (value,))
        if clause.op is Op.ILIKE:
            return Sql(f"lower({column}) LIKE lower(?){self._like}", (value,))
        return Sql(f"{column} {_SIGNS[clause.op]} ?", (value,))


class Column(NamedTuple):
    """One thing to sort by. Never NULL."""

    text: str
    descending: bool = False
    constant: bool = False
    kind: type = int  # of its values


class Key(NamedTuple):
    """One item of an order: what has to be joined for it, and its columns."""

    join: str
    columns: tuple[Column, ...]


def key_of(order: Order, ids: Mapping[str, int], at: int) -> Key:
    """The columns of an order: first whether there is a value at all, since what has none comes last in both directions."""
    down = order.descending
    if order.entity == "attribute" or order == Order("tag", NAME_TAG, down):
        key = order.key if order.entity == "attribute" else "run_name"
        column = _COLUMNS[key]
        if key == "end_time":
            missing = "CASE WHEN r.ended IS NULL THEN 1 ELSE 0 END"
            return Key("", (Column(missing), Column("coalesce(r.ended, 0)", down)))
        return Key("", (Column(column, down, kind=int if key == "start_time" else str),))
    number = ids.get(order.key, -1)
    alias = f"o{at}"
    join = f" LEFT JOIN {_TABLES[order.entity]} {alias} ON {alias}.run = r.key AND {alias}.name = {number}"
    if order.entity == "metric":
        rank = f"CASE WHEN {alias}.value IS NOT NULL THEN 0 WHEN {alias}.run IS NOT NULL THEN 1 ELSE 2 END"
        return Key(join, (Column(rank), Column(f"coalesce({alias}.value, 0.0)", down, kind=float)))
    missing = f"CASE WHEN {alias}.run IS NULL THEN 1 ELSE 0 END"
    texts = tuple(Column(f"coalesce({alias}.{part}, '')", down, kind=str) for part in ("head", "tail"))
    return Key(join, (Column(missing), *texts))


def ties(order: Sequence[Order]) -> list[Column]:
    """What makes every order total: the newest first, then the id."""
    given = {each.key for each in order if each.entity == "attribute"}
    ends = [Column("r.started", True)] if "start_time" not in given else []
    return [*ends, Column("r.id", kind=str)] if "run_id" not in given else ends


def sorting(columns: Sequence[Column]) -> str:
    """The columns as the words after ORDER BY."""
    return ", ".join(f"{column.text} DESC" if column.descending else column.text for column in columns)


def beyond(columns: Sequence[Column], last: Sequence[Any]) -> Sql:
    """Whether a run comes after the one whose columns had these values."""
    text = _NEVER
    values: tuple[Any, ...] = ()
    for column, value in zip(reversed(columns), reversed(last), strict=True):
        sign = "<" if column.descending else ">"
        text = f"({column.text} {sign} ? OR ({column.text} = ? AND {text}))"
        values = (value, value, *values)
    return Sql(text, values)


def _is_name(clause: Clause) -> bool:
    """The name of a run is no tag of its own."""
    return clause.entity == "tag" and clause.key == NAME_TAG


def _literal(pattern: str) -> str:
    """What a text that fits a LIKE pattern begins with."""
    for at, character in enumerate(pattern):
        if character in "%_":
            return pattern[:at]
    return pattern


def _after(start: str) -> str:
    """The first text after all that begin so; empty where there is none that a database can hold."""
    for at in range(len(start) - 1, -1, -1):
        code = ord(start[at]) + 1
        code = 0xE000 if 0xD800 <= code <= 0xDFFF else code
        if code <= 0x10FFFF:
            return start[:at] + chr(code)
    return ""


def _moment(column: str, clause: Clause) -> Sql:
    """A time in milliseconds against a column of microseconds: the milliseconds are what is compared."""
    value = clause.value
    assert isinstance(value, int | float)
    if value != value or abs(value) > _LONGEST // 1000 - 1:
        value = max(-_LONGEST // 1000 + 2, min(_LONGEST // 1000 - 2, value)) if value == value else 0
    whole = int(value // 1)
    exact = whole == value
    low, high = whole * 1000, whole * 1000 + 1000
    match clause.op:
        case Op.EQUAL:
            return Sql(f"({column} >= ? AND {column} < ?)", (low, high)) if exact else Sql(_NEVER)
        case Op.UNEQUAL:
            return Sql(f"({column} < ? OR {column} >= ?)", (low, high)) if exact else Sql(_ALWAYS)
        case Op.LESS:
            return Sql(f"{column} < ?", (low if exact else high,))
        case Op.AT_MOST:
            return Sql(f"{column} < ?", (high,))
        case Op.AT_LEAST:
            return Sql(f"{column} >= ?", (low if exact else high,))
        case _:
            return Sql(f"{column} >= ?", (high,))
