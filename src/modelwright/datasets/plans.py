"""What each kind of check asks of the data: aggregates to compute, and how to judge their values. Touches no data."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from modelwright.core.clock import isoformat, utc
from modelwright.core.errors import Invalid
from modelwright.datasets.checks import (
    Check,
    Expression,
    Freshness,
    Nulls,
    Pattern,
    Range,
    References,
    RowCount,
    Types,
    Unique,
    Values,
)
from modelwright.datasets.distinct import count_ascending, count_numbers
from modelwright.datasets.durations import duration
from modelwright.datasets.engine import identifier, moment, quote
from modelwright.datasets.kinds import is_floating, is_number, present
from modelwright.datasets.matching import count_unlike
from modelwright.datasets.records import CheckBasis, DatasetVersion, Scalar
from modelwright.datasets.types import arrow_type

TABLE = "dataset"  # the view that holds the rows
SAID = 40  # characters of an allowed value that a sentence quotes
FEW = 16  # values that are looked through one after the other


@dataclass(frozen=True)
class Finding:
    """What the figures of a check amount to."""

    holds: bool
    message: str
    failing: int = 0
    observed: Scalar = None


@dataclass(frozen=True)
class Plan:
    """Aggregates in SQL over all rows, the judgement of their values, and which rows to show if it is a bad one."""

    figures: Sequence[str]
    judge: Callable[..., Finding]
    breaks: str = ""  # the condition, in SQL, of a row that is to blame
    shows: Sequence[str] = field(default_factory=list)  # the columns that tell why
    boolean: str = ""  # an expression of the author's that has to be a condition
    joins: bool = False  # whether `breaks` looks at other rows, or may: DuckDB keeps no order then
    counted: Callable[[Sequence[Path]], Sequence[Any] | None] | None = None  # the figures without SQL, where that can be


def plan_for(check: Check, basis: CheckBasis, other: tuple[str, DatasetVersion] | None = None) -> Plan:
    """The plan of a check for a version; `NotFound` or `Invalid` if it cannot be asked of it.

    `other` is what its columns refer to: the view that holds the rows, and the version.
    """
    match check:
        case Types():
            return _types(check, basis)
        case Nulls():
            return _nulls(check, basis)
        case Unique():
            return _unique(check, basis)
        case Range():
            return _range(check, basis)
        case Values():
            return _values(check, basis)
        case Pattern():
            return _pattern(check, basis)
        case Freshness():
            return _freshness(check, basis)
        case RowCount():
            return _row_count(check, basis)
        case Expression():
            return _expression(check, basis)
        case References() if other is not None:
            return _references(check, basis, *other)
    raise Invalid(f"A check of the kind {type(check).__name__} is not asked in SQL.")


def _every_row(breaks: str, shows: Sequence[str], rule: str, boolean: str = "", *, joins: bool = False) -> Plan:
    """The plan of a rule that every row keeps or breaks; by itself, unless it `joins`."""

    def judge(failing: int) -> Finding:
        said = f"In {_rows(failing)} it does not hold that {rule}." if failing else f"In every row, {rule}."
        return Finding(failing == 0, said, failing, failing)

    return Plan([_count_if(breaks)], judge, breaks, shows, boolean, joins)


def _count_if(condition: str) -> str:
    """In how many rows a condition is true. Unlike an aggregate's FILTER, DuckDB settles it by statistics where it can."""
    return f"coalesce(count_if({condition}), 0)::BIGINT"


def _types(check: Types, basis: CheckBasis) -> Plan:
    held = {column.name: column.type for column in basis.version.columns}
    wrong = []
    for name, word in check.columns.items():
        if name not in held:
            wrong.append(f"{name} is not there")
        elif held[name] != word and held[name] != str(arrow_type(word)):
            wrong.append(f"{name} is {held[name]}, not {word}")
    said = f"{'; '.join(wrong)}." if wrong else "Every column that is named has its type."
    return Plan([], lambda: Finding(not wrong, said, len(wrong), len(wrong)))


def _nulls(check: Nulls, basis: CheckBasis) -> Plan:
    if not 0 <= check.max_share <= 1:
        raise Invalid(f"max_share is a share from 0 to 1, not {check.max_share}.")
    column = basis.version.column(check.column)
    value, filled_in = present(column), f"count({identifier(column.name)})"
    if is_floating(column.type):  # NaN counts as missing
        filled_in += f" - {_count_if(f'isnan({identifier(column.name)})')}"

    def judge(rows: int, filled: int) -> Finding:
        missing = rows - filled
        share = missing / rows if rows else 0.0
        said = f"{share:.2%} of {check.column} is missing; at most {check.max_share:.2%} may be."
        holds = share <= check.max_share
        return Finding(holds, said, 0 if holds else missing, share)

    return Plan(["count(*)", filled_in], judge, f"{value} IS NULL", [check.column])


def _unique(check: Unique, basis: CheckBasis) -> Plan:
    columns = check.columns or basis.version.key
    if not columns:
        raise Invalid("The version has no key to be unique.", mend="Name the columns, or give the dataset a key.")
    names = [identifier(basis.version.column(name).name) for name in columns]
    filled, every = _filled(names), ", ".join(names)
    is_key, listed = set(columns) == set(basis.version.key), ", ".join(columns)

    def judge(rows: int, complete: int, distinct: int) -> Finding:
        repeated, incomplete = complete - distinct, rows - complete if is_key else 0
        problems = []
        if repeated:
            problems.append(f"{_rows(repeated)} {'repeats' if repeated == 1 else 'repeat'} the {listed} of another")
        if incomplete:
            problems.append(f"{_rows(incomplete)} {_have(incomplete)} no complete key")
        said = f"{'; '.join(problems)}." if problems else f"No two rows have the same {listed}."
        return Finding(not problems, said, repeated + incomplete, repeated + incomplete)

    distinct = f"(SELECT count(*) FROM (SELECT DISTINCT {every} FROM {TABLE} WHERE {filled}))"
    figures = ["count(*)", f"count(*) FILTER (WHERE {filled})", distinct]
    again = f"SELECT {_tuple(names)} FROM {TABLE} WHERE {filled} GROUP BY {every} HAVING count(*) > 1"
    repeats = f"({filled} AND {_tuple(names)} IN ({again}))"
    counted = functools.partial(count_ascending, names=columns)
    if len(columns) == 1 and basis.version.column(columns[0]).type != "string":
        counted = functools.partial(count_numbers, name=columns[0])
    breaks = f"{repeats} OR NOT ({filled})" if is_key else repeats
    return Plan(figures, judge, breaks, columns, joins=True, counted=counted)


def _range(check: Range, basis: CheckBasis) -> Plan:
    if check.minimum is None and check.maximum is None:
        raise Invalid("A range needs a minimum or a maximum.")
    column = basis.version.column(check.column)
    name = identifier(column.name)
    for bound in (check.minimum, check.maximum):
        if isinstance(bound, str) and is_number(column.type):
            raise Invalid(f"{check.column} holds numbers; the bound {bound!r} is text.")
    sides = []
    if check.minimum is not None:
        sides.append(f"{name} < {_literal(check.minimum)}")
    if check.maximum is not None:
        number = f" AND NOT isnan({name})" if is_floating(column.type) else ""  # to DuckDB, NaN is the greatest
        sides.append(f"({name} > {_literal(check.maximum)}{number})")
    low = f"at least {check.minimum}" if check.minimum is not None else ""
    high = f"at most {check.maximum}" if check.maximum is not None else ""
    rule = f"{check.column} is {' and '.join(side for side in (low, high) if side)}"
    return _every_row(f"({' OR '.join(sides)})", [check.column], rule)


def _values(check: Values, basis: CheckBasis) -> Plan:
    if not check.allowed:
        raise Invalid("No value is allowed at all.", mend="List the allowed values.")
    column = basis.version.column(check.column)
    value = present(column)
    shown = ", ".join(shorten(str(each), SAID) for each in check.allowed[:6]) + (", …" if len(check.allowed) > 6 else "")
    if column.personal:  # those of a column about people may be values of it
        shown = f"{len(check.allowed)} allowed values"
    listed = ", ".join(_literal(each) for each in check.allowed)
    breaks = f"{value} NOT IN ({listed})"
    if column.type == "string" and len(check.allowed) <= FEW and all(isinstance(each, str) for each in check.allowed):
        # the same, but DuckDB asks it once for each word of a dictionary, and NOT IN for every row
        breaks = f"({value} IS NOT NULL AND array_position([{listed}], {value}) IS NULL)"
    return _every_row(breaks, [check.column], f"{check.column} is among {shown}")


def _pattern(check: Pattern, basis: CheckBasis) -> Plan:
    column = basis.version.column(check.column)
    if column.type != "string":
        raise Invalid(f"{check.column} holds {column.type}, not text.")
    breaks = f"NOT regexp_full_match({identifier(column.name)}, {quote(check.regex)})"
    plan = _every_row(breaks, [check.column], f"{check.column} has the form {check.regex}")
    return replace(plan, counted=functools.partial(count_unlike, name=column.name, regex=check.regex))


def _expression(check: Expression, basis: CheckBasis) -> Plan:
    words = set(re.findall(r"\w+", check.sql))
    shows = [name for name in basis.version.names if name in words]
    # A comment at the end of the author's SQL ends with its line, not with ours.
    breaks, condition = f"NOT coalesce((\n{check.sql}\n), false)", f"(\n{check.sql}\n)"
    return _every_row(breaks, shows, check.subject, condition, joins=True)


def _references(check: References, basis: CheckBasis, view: str, to: DatasetVersion) -> Plan:
    away = check.to_columns or check.columns
    if len(away) != len(check.columns) or not check.columns:
        raise Invalid(f"{len(check.columns)} columns cannot refer to {len(away)}.", mend="Name as many on both sides.")
    own = [identifier(basis.version.column(name).name) for name in check.columns]
    there = [identifier(to.column(name).name) for name in away]
    known = f"SELECT {_tuple(there)} FROM {identifier(view)} WHERE {_filled(there)}"
    rule = f"{', '.join(check.columns)} is among {', '.join(away)} of {to.ref}"
    return _every_row(f"({_filled(own)} AND {_tuple(own)} NOT IN ({known}))", check.columns, rule, joins=True)


def _filled(names: Sequence[str]) -> str:
    return " AND ".join(f"{name} IS NOT NULL" for name in names)


def _tuple(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"ROW({', '.join(names)})"


def _freshness(check: Freshness, basis: CheckBasis) -> Plan:
    name = check.column or basis.version.time_column
    if name is None:
        raise Invalid("The version has no time column to be fresh by.", mend="Name a column, or give the dataset one.")
    column = basis.version.column(name)
    if not column.type.startswith(("timestamp", "date")):
        raise Invalid(f"{name} holds {column.type}, not times.")
    at, allowed = utc(check.as_of) if check.as_of else basis.now, duration(check.max_age)

    def judge(newest: int | None) -> Finding:
        if newest is None:
            return Finding(False, f"There is no {name} at all.", 1)
        found = moment(newest)
        if isinstance(found, str):
            said = "" if column.personal else f" {found},"
            return Finding(False, f"The newest {name} is{said} outside of the years 1 to 9999.", 1)
        age = at - found
        said = f"The newest {name} is {isoformat(found)}, {_age(age)} before {isoformat(at)}; allowed: {check.max_age}."
        if column.personal:  # a time about somebody, such as a day of birth
            said = (
                f"The newest {name} is {'' if age > allowed else 'not '}more than {check.max_age} before {isoformat(at)}."
            )
            return Finding(age <= allowed, said, int(age > allowed))
        return Finding(age <= allowed, said, int(age > allowed), age.total_seconds())

    return Plan([f"epoch_us(max({identifier(name)})::TIMESTAMP)"], judge)


def _row_count(check: RowCount, basis: CheckBasis) -> Plan:
    if check.minimum is check.maximum is check.min_ratio is check.max_ratio is None:
        raise Invalid("A row count needs a bound: minimum, maximum, min_ratio or max_ratio.")
    before = basis.previous.rows if basis.previous else None

    def judge(rows: int) -> Finding:
        bounds: list[tuple[str, float | None]] = [("at least", check.minimum), ("at most", check.maximum)]
        if before is not None:
            low = None if check.min_ratio is None else check.min_ratio * before
            high = None if check.max_ratio is None else check.max_ratio * before
            bounds += [(f"of {before} before, at least", low), (f"of {before} before, at most", high)]
        broken = [
            f"{word} {bound:g}"
            for word, bound in bounds
            if bound is not None and (rows < bound if word.endswith("least") else rows > bound)
        ]
        said = f"There are {rows} rows; wanted: {'; '.join(broken)}." if broken else f"There are {rows} rows."
        return Finding(not broken, said, int(bool(broken)), rows)

    return Plan(["count(*)"], judge)


def _literal(value: int | float | str | bool) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return quote(value) if isinstance(value, str) else repr(value)


def shorten(text: str, most: int) -> str:
    """A text, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def _age(age: timedelta) -> str:
    return f"{age / timedelta(days=1):.1f} days" if abs(age) >= timedelta(days=2) else f"{age / timedelta(hours=1):.1f} h"
