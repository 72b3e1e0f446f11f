"""The statements of a search over experiments: there are few, so the database may choose its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from modelwright.core.search import And, Clause, Condition, Not, Op, Or, parse, parse_order
from modelwright.experiments import queries
from modelwright.experiments.records import Experiment, View
from modelwright.experiments.search.language import EXPERIMENTS
from modelwright.experiments.tables import datasets, datasets_read, experiment_tags, experiments
from modelwright.store import Transaction

_e, _t = experiments.c, experiment_tags.c
_SIGNS: Final = {Op.EQUAL: "=", Op.UNEQUAL: "!=", Op.LESS: "<", Op.AT_MOST: "<=", Op.MORE: ">", Op.AT_LEAST: ">="}
_COLUMNS: Final = {"name": _e.title, "experiment_id": _e.id, "creation_time": _e.created, "last_update_time": _e.updated}


def find(
    tx: Transaction, where: str, order: Sequence[str], view: View, *, limit: int, offset: int
) -> tuple[list[Experiment], bool]:
    """The experiments that a filter lets through and the caller may see, and whether there are more."""
    query = sa.select(experiments).where(
        queries.visible(tx, _e.name), queries.alive(_e.deleted, view), _condition(parse(where, EXPERIMENTS))
    )
    orders = parse_order(order, EXPERIMENTS)
    keys: list[Any] = []
    for each in orders:
        column: Any = _COLUMNS.get(each.key)
        if each.entity == "tag":
            column = sa.select(_t.value).where(_t.experiment == _e.id, _t.key == each.key).scalar_subquery()
            keys.append(column.is_(None))
        keys.append(column.desc() if each.descending else column.asc())
    query = query.order_by(*(keys or [_e.created.desc()]), _e.id)
    found = tx.execute(query.limit(limit + 1).offset(offset)).all()
    return queries.experiments_of(tx, found[:limit]), len(found) > limit


class Reading(NamedTuple):
    """A dataset that runs of an experiment have read, in one context."""

    experiment: int
    name: str
    digest: str
    context: str


def readings(tx: Transaction, numbers: Sequence[int], *, most: int) -> list[Reading]:
    """What runs of experiments have read, by name; of those experiments that the caller may see."""
    d, r = datasets.c, datasets_read.c
    context = sa.func.coalesce(r.context, sa.literal_column("''")).label("context")
    query = (
        sa.select(d.experiment, d.name, d.digest, context)
        .join(datasets_read, r.dataset == d.id)
        .join(experiments, _e.id == d.experiment)
        .where(d.experiment.in_(list(numbers)), queries.visible(tx, _e.name))
        .distinct()
    )
    found = tx.execute(query.order_by(d.experiment, d.name, d.digest, context).limit(most))
    return [Reading(row.experiment, row.name, row.digest, row.context) for row in found]


def numbers_of(tx: Transaction, given: Sequence[int] | None) -> list[int] | None:
    """Those of some experiments (None: of all) whose runs the caller may see; None where that is every one."""
    seen = queries.visible(tx, _e.name)
    if given is None and isinstance(seen, sa.sql.elements.True_):
        return None
    query = sa.select(_e.id).where(seen)
    if given is not None:
        query = query.where(_e.id.in_(list(given)))
    return sorted(tx.execute(query).scalars())


def _condition(condition: Condition | None) -> Any:
    match condition:
        case None:
            return sa.true()
        case And(of=parts):
            return sa.and_(sa.true(), *(_condition(part) for part in parts))
        case Or(of=parts):
            return sa.or_(sa.false(), *(_condition(part) for part in parts))
        case Not(of=inner):
            return sa.not_(_condition(inner))
        case Clause():
            return _clause(condition)


def _clause(clause: Clause) -> Any:
    if clause.entity == "tag":
        mine = sa.exists().where(_t.experiment == _e.id, _t.key == clause.key)
        if clause.op in (Op.IS_NULL, Op.IS_NOT_NULL):
            return sa.not_(mine) if clause.op is Op.IS_NULL else mine
        return mine.where(_compared(_t.value, clause))
    column = _COLUMNS[clause.key]
    if clause.key == "experiment_id":
        return _compared(sa.cast(column, sa.String), clause)
    if clause.key == "name":
        return _compared(column, clause)
    return _compared(column // 1000, clause)  # milliseconds are what is asked for


def _compared(column: Any, clause: Clause) -> Any:
    match clause.op:
        case Op.IN | Op.NOT_IN:
            assert isinstance(clause.value, tuple)
            return column.in_(clause.value) if clause.op is Op.IN else column.not_in(clause.value)
        case Op.LIKE:
            return column.like(_pattern(clause.value), escape="\\")
        case Op.ILIKE:
            return sa.func.lower(column).like(sa.func.lower(_pattern(clause.value)), escape="\\")
        case _:
            return column.op(_SIGNS[clause.op], is_comparison=True)(clause.value)


def _pattern(value: Any) -> str:
    """A pattern without escapes, as one with them: a backslash stands for itself."""
    return str(value).replace("\\", "\\\\")
