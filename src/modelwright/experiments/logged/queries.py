"""Reading logged models."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.search import And, Clause, Condition, Not, Op, Or, Order, Value, clauses_of
from modelwright.experiments.logged.records import LoggedModel, LoggedStatus, Measurement, OnDataset, Sort
from modelwright.experiments.logged.tables import logged, logged_metrics, logged_params, logged_tags
from modelwright.experiments.places import location, of_model
from modelwright.experiments.queries import check_whole, lifecycle, read_after, visible
from modelwright.experiments.tables import experiments, from_column, from_micros, to_micros
from modelwright.store import Transaction, scopes

_l, _e, _m = logged.c, experiments.c, logged_metrics.c


def row(tx: Transaction, ref: Ref) -> Any:
    """The row of one logged model, discarded or not, with what is needed of its experiment; or `NotFound`."""
    if ref.kind is not Kind.LOGGED_MODEL:
        raise Invalid(f"{ref} is not a logged model.", mend="A logged model is named logged-model:m-<id>.")
    check_whole(ref)
    found = tx.execute(rows().where(_l.id == ref.name)).first()
    if found is None:
        raise NotFound(f"There is no logged-model {ref.name!r}.", mend="See what there is: mw list logged-model")
    return found


def rows() -> Any:
    """The query for rows of logged models with what is needed of their experiment."""
    of = (
        _e.name.label("experiment_name"),
        _e.title.label("experiment_title"),
        _e.artifact_location.label("location"),
        _e.deleted.label("experiment_deleted"),
    )
    return sa.select(logged, *of).join(experiments, _e.id == _l.experiment)


def list_models(tx: Transaction, where: Filter) -> Page[LoggedModel]:
    """The logged models that the caller may see, newest first; discarded ones only where `where.state` is deleted."""
    query = rows().where(visible(tx, _e.name), _e.deleted.is_(None))
    query = query.where(_l.deleted.is_not(None) if where.state == "deleted" else _l.deleted.is_(None))
    if where.state and where.state != "deleted":
        query = query.where(_l.status == where.state)
    if where.under is not None:
        query = query.where(scopes.under(_e.name, where.under))
    if where.text:
        words = [sa.func.lower(each).contains(where.text.lower(), autoescape=True) for each in (_l.name, _l.id, _e.name)]
        query = query.where(sa.or_(*words))
    if where.since:
        query = query.where(_l.created >= to_micros(where.since))
    if where.until:
        query = query.where(_l.created < to_micros(where.until))
    for key, value in where.tags.items():
        t = logged_tags.c
        query = query.where(sa.exists().where(t.model == _l.key, t.name == key, t.value == value))
    if where.after:
        at, identity = read_after(where.after)
        query = query.where(sa.or_(_l.created < at, sa.and_(_l.created == at, _l.id < identity)))
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    found = tx.execute(query.order_by(_l.created.desc(), _l.id.desc()).limit(where.limit + 1)).all()
    shown, more = found[: where.limit], len(found) > where.limit
    return Page(items=models_of(tx, shown), next=f"{shown[-1].created} {shown[-1].id}" if more else None)


# Searching


def search(
    tx: Transaction,
    experiments_of: Sequence[int],
    *,
    where: Condition | None,
    datasets: Sequence[OnDataset],
    order: Sequence[tuple[Order, Sort]],
) -> Any:
    """The query for the logged models of some experiments that are in sight, that fit, and that the caller may read."""
    query = rows().where(
        _l.experiment.in_(list(experiments_of)),
        _l.deleted.is_(None),
        _e.deleted.is_(None),
        visible(tx, _e.name),
    )
    on = _on(datasets)
    if where is not None:
        query = query.where(_condition(where, on))
    if datasets and not any(clause.entity == "metric" for clause in clauses_of(where)):
        query = query.where(sa.exists().where(_m.model == _l.key, on))
    for key, sort in order:
        column = _figure(key.key, sort) if key.entity == "metric" else _COLUMNS[key.key]
        query = query.order_by(sa.case((column.is_(None), 1), else_=0), column.desc() if key.descending else column.asc())
    return query.order_by(_l.created.desc(), _l.id)


def _condition(where: Condition, on: Any) -> Any:
    match where:
        case Not(of=inner):
            return sa.not_(_condition(inner, on))
        case And(of=parts):
            return sa.and_(*(_condition(part, on) for part in parts))
        case Or(of=parts):
            return sa.or_(*(_condition(part, on) for part in parts))
        case Clause(entity="metric", key=key, op=op, value=value):
            return sa.exists().where(_m.model == _l.key, _m.name == key, _compared(_m.value, op, value), on)
        case Clause(entity="attribute", key=key, op=op, value=value):
            return _compared(_COLUMNS[key], op, _stored(key, value))
        case Clause(entity=entity, key=key, op=op, value=value):
            table = (logged_params if entity == "param" else logged_tags).c
            return sa.exists().where(table.model == _l.key, table.name == key, _compared(table.value, op, value))


def _stored(key: str, value: Value) -> Value:
    """A value as the column has it: times in microseconds, the word of a status without what MLflow puts before it."""
    if key in _MOMENTS and isinstance(value, int | float):
        return value * 1000
    if key == "status":
        if isinstance(value, tuple):
            return tuple(_status(each) for each in value)
        return _status(str(value))
    return value


def _status(word: str) -> str:
    return word.upper().removeprefix("LOGGED_MODEL_").removeprefix("UPLOAD_")


def _compared(column: Any, op: Op, value: Any) -> Any:
    match op:
        case Op.IN | Op.NOT_IN:
            assert isinstance(value, tuple)
            return column.in_(value) if op is Op.IN else column.not_in(value)
        case Op.LIKE:
            return column.like(_pattern(value), escape="\\")
        case Op.ILIKE:
            return sa.func.lower(column).like(_pattern(str(value).lower()), escape="\\")
        case _:
            return _OPERATORS[op](column, value)


def _pattern(value: Value) -> str:
    return str(value).replace("\\", "\\\\")


def _on(datasets: Sequence[OnDataset]) -> Any:
    """The condition for a figure taken on one of some datasets; of none, for any figure."""
    if not datasets:
        return sa.true()
    return sa.or_(
        *(
            sa.and_(_m.dataset == each.name, _m.dataset_digest == each.digest if each.digest else sa.true())
            for each in datasets
        )
    )


def _figure(name: str, sort: Sort) -> Any:
    """The newest figure of that name of a model, for an order."""
    query = sa.select(_m.value).where(_m.model == _l.key, _m.name == name)
    if sort.dataset:
        query = query.where(_on([OnDataset(name=sort.dataset, digest=sort.dataset_digest)]))
    return query.order_by(_m.time.desc(), _m.step.desc(), _m.run).limit(1).scalar_subquery()


_COLUMNS: Mapping[str, Any] = {
    "name": _l.name,
    "model_id": _l.id,
    "model_type": _l.model_type,
    "status": sa.func.upper(_l.status),
    "source_run_id": _l.run,
    "experiment_id": _l.experiment,
    "creation_timestamp": _l.created,
    "last_updated_timestamp": _l.updated,
}
_MOMENTS = frozenset({"creation_timestamp", "last_updated_timestamp"})
_OPERATORS = {
    Op.EQUAL: operator.eq,
    Op.UNEQUAL: operator.ne,
    Op.LESS: operator.lt,
    Op.AT_MOST: operator.le,
    Op.MORE: operator.gt,
    Op.AT_LEAST: operator.ge,
}


# Records


def models_of(tx: Transaction, found: Sequence[Any]) -> list[LoggedModel]:
    """Rows of logged models, with what belongs to them, as records."""
    keys = [each.key for each in found]
    params = _texts(tx, logged_params, keys)
    tags = _texts(tx, logged_tags, keys)
    metrics: dict[int, list[Measurement]] = {key: [] for key in keys}
    m = logged_metrics.c
    ordered = sa.select(logged_metrics).where(m.model.in_(keys)).order_by(m.model, m.name, m.time, m.step, m.run)
    for each in tx.execute(ordered) if keys else ():
        metrics[each.model].append(_measurement(each))
    return [
        LoggedModel(
            id=each.id,
            experiment=each.experiment_name,
            experiment_title=each.experiment_title,
            experiment_id=each.experiment,
            name=each.name,
            model_type=each.model_type,
            status=LoggedStatus(each.status),
            status_message=each.status_message,
            run=each.run,
            created_at=from_micros(each.created),
            created_by=each.created_by,
            updated_at=from_micros(each.updated),
            lifecycle=lifecycle(each),
            artifact_location=f"{location(each.experiment, each.location)}/{of_model(each.id)}",
            params=params[each.key],
            tags=tags[each.key],
            metrics=metrics[each.key],
        )
        for each in found
    ]


def _measurement(each: Any) -> Measurement:
    return Measurement(
        name=each.name,
        value=from_column(each.value),
        step=each.step,
        time=from_micros(each.time),
        run=each.run,
        dataset=each.dataset,
        dataset_digest=each.dataset_digest,
    )


def _texts(tx: Transaction, table: sa.Table, keys: Sequence[int]) -> Mapping[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {key: {} for key in keys}
    query = sa.select(table).where(table.c.model.in_(keys)).order_by(table.c.model, table.c.name)
    for each in tx.execute(query) if keys else ():
        found[each.model][each.name] = each.value
    return found
