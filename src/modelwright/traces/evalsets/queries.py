"""Reading evaluation sets: one, and those that a filter finds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.names import path_for
from modelwright.core.refs import Kind, Ref
from modelwright.core.search import (
    LISTS,
    NUMBERS,
    TEXTS,
    And,
    Clause,
    Condition,
    Entity,
    Field,
    Language,
    Not,
    Or,
    parse,
    parse_order,
)
from modelwright.store import Transaction, scopes
from modelwright.traces.evalsets.records import EvaluationSet, EvaluationSetPage, ExamplePage
from modelwright.traces.evalsets.tables import evalsets, example_of, examples, homes, set_of, tags
from modelwright.traces.search.queries import COMPARE

MAX_LIMIT = 1000

_TEXT, _TIME = Field(ops=TEXTS | LISTS), Field(ops=NUMBERS, number=True)
LANGUAGE: Final = Language(
    Entity(
        "set",
        ("attribute", "attributes", "dataset"),
        keys={
            "name": _TEXT,
            "created_by": _TEXT,
            "last_updated_by": _TEXT,
            "created_time": _TIME,
            "last_update_time": _TIME,
        },
    ),
    Entity("tag", ("tag", "tags"), any=Field(ops=TEXTS | LISTS, orders=False)),
)

_e, _x = evalsets.c, examples.c


def row(tx: Transaction, ref: Ref) -> Any:
    """The row of one set, or `NotFound`."""
    if ref.kind is not Kind.EVALSET:
        raise Invalid(f"{ref} is not an evaluation set.", mend="One is named evalset:<id>.")
    found = tx.execute(sa.select(evalsets).where(_e.id == ref.name)).first()
    if found is None:
        raise NotFound(f"There is no evaluation set {ref.name!r}.")
    return found


def one(tx: Transaction, ref: Ref) -> EvaluationSet:
    """One set, without its examples."""
    return _complete(tx, [row(tx, ref)])[0]


def search(
    tx: Transaction, experiments: Sequence[int] | None, where: str, order_by: Sequence[str], limit: int, after: str | None
) -> EvaluationSetPage:
    """A page of the sets that the caller may read, the newest first or in another order."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} evaluation sets, not {limit}.")
    query = sa.select(evalsets)
    if experiments is not None:
        query = query.where(sa.exists().where(homes.c.evalset == _e.key, homes.c.experiment.in_(experiments)))
    condition = parse(where, LANGUAGE)
    if condition is not None:
        query = query.where(_condition(condition))
    for order in parse_order(order_by, LANGUAGE):
        column = _COLUMNS[order.key]
        query = query.order_by(column.desc() if order.descending else column.asc())
    skip = _skip(after)
    shown: list[Any] = []
    rows = tx.execute(query.order_by(_e.created_at.desc(), _e.key.desc()).offset(skip))
    may = scopes.may_read(tx, Kind.EVALSET)
    for seen, each in enumerate(rows):  # rights go by the path of a title, which no column holds
        if len(shown) == limit:
            token = base64.urlsafe_b64encode(str(skip + seen).encode()).decode()
            return EvaluationSetPage(items=_complete(tx, shown), next=token)
        if may(path_for(each.title)):
            shown.append(each)
    return EvaluationSetPage(items=_complete(tx, shown))


def page_of_examples(tx: Transaction, key: int, limit: int, after: str | None) -> ExamplePage:
    """Examples of a set, in the order in which they were added."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} examples, not {limit}.")
    query = sa.select(examples).where(_x.evalset == key, _x.key > _skip(after)).order_by(_x.key).limit(limit + 1)
    found = tx.execute(query).all()
    shown = found[:limit]
    following = None
    if len(found) > limit:
        following = base64.urlsafe_b64encode(str(shown[-1].key).encode()).decode()
    return ExamplePage(items=[example_of(each) for each in shown], next=following)


def _complete(tx: Transaction, rows: Sequence[Any]) -> list[EvaluationSet]:
    keys = [each.key for each in rows]
    tagged: dict[int, dict[str, str]] = {key: {} for key in keys}
    for each in tx.execute(sa.select(tags).where(tags.c.evalset.in_(keys)).order_by(tags.c.key)):
        tagged[each.evalset][each.key] = each.value
    placed: dict[int, list[int]] = {key: [] for key in keys}
    for each in tx.execute(sa.select(homes).where(homes.c.evalset.in_(keys)).order_by(homes.c.experiment)):
        placed[each.evalset].append(each.experiment)
    counted = sa.select(_x.evalset, sa.func.count().label("n")).where(_x.evalset.in_(keys)).group_by(_x.evalset)
    counts = {each.evalset: each.n for each in tx.execute(counted)}
    return [
        set_of(each, tags=tagged[each.key], experiments=placed[each.key], count=counts.get(each.key, 0)) for each in rows
    ]


_COLUMNS = {
    "name": _e.title,
    "created_by": _e.created_by,
    "last_updated_by": _e.updated_by,
    "created_time": _e.created_at,
    "last_update_time": _e.updated_at,
}


def _condition(condition: Condition) -> Any:
    match condition:
        case And(of=parts):
            return sa.and_(*(_condition(part) for part in parts))
        case Or(of=parts):
            return sa.or_(*(_condition(part) for part in parts))
        case Not(of=inner):
            return sa.not_(_condition(inner))
        case Clause():
            compare = COMPARE[condition.op]
            if condition.entity == "tag":
                held = compare(tags.c.value, condition.value)
                return sa.exists().where(tags.c.evalset == _e.key, tags.c.key == condition.key, held)
            if condition.key.endswith("_time"):
                return compare(_COLUMNS[condition.key], _stamp(condition.value))
            return compare(_COLUMNS[condition.key], condition.value)


def _stamp(value: Any) -> str:
    """Milliseconds since 1970 as times are stored."""
    from datetime import timedelta

    try:
        return isoformat(parse_time("1970-01-01T00:00:00Z") + timedelta(milliseconds=value))
    except (OverflowError, ValueError):
        raise Invalid(f"{value} is no time in milliseconds since 1970.") from None


def _skip(after: str | None) -> int:
    if not after:
        return 0
    try:
        found = int(base64.urlsafe_b64decode(after.encode()).decode())
    except (binascii.Error, ValueError):
        raise Invalid("Invalid page token, could not base64-decode") from None
    if not 0 <= found < 2**62:
        raise Invalid("Invalid page token")
    return found
