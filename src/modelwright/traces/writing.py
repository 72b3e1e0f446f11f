"""Writing traces and spans, inside an open transaction.

A trace is told of from two sides, in either order and many times: by its client, who says how it stands, and by its
spans. What the client says holds; what it leaves out is taken from the spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.wire import encode_text
from modelwright.store import Transaction
from modelwright.traces import summing
from modelwright.traces.records import (
    BODIES_GONE,
    MAX_KEY,
    MAX_PREVIEW,
    MAX_VALUE,
    NAME_TAG,
    PLACE,
    PLACE_TAG,
    Assessment,
    Span,
    SpanBatch,
    TraceGiven,
    TraceState,
)
from modelwright.traces.tables import (
    BELONGING,
    assessment_row,
    assessments,
    marks,
    span_content,
    spans,
    tags,
    traces,
)

MAX_SPANS = 50_000  # of one trace
MAX_ID = 64
FEW = 500  # traces that stand in one statement
TOKENS_KEY, COST_KEY = "mlflow.trace.tokenUsage", "mlflow.trace.cost"
SESSION_KEY, USER_KEY = "mlflow.trace.session", "mlflow.trace.user"
SIZES_KEY, SIZE_KEY = "mlflow.trace.sizeStats", "mlflow.trace.sizeBytes"
_BODIES = (SESSION_KEY, USER_KEY, "mlflow.traceInputs", "mlflow.traceOutputs", "mlflow.user")
TAG_PREFIX = "mlflow.traceTag."  # of attributes of a root span that are meant for tags of the trace
NOT_TAGS = ("telemetry.sdk.", "mlflow.")  # what a resource says that is nobody's tag

_t, _s = traces.c, spans.c


def put(tx: Transaction, experiment: int, given: TraceGiven) -> int:
    """Write what a client says of a trace; returns its key. A trace does not move between experiments."""
    check_id(given.id)
    row = tx.execute(sa.select(traces).where(_t.id == given.id)).first()
    said = {
        "state": None if given.state is TraceState.UNSPECIFIED else given.state.value,
        "started": given.started or None,
        "milliseconds": given.milliseconds,
    }
    values: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if values:
        values["told"] = True
    if row is None:
        values = {"state": given.state.value, "started": 0, "milliseconds": None, "told": False} | values
    if given.client_request_id is not None or row is None:
        values["client_request_id"] = given.client_request_id
    for name in ("request", "response"):
        text = getattr(given, name)
        if text is not None or row is None:
            values[name] = None if text is None else cut(text, MAX_PREVIEW)
    if NAME_TAG in given.tags or row is None:
        values["name"] = cut(given.tags.get(NAME_TAG, ""), MAX_VALUE)
    if row is None:
        key = _add(tx, given.id, experiment, values)
    else:
        check_home(row, experiment)
        key = row.key
        if values:
            tx.execute(traces.update().where(_t.key == key).values(**values))
    set_tags(tx, key, given.tags)
    set_marks(tx, key, given.metadata)
    for each in given.assessments:
        add_assessment(tx, key, each)
    return key


def add_spans(tx: Transaction, experiment: int, batches: Sequence[SpanBatch]) -> dict[str, int]:
    """Write spans; a span that is there already is replaced. Returns the keys of their traces by id."""
    by_trace: dict[str, list[Span]] = {}
    resources: dict[str, dict[str, Any]] = {}
    for batch in batches:
        for span in batch.spans:
            by_trace.setdefault(span.trace_id, []).append(span)
            resources.setdefault(span.trace_id, {}).update(batch.resource)
    rows = _rows(tx, by_trace)
    keys: dict[str, int] = {}
    for identity, found in by_trace.items():
        row = rows.get(identity)
        new = {span.id: span for span in found}  # of one id, the last
        if row is None:
            key = _add(tx, identity, experiment, _empty())
        else:
            check_home(row, experiment)
            key = row.key
        keys[identity] = key
        _sum_up(tx, key, row, new, _put_spans(tx, key, new.values()))
        _set_told_tags(tx, key, resources[identity], summing.first(new.values()))
    return keys


def drop_bodies(tx: Transaction, ids: Sequence[str], why: str) -> None:
    """Let go of what went in and came out of the steps of traces, and of whose they were; `why` stays on each.

    Names, times, states, tokens and judgements stay.
    """
    for row in _rows(tx, ids).values():
        tx.execute(spans.update().where(_s.trace == row.key).values(content="{}"))
        tx.execute(traces.update().where(_t.key == row.key).values(request=None, response=None, size=0))
        tx.execute(marks.delete().where(marks.c.trace == row.key, marks.c.key.in_(_BODIES)))
        set_marks(tx, row.key, {BODIES_GONE: why})


def set_tags(tx: Transaction, key: int, new: Mapping[str, str]) -> None:
    """Set tags of a trace; the one that names it is its name too."""
    _upsert_pairs(tx, tags, key, new)


def drop_tag(tx: Transaction, key: int, name: str) -> bool:
    """Take a tag away; whether it was there."""
    return tx.execute(tags.delete().where(tags.c.trace == key, tags.c.key == name)).rowcount > 0


def set_marks(tx: Transaction, key: int, new: Mapping[str, str]) -> None:
    """Set metadata of a trace."""
    _upsert_pairs(tx, marks, key, new)


def rename(tx: Transaction, key: int, name: str) -> None:
    """Give a trace the name that its tag says."""
    tx.execute(traces.update().where(_t.key == key).values(name=cut(name, MAX_VALUE)))


def add_assessment(tx: Transaction, key: int, made: Assessment) -> None:
    """Write an assessment, replacing the one of the same id."""
    row = {"trace": key, **assessment_row(made)}
    put_row = tx.insert(assessments).values(**row)
    same = [assessments.c.trace, assessments.c.id]
    changed = {name: value for name, value in row.items() if name not in ("trace", "id")}
    tx.execute(put_row.on_conflict_do_update(index_elements=same, set_=changed))


def delete(tx: Transaction, keys: Sequence[int]) -> None:
    """Delete traces with everything that belongs to them."""
    for at in range(0, len(keys), FEW):
        for table in (*BELONGING, traces):
            column = table.c.key if table is traces else table.c.trace
            tx.execute(table.delete().where(column.in_(keys[at : at + FEW])))


def check_id(identity: str) -> None:
    """Raise unless a text can be the id of a trace."""
    from modelwright.core.refs import Kind, Ref

    if len(identity) > MAX_ID or "/" in identity:
        raise Invalid(f"{identity[:80]!r} cannot be the id of a trace: it has at most {MAX_ID} characters, and no slash.")
    Ref(Kind.TRACE, identity)


def check_home(row: Any, experiment: int) -> None:
    """Raise unless a trace belongs to that experiment."""
    if row.experiment != experiment:
        raise Conflict(f"The trace {row.id} belongs to another experiment.", mend="Give each trace an id of its own.")


def cut(text: str, most: int) -> str:
    """A text no longer than that."""
    text = text.replace("\x00", "\ufffd")
    return text if len(text) <= most else text[: most - 3] + "..."


def _rows(tx: Transaction, ids: Iterable[str]) -> dict[str, Any]:
    wanted, found = list(ids), {}
    for at in range(0, len(wanted), FEW):
        rows = tx.execute(sa.select(traces).where(_t.id.in_(wanted[at : at + FEW])))
        found.update({row.id: row for row in rows})
    return found


def _empty() -> dict[str, Any]:
    return {"name": "", "state": TraceState.IN_PROGRESS.value, "started": 0, "told": False}


def _add(tx: Transaction, identity: str, experiment: int, values: Mapping[str, Any]) -> int:
    made = traces.insert().values(id=identity, experiment=experiment, spans=0, size=0, **values)
    return int(tx.execute(made.returning(_t.key)).scalar_one())


class _Held(NamedTuple):
    """A stored span, as far as sums go."""

    id: str
    parent: str | None
    start: int
    end: int | None
    usage: str | None
    cost: str | None
    size: int


def _put_spans(tx: Transaction, key: int, new: Iterable[Span]) -> list[_Held]:
    rows: list[dict[str, Any]] = []
    for span in new:
        usage, cost = summing.usage_of(span), summing.cost_of(span)
        rows.append(
            {
                "trace": key,
                "id": span.id,
                "parent": span.parent,
                "name": span.name,
                "type": summing.type_of(span),
                "status": span.status.value,
                "kind": span.kind,
                "start": span.start,
                "end": span.end,
                "content": span_content(span),
                "usage": encode_text(usage) if usage else None,
                "cost": encode_text(cost) if cost else None,
            }
        )
    insert = tx.insert(spans)
    changed = {column.name: insert.excluded[column.name] for column in spans.c if not column.primary_key}
    tx.execute(insert.on_conflict_do_update(index_elements=[_s.trace, _s.id], set_=changed), rows)
    return [
        _Held(row["id"], row["parent"], row["start"], row["end"], row["usage"], row["cost"], len(row["content"]))
        for row in rows
    ]


def _sum_up(tx: Transaction, key: int, row: Any, new: Mapping[str, Span], held: list[_Held]) -> None:
    """Bring what a trace says of its spans up to date; `held` are all of them, where the trace is new."""
    if row is not None:
        size = sa.func.length(_s.content)
        wanted = sa.select(_s.id, _s.parent, _s.start, _s.end, _s.usage, _s.cost, size).where(_s.trace == key)
        held = [_Held(*tuple(each)) for each in tx.execute(wanted.limit(MAX_SPANS + 1))]
    if len(held) > MAX_SPANS:
        raise Invalid(f"A trace holds at most {MAX_SPANS} spans.", mend="Begin another trace, and link the two.")
    sizes = [each.size for each in held]
    values: dict[str, Any] = {"spans": len(held), "size": sum(sizes)}
    root = summing.first(new.values())
    told = row is not None and row.told
    begin = min(each.start for each in held) // 1_000_000
    if not told or not row.started:
        values["started"] = begin
    if not told:
        ends = [each.end for each in held if each.end is not None]
        values["milliseconds"] = max(max(ends) // 1_000_000 - begin, 0) if ends else None
    open_still = row is None or row.state in (TraceState.IN_PROGRESS.value, TraceState.UNSPECIFIED.value)
    if root is not None:
        if open_still:
            values["state"] = summing.state_of(root).value
        if row is None or row.request is None:
            values["request"] = summing.request_of(root)
        if row is None or row.response is None:
            values["response"] = summing.response_of(root)
        if row is None or not row.name:
            values["name"] = cut(root.name, MAX_VALUE)
    tx.execute(traces.update().where(_t.key == key).values(**values))
    _mark_sums(tx, key, row, held, sizes, new)


def _mark_sums(
    tx: Transaction, key: int, row: Any, held: Sequence[_Held], sizes: Sequence[int], new: Mapping[str, Span]
) -> None:
    """Tokens, cost, sizes, session and user as metadata, unless the client said them itself."""
    sums: dict[str, str] = {}
    for name, column in ((TOKENS_KEY, "usage"), (COST_KEY, "cost")):
        nodes = [summing.Node(each.id, each.parent, _figures(getattr(each, column))) for each in held]
        total = summing.add_up(nodes)
        if total:
            sums[name] = encode_text(total)
    sums |= {SIZES_KEY: summing.size_stats(sizes), SIZE_KEY: str(sum(sizes))}
    if row is not None and row.told:
        have = set(tx.execute(sa.select(marks.c.key).where(marks.c.trace == key)).scalars())
        sums = {name: value for name, value in sums.items() if name not in have}
    named = {SESSION_KEY: summing.session_of(new.values()), USER_KEY: summing.user_of(new.values())}
    first_said = {name: value for name, value in named.items() if value}
    if first_said:
        rows = [{"trace": key, "key": name, "value": cut(value, MAX_VALUE)} for name, value in first_said.items()]
        tx.execute(tx.insert(marks).on_conflict_do_nothing(), rows)
    set_marks(tx, key, sums)


def _figures(text: str | None) -> dict[str, float] | None:
    return None if text is None else msgspec.json.decode(text)


def _set_told_tags(tx: Transaction, key: int, resource: Mapping[str, Any], root: Span | None) -> None:
    """Tags that come with spans: what their program says of itself, and what the root span carries for the trace."""
    found = {name: value for name, value in resource.items() if not name.startswith(NOT_TAGS)}
    if root is not None:
        for name, value in root.attributes.items():
            if name.startswith(TAG_PREFIX) and len(name) > len(TAG_PREFIX):
                found[name.removeprefix(TAG_PREFIX)] = value
    texts = {name: value if isinstance(value, str) else encode_text(value) for name, value in found.items()}
    set_tags(tx, key, {name: text for name, text in texts.items() if 0 < len(name) <= MAX_KEY} | {PLACE_TAG: PLACE})
    if NAME_TAG in texts:
        rename(tx, key, texts[NAME_TAG])


def _upsert_pairs(tx: Transaction, table: sa.Table, key: int, new: Mapping[str, str]) -> None:
    if not new:
        return
    for name in new:
        if not 0 < len(name) <= MAX_KEY or "\x00" in name:
            raise Invalid(f"The key {name[:80]!r} is not one of 1 to {MAX_KEY} characters.")
    insert = tx.insert(table)
    rows = [{"trace": key, "key": name, "value": cut(value, MAX_VALUE)} for name, value in new.items()]
    same = [table.c.trace, table.c.key]
    tx.execute(insert.on_conflict_do_update(index_elements=same, set_={"value": insert.excluded.value}), rows)
