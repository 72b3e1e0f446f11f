"""Figures as SQL: everything is summed up by the database.

A percentile lies between two values on a straight line (type 7 of Hyndman and
Fan, 1996): each value weighs one minus its distance in ranks from the place asked for, and nothing beyond one rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.core.search import LISTS, TEXTS, Clause, Entity, Field, Language
from modelwright.store import Transaction
from modelwright.traces.figures.metrics import ALL_TOKENS, COUNTS, check
from modelwright.traces.records import RUN_KEY, Figure, FigurePage, FigureQuery, Summary, View
from modelwright.traces.search import queries as searching
from modelwright.traces.summing import COSTS
from modelwright.traces.tables import assessments, marks, spans, traces
from modelwright.traces.writing import SESSION_KEY, TOKENS_KEY

_MODEL = {"span_model_name": "mlflow.llm.model", "span_model_provider": "mlflow.llm.provider"}
_TEXT = Field(ops=TEXTS | LISTS, orders=False)
_FILTERS: Final = Language(
    Entity("trace", ("trace",), any=_TEXT),  # status, tag.<key>, metadata.<key>
    Entity("span", ("span",), keys={"name": _TEXT, "status": _TEXT, "type": _TEXT}),
    Entity("assessment", ("assessment",), keys={"name": _TEXT, "type": _TEXT}),
)
_t, _s, _a = traces.c, spans.c, assessments.c


def page(tx: Transaction, experiments: Sequence[int], asked: FigureQuery, limit: int, after: str | None) -> FigurePage:
    """The figures asked for, in order of time and of what they are told apart by."""
    check(asked, limit)
    skip = _skip(after)
    rows = _rows(tx, experiments, asked)
    names = [*(["bucket"] if asked.every is not None else []), *(f"by{at}" for at in range(len(asked.by)))]
    groups = [rows.c[name] for name in names]
    query = sa.select(*groups, *(_summed(rows.c, asked.metric, each) for each in asked.how))
    query = query.group_by(*groups).order_by(*groups).offset(skip).limit(limit + 1)
    found = [row for row in tx.execute(query).all() if any(value is not None for value in row[len(groups) :])]
    items = [_figure(asked, dict(zip(names, row, strict=False)), row[len(groups) :]) for row in found[:limit]]
    return FigurePage(items=items, next=str(skip + limit) if len(found) > limit else None)


def _rows(tx: Transaction, experiments: Sequence[int], asked: FigureQuery) -> Any:
    """What is summed up: a value and its groups, and where a percentile is asked for, its rank and their number."""
    value: Any = _value(tx, asked)
    moment: Any = _t.started
    columns = {f"by{at}": _dimension(tx, name) for at, name in enumerate(asked.by)}
    source: Any = traces
    if asked.view is View.SPANS:
        source, moment = traces.join(spans, _s.trace == _t.key), _s.start // 1_000_000
    if asked.view is View.ASSESSMENTS:
        source = traces.join(assessments, sa.and_(_a.trace == _t.key, _a.valid))
    if asked.every is not None:
        columns["bucket"] = moment // (asked.every * 1000)
    of_cost = asked.view is View.SPANS and asked.metric in COSTS  # a cost belongs to the moment of its span
    within = moment if of_cost else _t.started
    conditions = [_t.experiment.in_(experiments), value.is_not(None), *(each.is_not(None) for each in columns.values())]
    conditions += [within >= asked.since] if asked.since is not None else []
    conditions += [within <= asked.until] if asked.until is not None else []
    conditions += [searching.condition_of(tx, each, _FILTERS, _entities(asked.view)) for each in asked.where]
    plain = sa.select(*(each.label(name) for name, each in columns.items()), value.label("value"))
    inner = plain.select_from(source).where(*conditions).subquery()
    if all(each.percentile is None for each in asked.how):
        return inner
    groups = [inner.c[name] for name in columns]
    rank = sa.func.row_number().over(partition_by=groups, order_by=inner.c.value) - 1
    number = sa.func.count().over(partition_by=groups)
    return sa.select(inner, rank.label("rank"), number.label("number")).subquery()


def _summed(columns: Any, metric: str, how: Summary) -> Any:
    if how.percentile is None:
        of = sa.distinct(columns.value) if metric == "session_count" else columns.value
        return getattr(sa.func, how.how)(of)
    away = sa.func.abs(columns.rank - how.percentile / 100 * (columns.number - 1))
    return sa.func.sum(sa.case((away < 1, columns.value * (1 - away)), else_=0.0))


def _value(tx: Transaction, asked: FigureQuery) -> Any:
    if asked.metric == "session_count":
        return _mark(SESSION_KEY)
    if asked.metric in COUNTS[asked.view]:
        return sa.literal(1)
    if asked.metric in COSTS:
        return _number(tx, _s.cost, asked.metric)
    if asked.metric in ALL_TOKENS:
        return _number(tx, _mark(TOKENS_KEY), asked.metric)
    whole = {View.TRACES: _t.milliseconds, View.SPANS: (_s.end - _s.start) // 1_000_000, View.ASSESSMENTS: _a.number}
    return sa.cast(whole[asked.view], sa.Double)


def _dimension(tx: Transaction, name: str) -> Any:
    if name in _MODEL:
        if tx.database.is_sqlite:
            return _s.content.op("->>")(f'$.attributes."{_MODEL[name]}"')
        from sqlalchemy.dialects.postgresql import JSONB  # late: half of that dialect is its drivers

        return sa.func.jsonb_extract_path_text(sa.cast(_s.content, JSONB), "attributes", _MODEL[name])
    columns = {
        "trace_name": sa.func.nullif(_t.name, ""),
        "trace_status": sa.func.upper(_t.state),
        "span_name": _s.name,
        "span_type": _s.type,
        "span_status": sa.func.upper(_s.status),
        "assessment_name": _a.name,
        "assessment_value": _a.text,
    }
    return columns[name]


def _mark(key: str) -> Any:
    return sa.select(marks.c.value).where(marks.c.trace == _t.key, marks.c.key == key).scalar_subquery()


def _number(tx: Transaction, text: Any, key: str) -> Any:
    """A number of an object in JSON, or null; a client may have written there what is no JSON at all."""
    if tx.database.is_sqlite:
        path = f"$.{key}"
        numeric = sa.func.json_type(text, path).in_(("integer", "real"))
        found = sa.case((numeric, sa.func.json_extract(text, path)))
        return sa.cast(sa.case((sa.func.json_valid(text) == 1, found)), sa.Double)
    digits = rf'"{key}"\s*:\s*([0-9]{{1,18}}(?:\.[0-9]{{1,18}})?(?:[eE][+-]?[0-9]{{1,2}})?)'
    return sa.cast(sa.func.substring(text, digits), sa.Double)


def _entities(view: View) -> dict[str, searching.Meaning]:
    """What the clauses of a filter mean: of a trace for every row, of spans and assessments where rows are these."""

    def of_trace(tx: Transaction, clause: Clause) -> Any:
        entity, _, key = clause.key.partition(".")
        if entity == "metadata" and key == RUN_KEY:
            return searching.clause_of(tx, clause._replace(key="run_id"))
        if entity in ("tag", "metadata") and key:
            return searching.clause_of(tx, clause._replace(entity=entity, key=key))
        if clause.key != "status":
            raise Invalid(f"There is no field trace.{clause.key[:80]}.", mend="Write trace.status, trace.tag.<key>, ...")
        return searching.clause_of(tx, clause)

    def of_row(wanted: View, columns: dict[str, Any]) -> searching.Meaning:
        def condition(tx: Transaction, clause: Clause) -> Any:
            if view is not wanted:
                raise Invalid(f"Figures of {view.value} cannot be filtered by {clause.entity}.{clause.key}.")
            return searching.compared(columns[clause.key], clause)

        return condition

    return {
        "trace": of_trace,
        "span": of_row(View.SPANS, {"name": _s.name, "status": sa.func.upper(_s.status), "type": _s.type}),
        "assessment": of_row(View.ASSESSMENTS, {"name": _a.name, "type": _a.kind}),
    }


def _figure(asked: FigureQuery, groups: dict[str, Any], values: Sequence[Any]) -> Figure:
    bucket = groups.get("bucket")
    return Figure(
        metric=asked.metric,
        dimensions={name: str(groups[f"by{at}"]) for at, name in enumerate(asked.by)},
        values={
            how.name: float(value)
            for how, value in zip(asked.how, values, strict=True)
            if value is not None and math.isfinite(value)
        },
        time=None if bucket is None else datetime.fromtimestamp(bucket * (asked.every or 1), UTC),
    )


def _skip(after: str | None) -> int:
    if not after:
        return 0
    if not after.isascii() or not after.isdigit() or len(after) > 9:
        raise Invalid("Invalid page token")
    return int(after)
