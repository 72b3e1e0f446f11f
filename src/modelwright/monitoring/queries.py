"""The rows of monitoring, read and written on an open transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import MAX_LIMIT, Filter, Page, number_after
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, decode, encode_text
from modelwright.monitoring import tables as t
from modelwright.monitoring.records import (
    Alert,
    Aspect,
    Incident,
    IncidentState,
    Label,
    LabelReceipt,
    Monitor,
    Progress,
    Watch,
    WindowResult,
)
from modelwright.store import Event, Transaction, Version, scopes
from modelwright.store.queries import event_of, naming
from modelwright.store.tables import ledger_events

_BATCH = 500  # rows per statement: below the number of parameters that SQLite takes


def monitor_of(tx: Transaction, version: Version) -> Monitor:
    """A version in the catalog as a monitor, with how it stands now."""
    row = tx.execute(sa.select(t.standing).where(t.standing.c.monitor == version.ref.name)).first()
    return Monitor(
        ref=version.ref,
        deployment=Ref.parse(version.record["deployment"]),
        watch=convert(version.record["watch"], Watch),
        created_at=version.created_at,
        created_by=version.created_by,
        stopped=bool(row and row.stopped),
        silenced_until=parse_time(row.silenced_until) if row and row.silenced_until else None,
    )


def set_standing(tx: Transaction, name: str, **values: Any) -> None:
    """Change how a monitor stands: `stopped`, `silenced_until`."""
    known = tx.execute(sa.select(t.standing).where(t.standing.c.monitor == name)).first()
    if known is None:
        tx.execute(t.standing.insert().values(**{"monitor": name, "stopped": False, "silenced_until": None, **values}))
    else:
        tx.execute(t.standing.update().where(t.standing.c.monitor == name).values(**values))


# Labels


def store_labels(tx: Transaction, deployment: str, batch: Sequence[Label]) -> LabelReceipt:
    """Keep, for every prediction, the label that was known latest; say what changed."""
    latest: dict[str, Label] = {}
    repeated = 0
    for label in batch:
        held = latest.get(label.id)
        if held is not None:
            repeated += 1
        if held is None or label.at > held.at:
            latest[label.id] = label
    known = _known_labels(tx, deployment, list(latest))
    added = [label for label in latest.values() if label.id not in known]
    corrected = [
        label
        for label in latest.values()
        if label.id in known and known[label.id].at < label.at and known[label.id].label != label.label
    ]
    c = t.labels.c
    for chunk in _chunks([label.id for label in corrected]):
        tx.execute(t.labels.delete().where(c.deployment == deployment, c.id.in_(chunk)))
    rows = [
        {"deployment": deployment, "id": x.id, "label": x.label, "at": isoformat(x.at), "received_at": tx.stamp}
        for x in (*added, *corrected)
    ]
    if rows:
        tx.execute(t.labels.insert(), rows)
    repeated += len(latest) - len(added) - len(corrected)
    return LabelReceipt(received=len(batch), added=len(added), corrected=len(corrected), repeated=repeated)


def labels_between(tx: Transaction, deployment: str, since: datetime, until: datetime) -> list[Label]:
    """The labels that became known in a stretch of time (its end included), in order of that time."""
    c = t.labels.c
    query = sa.select(t.labels).where(c.deployment == deployment, c.at >= isoformat(since), c.at <= isoformat(until))
    rows = tx.execute(query.order_by(c.at, c.id))
    return [Label(id=row.id, label=row.label, at=parse_time(row.at)) for row in rows]


def count_labels(tx: Transaction, deployment: str, since: datetime, until: datetime) -> int:
    """How many labels became known in a stretch of time (its end included): read off the index, and no row."""
    c = t.labels.c
    times = (c.at >= isoformat(since), c.at <= isoformat(until))
    counted: int = tx.execute(sa.select(sa.func.count()).where(c.deployment == deployment, *times)).scalar_one()
    return counted


def _known_labels(tx: Transaction, deployment: str, ids: Sequence[str]) -> dict[str, Label]:
    c, found = t.labels.c, {}
    for chunk in _chunks(ids):
        for row in tx.execute(sa.select(t.labels).where(c.deployment == deployment, c.id.in_(chunk))):
            found[row.id] = Label(id=row.id, label=row.label, at=parse_time(row.at))
    return found


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


# Windows and progress


def store_window(tx: Transaction, monitor: Ref, result: WindowResult) -> WindowResult | None:
    """Write a window's result in place of the one recorded for it before, which is returned."""
    c, row = t.windows.c, t.window_row(monitor, result, tx.stamp)
    key = (c.monitor == row["monitor"], c.aspect == row["aspect"], c.start == row["start"])
    before = tx.execute(sa.select(t.windows).where(*key)).first()
    tx.execute(t.windows.delete().where(*key))
    tx.execute(t.windows.insert().values(**row))
    return t.to_window(before) if before else None


def windows_of(
    tx: Transaction,
    monitor: Ref,
    aspect: Aspect | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    last: int = MAX_LIMIT,
) -> list[WindowResult]:
    """The latest results of one version of a monitor (of all versions, without a selector), in order of time."""
    c = t.windows.c
    query = sa.select(t.windows).where(c.monitor == str(monitor))
    if monitor.selector is None:
        query = sa.select(t.windows).where(c.monitor.startswith(f"{monitor}@", autoescape=True))
    if aspect is not None:
        query = query.where(c.aspect == aspect)
    if since is not None:
        query = query.where(c.end > isoformat(since))
    if until is not None:
        query = query.where(c.start < isoformat(until))
    rows = tx.execute(query.order_by(c.start.desc(), c.recorded_at.desc()).limit(last)).all()
    return [t.to_window(row) for row in reversed(rows)]


def progress_of(tx: Transaction, monitor: Ref) -> list[Progress]:
    """How far each aspect of a monitor's version is dealt with."""
    rows = tx.execute(sa.select(t.progress).where(t.progress.c.monitor == str(monitor)))
    return [decode(row.record, Progress) for row in rows]


def store_progress(tx: Transaction, monitor: Ref, progress: Progress) -> None:
    """Note how far an aspect is dealt with."""
    c = t.progress.c
    tx.execute(t.progress.delete().where(c.monitor == str(monitor), c.aspect == progress.aspect))
    tx.execute(t.progress.insert().values(monitor=str(monitor), aspect=progress.aspect, record=encode_text(progress)))


# Alerts and incidents


def next_number(tx: Transaction, table: sa.Table) -> int:
    """The number after the highest; safe because a writing transaction is the only one."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.number), 0))).scalar_one()) + 1


def save_alert(tx: Transaction, alert: Alert) -> Alert:
    """Write an alert, new or changed."""
    tx.execute(t.alerts.delete().where(t.alerts.c.number == alert.number))
    tx.execute(t.alerts.insert().values(**t.alert_row(alert)))
    return alert


def alert(tx: Transaction, ref: Ref) -> Alert:
    """One alert, or `NotFound`."""
    row = tx.execute(sa.select(t.alerts).where(t.alerts.c.number == _number(ref, Kind.ALERT))).first()
    if row is None:
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list alert")
    return t.to_alert(row)


def latest_alert(tx: Transaction, monitor: str, cause: Aspect) -> Alert | None:
    """The latest alert of one cause that a monitor raised, open or not."""
    c = t.alerts.c
    query = sa.select(t.alerts).where(c.monitor == monitor, c.cause == cause).order_by(c.number.desc()).limit(1)
    row = tx.execute(query).first()
    return t.to_alert(row) if row else None


def list_alerts(tx: Transaction, where: Filter) -> Page[Alert]:
    """Alerts, newest first; `under` narrows by deployment, `state` by firing, acknowledged, cleared, unfinished."""
    rows, following = _newest(tx, t.alerts, Kind.ALERT, where, closed="cleared")
    return Page(items=[t.to_alert(row) for row in rows], next=following)


def save_incident(tx: Transaction, incident: Incident) -> Incident:
    """Write an incident, new or changed."""
    tx.execute(t.incidents.delete().where(t.incidents.c.number == incident.number))
    tx.execute(t.incidents.insert().values(**t.incident_row(incident)))
    return incident


def incident(tx: Transaction, ref: Ref) -> Incident:
    """One incident, or `NotFound`."""
    row = tx.execute(sa.select(t.incidents).where(t.incidents.c.number == _number(ref, Kind.INCIDENT))).first()
    if row is None:
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list incident")
    return t.to_incident(row)


def open_incident_of(tx: Transaction, deployment: str) -> Incident | None:
    """The latest incident of a deployment that is not resolved."""
    c = t.incidents.c
    query = sa.select(t.incidents).where(c.deployment == deployment, c.state != IncidentState.RESOLVED)
    row = tx.execute(query.order_by(c.number.desc()).limit(1)).first()
    return t.to_incident(row) if row else None


def list_incidents(tx: Transaction, where: Filter) -> Page[Incident]:
    """Incidents, newest first; `under` narrows by deployment, `state` by open, contained, resolved, unfinished."""
    rows, following = _newest(tx, t.incidents, Kind.INCIDENT, where, closed="resolved")
    return Page(items=[t.to_incident(row) for row in rows], next=following)


def _newest(
    tx: Transaction, table: sa.Table, kind: Kind, where: Filter, *, closed: str
) -> tuple[Sequence[Any], str | None]:
    c, query = table.c, sa.select(table)
    query = query.where(scopes.readable(tx, kind, c.deployment))
    if where.under:
        query = query.where(scopes.under(c.deployment, where.under))
    if where.state == "unfinished":
        query = query.where(c.state != closed)
    elif where.state:
        query = query.where(c.state == where.state)
    if where.since:
        query = query.where(c.opened_at >= isoformat(where.since))
    if where.until:
        query = query.where(c.opened_at < isoformat(where.until))
    if where.after:
        query = query.where(c.number < number_after(where.after))
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    rows = tx.execute(query.order_by(c.number.desc()).limit(where.limit + 1)).all()
    more = len(rows) > where.limit
    return rows[: where.limit], str(rows[where.limit - 1].number) if more else None


def _number(ref: Ref, kind: Kind) -> int:
    if ref.kind is not kind or not ref.name.isdecimal():
        raise Invalid(f"{ref} is not an {kind.value}.", mend=f"Write {kind.value}:14.")
    return int(ref.name)


# The ledger


def timeline(tx: Transaction, things: Sequence[Ref], since: datetime, until: datetime | None) -> list[Event]:
    """Every event about any of these things in a stretch of time, in order."""
    if not things:
        return []
    e = ledger_events.c
    about = naming(*(thing.whole for thing in things))
    query = sa.select(ledger_events).where(e.seq.in_(about), e.ts >= isoformat(since))
    if until is not None:
        query = query.where(e.ts <= isoformat(until))
    return [event_of(row.body) for row in tx.execute(query.order_by(e.seq))]
