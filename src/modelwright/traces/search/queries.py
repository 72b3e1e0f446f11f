"""A filter and an order as SQL, and the page that comes of them."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.core.search import And, Clause, Condition, Language, Not, Op, Or, Order, parse, parse_order
from modelwright.core.wire import encode_text
from modelwright.store import Transaction
from modelwright.traces.records import RUN_KEY, Correlation
from modelwright.traces.search.language import ATTRIBUTES, TRACES
from modelwright.traces.tables import assessments, marks, prompts, runs, spans, tags, traces

ESCAPE = "\x1b"  # LIKE has no escape in these filters: a character that none of them holds
_t, _s, _a = traces.c, spans.c, assessments.c

Meaning: TypeAlias = Callable[[Transaction, Clause], Any]  # of a clause, as a condition

COMPARE: dict[Op, Callable[[Any, Any], Any]] = {  # a column with a value, as a condition
    Op.EQUAL: lambda column, value: column == value,
    Op.UNEQUAL: lambda column, value: column != value,
    Op.LESS: lambda column, value: column < value,
    Op.AT_MOST: lambda column, value: column <= value,
    Op.MORE: lambda column, value: column > value,
    Op.AT_LEAST: lambda column, value: column >= value,
    Op.LIKE: lambda column, value: column.like(value, escape=ESCAPE),
    Op.ILIKE: lambda column, value: sa.func.lower(column).like(value.lower(), escape=ESCAPE),
    Op.IN: lambda column, value: column.in_(value),
    Op.NOT_IN: lambda column, value: column.not_in(value),
}


class After(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Where the next page begins: after a row, in the order of time; otherwise after so many rows."""

    at: int | None = None
    key: int | None = None
    skip: int = 0


def page(
    tx: Transaction, experiments: Sequence[int], where: str, order_by: Sequence[str], limit: int, after: str | None
) -> tuple[list[Any], str | None]:
    """The rows of one page, and the token of the next."""
    order = parse_order(order_by, TRACES)
    begin = _begin(after)
    query = sa.select(traces).where(_t.experiment.in_(experiments), condition_of(tx, where))
    in_time = not order or [(each.key, each.descending) for each in order] == [("timestamp", True)]
    if in_time:
        if begin.at is not None and begin.key is not None:
            earlier = sa.or_(_t.started < begin.at, sa.and_(_t.started == begin.at, _t.key < begin.key))
            query = query.where(earlier)
    else:
        query = query.order_by(*(clause for each in order for clause in _sorted(each))).offset(begin.skip)
    found = tx.execute(query.order_by(_t.started.desc(), _t.key.desc()).limit(limit + 1)).all()
    shown = list(found[:limit])
    if len(found) <= limit:
        return shown, None
    last = After(at=shown[-1].started, key=shown[-1].key) if in_time else After(skip=begin.skip + limit)
    return shown, base64.urlsafe_b64encode(msgspec.json.encode(last)).decode()


def correlation(tx: Transaction, experiments: Sequence[int], first: str, second: str, where: str) -> Correlation:
    """How two filters go together over the traces that a third leaves."""
    one, other = condition_of(tx, first), condition_of(tx, second)
    base = (_t.experiment.in_(experiments), condition_of(tx, where))

    def count(*conditions: Any) -> int:
        query = sa.select(sa.func.count()).select_from(traces).where(*base, *conditions)
        return int(tx.execute(query).scalar_one())

    total, a, b, both = count(), count(one), count(other), count(one, other)
    return Correlation(
        npmi=npmi(a, b, both, total),
        npmi_smoothed=npmi(a + 1, b + 1, both + 0.5, total + 2),
        first=a,
        second=b,
        both=both,
        total=total,
    )


def npmi(a: float, b: float, both: float, total: float) -> float | None:
    """Normalised pointwise mutual information: log(p(a, b) / (p(a) p(b))) / -log p(a, b)."""
    if min(a, b) <= 0 or total <= 0:
        return None
    if both <= 0:
        return -1.0
    if both >= total:
        return 1.0
    return max(-1.0, min(1.0, math.log(both * total / (a * b)) / -math.log(both / total)))


def condition_of(
    tx: Transaction, where: str, language: Language = TRACES, entities: Mapping[str, Meaning] | None = None
) -> Any:
    """A filter as a condition on `traces`; another language comes with what its entities mean."""
    found = parse(where, language)
    return sa.true() if found is None else _condition(tx, found, _ENTITIES if entities is None else entities)


def clause_of(tx: Transaction, clause: Clause) -> Any:
    """One clause as a condition on `traces`."""
    return _ENTITIES[clause.entity](tx, clause)


def compared(column: Any, clause: Clause) -> Any:
    """A column, compared as a clause says."""
    return COMPARE[clause.op](column, clause.value)


def _condition(tx: Transaction, condition: Condition, entities: Mapping[str, Meaning]) -> Any:
    match condition:
        case And(of=parts):
            return sa.and_(*(_condition(tx, part, entities) for part in parts))
        case Or(of=parts):
            return sa.or_(*(_condition(tx, part, entities) for part in parts))
        case Not(of=inner):
            return sa.not_(sa.func.coalesce(_condition(tx, inner, entities), sa.false()))
        case Clause():
            return entities[condition.entity](tx, condition)


def _of_trace(tx: Transaction, clause: Clause) -> Any:
    compare = COMPARE[clause.op]
    match clause.key:
        case "request_id":
            return compare(_t.id, clause.value)
        case "client_request_id":
            return compare(_t.client_request_id, clause.value)
        case "name":
            return sa.and_(_t.name != "", compare(_t.name, clause.value))
        case "status":
            return compare(sa.func.upper(_t.state), _upper(clause.value))
        case "timestamp":
            return compare(_t.started, clause.value)
        case "execution_time":
            return compare(_t.milliseconds, clause.value)
        case "end_time":
            return compare(_t.started + _t.milliseconds, clause.value)
        case "run_id":
            return _of_run(clause)
        case "prompt":
            name, slash, version = str(clause.value).rpartition("/")
            if not slash:
                raise Invalid(f"{clause.value!r} is no version of a prompt.", mend="Write prompt = 'name/version'.")
            return _there_is(prompts, prompts.c.name == name, prompts.c.version == version)
        case _:
            return _contains(clause)


def _of_run(clause: Clause) -> Any:
    """A trace belongs to the run that it was made in, and to those that it was linked to."""
    op = {Op.UNEQUAL: Op.EQUAL, Op.NOT_IN: Op.IN}.get(clause.op, clause.op)
    compare = COMPARE[op]
    made = _there_is(marks, marks.c.key == RUN_KEY, compare(marks.c.value, clause.value))
    found = sa.or_(made, _there_is(runs, compare(runs.c.run, clause.value)))
    if op is clause.op:
        return found
    return sa.and_(sa.or_(_there_is(marks, marks.c.key == RUN_KEY), _there_is(runs)), sa.not_(found))


def _of_pair(table: sa.Table) -> Callable[[Transaction, Clause], Any]:
    def condition(tx: Transaction, clause: Clause) -> Any:
        mine = table.c.key == clause.key
        if clause.op is Op.IS_NULL:
            return sa.not_(_there_is(table, mine))
        if clause.op is Op.IS_NOT_NULL:
            return _there_is(table, mine)
        return _there_is(table, mine, COMPARE[clause.op](table.c.value, clause.value))

    return condition


def _of_span(tx: Transaction, clause: Clause) -> Any:
    compare = COMPARE[clause.op]
    match clause.key:
        case "name":
            return _there_is(spans, compare(_s.name, clause.value))
        case "type":
            return _there_is(spans, compare(_s.type, clause.value))
        case "status":
            return _there_is(spans, compare(sa.func.upper(_s.status), _upper(clause.value)))
        case "content":
            return _contains(clause)
    name = clause.key.removeprefix(ATTRIBUTES)
    if name == clause.key or not name or '"' in name:
        raise Invalid(
            f"A span has no {clause.key[:80]!r}.", mend="Write span.name, span.type, span.status or span.attributes.<name>."
        )
    return _there_is(spans, _attribute(tx, name, clause))


def _attribute(tx: Transaction, name: str, clause: Clause) -> Any:
    """A comparison with an attribute: as JSON has it where it must be the same, as text where it must be like."""
    alike = clause.op in (Op.LIKE, Op.ILIKE)
    held: Any
    if tx.database.is_sqlite:
        held = _s.content.op("->>" if alike else "->")(f'$.attributes."{name}"')
    else:
        extract = sa.func.jsonb_extract_path_text if alike else sa.func.jsonb_extract_path
        from sqlalchemy.dialects.postgresql import JSONB  # late: half of that dialect is its drivers

        held = sa.cast(extract(sa.cast(_s.content, JSONB), "attributes", name), sa.Text)
    if alike:
        return COMPARE[clause.op](held, clause.value)
    given = clause.value if isinstance(clause.value, tuple) else (str(clause.value),)
    wanted = [form for text in given for form in (text, encode_text(text))]
    return held.in_(wanted) if clause.op in (Op.EQUAL, Op.IN) else sa.and_(held.is_not(None), held.not_in(wanted))


def _contains(clause: Clause) -> Any:
    """Whether any span has a text in it: in its name, or in its attributes and events, where JSON escapes some of it."""
    compare, text = COMPARE[clause.op], str(clause.value)
    return _there_is(spans, sa.or_(compare(_s.name, text), compare(_s.content, encode_text(text)[1:-1])))


def _judged(kind: str) -> Callable[[Transaction, Clause], Any]:
    def condition(tx: Transaction, clause: Clause) -> Any:
        mine = (_a.kind == kind, _a.name == clause.key, _a.valid)
        if clause.op is Op.IS_NULL:
            return sa.not_(_there_is(assessments, *mine))
        if clause.op is Op.IS_NOT_NULL:
            return _there_is(assessments, *mine)
        return _there_is(assessments, *mine, _judgement(clause))

    return condition


def _judgement(clause: Clause) -> Any:
    compare = COMPARE[clause.op]
    if isinstance(clause.value, int | float):
        return compare(_a.number, clause.value)
    if clause.op in (Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST):
        try:
            return compare(_a.number, float(str(clause.value)))
        except ValueError:
            raise Invalid(f"{clause.value!r} is no number to compare with.") from None
    return compare(_a.text, clause.value)


_ENTITIES: dict[str, Meaning] = {
    "trace": _of_trace,
    "tag": _of_pair(tags),
    "metadata": _of_pair(marks),
    "span": _of_span,
    "feedback": _judged("feedback"),
    "expectation": _judged("expectation"),
}


def _sorted(order: Order) -> list[Any]:
    """What to sort by: what has no value comes last in both directions."""
    column = _order_column(order)
    return [column.is_(None), column.desc() if order.descending else column.asc()]


def _order_column(order: Order) -> Any:
    if order.entity == "tag":
        return _value_of(tags, order.key)
    if order.entity == "metadata":
        return _value_of(marks, order.key)
    columns = {
        "request_id": _t.id,
        "client_request_id": _t.client_request_id,
        "status": _t.state,
        "name": sa.func.nullif(_t.name, ""),
        "run_id": _value_of(marks, RUN_KEY),
        "experiment_id": _t.experiment,
        "timestamp": _t.started,
        "execution_time": _t.milliseconds,
        "end_time": _t.started + _t.milliseconds,
    }
    return columns[order.key]


def _value_of(table: sa.Table, key: str) -> Any:
    return sa.select(table.c.value).where(table.c.trace == _t.key, table.c.key == key).scalar_subquery()


def _there_is(table: sa.Table, *conditions: Any) -> Any:
    return sa.exists().where(table.c.trace == _t.key, *conditions).correlate(traces)


def _upper(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(each.upper() for each in value)
    return str(value).upper()


def _begin(after: str | None) -> After:
    if not after:
        return After()
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(after.encode()), type=After)
    except (msgspec.MsgspecError, binascii.Error, ValueError, UnicodeError):
        raise Invalid("Invalid page token, could not base64-decode") from None
    if not all(abs(number) < 2**62 for number in (found.at or 0, found.key or 0)) or not 0 <= found.skip < 2**31:
        raise Invalid("Invalid page token")
    return found
