"""The service: monitors, labels, window results, alerts and incidents, on the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.clock import utc
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref, of_kind
from modelwright.core.wire import time_text, to_plain
from modelwright.features.records import Parity
from modelwright.monitoring import alarms, incidents, queries, tables
from modelwright.monitoring.records import (
    Affected,
    Alert,
    Aspect,
    CorrectiveAction,
    Incident,
    IncidentFile,
    IncidentState,
    IncidentType,
    Label,
    LabelReceipt,
    Monitor,
    Progress,
    Watch,
    WindowResult,
)
from modelwright.store import Transaction, catalog

if TYPE_CHECKING:
    import pyarrow as pa

LABELS_AT_ONCE = 5000


class Monitoring(Room):
    """Watches deployments: windows of predictions against a reference, labels, alerts, incidents."""

    room, kind = "monitoring", Kind.MONITOR

    def resource_of(self, tx: Transaction, ref: Ref) -> Resource:
        """Alerts and incidents are numbered; rights on them are asked under their deployment's name."""
        if ref.kind is Kind.ALERT:
            return Resource(Kind.ALERT, queries.alert(tx, ref).deployment.name)
        if ref.kind is Kind.INCIDENT:
            return Resource(Kind.INCIDENT, queries.incident(tx, ref).deployment.name)
        return super().resource_of(tx, ref)

    # Monitors

    @operation("write", event="monitoring.monitor.defined", on="deployment")
    def watch(self, tx: Transaction, deployment: Ref, watch: Watch, *, name: str = "", reason: str = "") -> Monitor:
        """Define how a deployment is watched; the monitor bears the deployment's name unless given one.

        A changed instruction is a new version, which starts afresh: its findings must persist anew, while an alert that is
        open stays so until enough of the new windows are clean. So a new reference (a re-baseline) is on the record.
        `Invalid` if there is not exactly one reference.
        """
        _check_watch(watch)
        pinned = replace(watch, reference=catalog.resolve(tx, watch.reference) if watch.reference else None)
        described = {"deployment": str(deployment.whole), "watch": to_plain(pinned)}
        ref = Ref(Kind.MONITOR, name or deployment.name)
        newest, digest = catalog.latest(tx, ref), digest_value(described)
        queries.set_standing(tx, ref.name, stopped=False)
        needs = [pinned.reference] if pinned.reference else []
        version = catalog.add(tx, Kind.MONITOR, ref.name, digest=digest, record=described, needs=needs)
        if newest is not None and newest.ref == version.ref:
            tx.unchanged()
        tx.note(resource=version.ref, inputs=[deployment.whole, *needs], outputs=[version.ref], after={"digest": digest})
        return queries.monitor_of(tx, version)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Monitor:
        """Show one version of a monitor, without a selector the latest, and how it stands."""
        return queries.monitor_of(tx, catalog.get(tx, of_kind(ref, Kind.MONITOR)))

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[Monitor]:
        """List the latest version of every monitor that the caller may see."""
        page = catalog.list_things(tx, Kind.MONITOR, where)
        return Page(items=[queries.monitor_of(tx, version) for version in page.items], next=page.next)

    @operation("use", event="monitoring.monitor.quieted")
    def silence(
        self, tx: Transaction, ref: Ref, *, until: datetime | None = None, stop: bool = False, reason: str = ""
    ) -> Monitor:
        """Raise no alert for windows that end up to `until`, or stop the monitor until it is defined anew.

        Windows recorded meanwhile remain. Without either, the monitor speaks and works again.
        """
        version = catalog.get(tx, ref)
        queries.set_standing(tx, version.ref.name, silenced_until=time_text(until), stopped=stop)
        tx.note(resource=version.ref, after={"silenced_until": time_text(until), "stopped": stop})
        return queries.monitor_of(tx, version)

    # Labels

    @operation("label", event="monitoring.labels.received", on="deployment")
    def label(self, tx: Transaction, deployment: Ref, labels: Sequence[Label], *, reason: str = "") -> LabelReceipt:
        """Say what turned out to be true of earlier predictions, by request id; one event for the whole batch.

        Sending a batch again changes nothing. Of two labels for one prediction the one known later holds. Labels may come
        before their prediction reached the log, in any order, and long after: windows already judged are judged again.
        """
        if len(labels) > LABELS_AT_ONCE:
            raise Invalid(f"{len(labels)} labels in one batch; it holds at most {LABELS_AT_ONCE}.", mend="Send several.")
        receipt = queries.store_labels(tx, deployment.name, [replace(each, at=utc(each.at)) for each in labels])
        if not receipt.added and not receipt.corrected:
            tx.unchanged()
        tx.note(resource=deployment.whole, after=to_plain(receipt) | {"digest": digest_value(labels)})
        return receipt

    def label_table(self, deployment: Ref, table: pa.Table, *, reason: str = "") -> LabelReceipt:
        """Send a table with the columns `id`, `label` and `at` (a time zone is needed), in as many batches as it takes."""
        total = LabelReceipt(received=0, added=0, corrected=0, repeated=0)
        rows = table.select(["id", "label", "at"]).to_pylist()
        for start in range(0, len(rows), LABELS_AT_ONCE):
            batch = [_label(row) for row in rows[start : start + LABELS_AT_ONCE]]
            part = self.label(deployment, batch, reason=reason)
            total = LabelReceipt(**{name: getattr(total, name) + getattr(part, name) for name in part.__struct_fields__})
        return total

    @operation("read", on="deployment")
    def labels(self, tx: Transaction, deployment: Ref, *, since: datetime, until: datetime) -> Sequence[Label]:
        """Read the labels of a deployment that became known in a stretch of time, its end included, in that order."""
        return queries.labels_between(tx, deployment.name, since, until)

    @operation("read")
    def count_labels(self, tx: Transaction, deployment: Ref, *, since: datetime, until: datetime) -> int:
        """Count the labels of a deployment that became known in a stretch of time, its end included."""
        return queries.count_labels(tx, deployment.name, since, until)

    # Windows

    @operation("evaluate", event="monitoring.windows.recorded")
    def record(
        self, tx: Transaction, ref: Ref, results: Sequence[WindowResult], *, progress: Sequence[Progress] | None = None
    ) -> Sequence[Alert]:
        """Put the results of closed windows on the record, and act on each in order of time.

        Returns the alerts that were raised, extended or cleared. A window recorded before is replaced. One event for all,
        and one for each alert.
        """
        monitor = queries.monitor_of(tx, catalog.get(tx, ref))
        touched: dict[int, Alert] = {}
        for result in sorted(results, key=lambda each: (each.start, each.aspect)):
            queries.store_window(tx, monitor.ref, result)
            alert = alarms.follow_up(tx, monitor, result)
            if alert is not None:
                touched[alert.number] = alert
        for each in progress or []:
            queries.store_progress(tx, monitor.ref, each)
        if results:
            after = {"windows": len(results), "found": sum(bool(each.findings) for each in results)}
            tx.note(resource=monitor.ref, inputs=[monitor.deployment], after=after)
        else:
            tx.unchanged()
        return [*touched.values()]

    @operation("read")
    def results(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        aspect: Aspect | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        last: int = 100,
    ) -> Sequence[WindowResult]:
        """Read the latest windows of a monitor's version in order of time; without a selector, of all its versions."""
        return queries.windows_of(tx, ref, aspect, since=since, until=until, last=last)

    @operation("read")
    def progress(self, tx: Transaction, ref: Ref) -> Sequence[Progress]:
        """Say how far each aspect of a monitor's version is dealt with."""
        return queries.progress_of(tx, catalog.resolve(tx, ref))

    # Alerts

    @operation("read", on="")
    def alerts(self, tx: Transaction, where: Filter = Filter()) -> Page[Alert]:
        """List alerts, newest first. `under` narrows by deployment; `state`: firing, acknowledged, cleared, unfinished."""
        return queries.list_alerts(tx, where)

    @operation("evaluate", event="monitoring.skew.judged", on="view")
    def skew(self, tx: Transaction, view: Ref, parity: Parity, *, reason: str = "") -> Alert | None:
        """Raise an alert where features online differ from offline, extend it while they do, clear it when they agree.

        Returns the alert that was raised, extended or cleared. It is about the view: there is no monitor beside it.
        """
        if parity.view != view:
            raise Invalid(f"The comparison is of {parity.view}, not of {view}.")
        return alarms.judge_skew(tx, parity)

    @operation("use", event="monitoring.alert.acknowledged")
    def acknowledge(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Alert:
        """Say that somebody has seen an alert; it stays until its cause is gone."""
        return alarms.acknowledge(tx, ref)

    # Incidents

    @operation("use", event="monitoring.incident.reported", on="deployment")
    def report(
        self,
        tx: Transaction,
        deployment: Ref,
        title: str,
        *,
        severity: int = 3,
        type: IncidentType = IncidentType.PERFORMANCE,
        started_at: datetime | None = None,
        affected: Affected = Affected(),
        reason: str = "",
    ) -> Incident:
        """Open an incident by hand; those that alerts find are opened by them."""
        incident = Incident(
            number=queries.next_number(tx, tables.incidents),
            title=title,
            deployment=deployment.whole,
            severity=incidents.check_severity(severity),
            type=type,
            state=IncidentState.OPEN,
            detected_at=tx.now,
            detected_by=tx.principal.id,
            started_at=started_at or tx.now,
            affected=affected,
        )
        tx.note(resource=incident.ref, inputs=[incident.deployment], outputs=[incident.ref], reason=reason or title)
        return incidents.opened(tx, incident)

    @operation("read")
    def incident(self, tx: Transaction, ref: Ref) -> IncidentFile:
        """Show one incident with its timeline, which is read from the ledger."""
        found = queries.incident(tx, ref)
        things = [found.ref, found.deployment, *found.alerts]
        return IncidentFile(incident=found, timeline=queries.timeline(tx, things, found.started_at, found.resolved_at))

    @operation("read", on="")
    def incidents(self, tx: Transaction, where: Filter = Filter()) -> Page[Incident]:
        """List incidents, newest first. `under` narrows by deployment; `state`: open, contained, resolved, unfinished."""
        return queries.list_incidents(tx, where)

    @operation("use", event="monitoring.incident.noted")
    def note(
        self, tx: Transaction, ref: Ref, text: str, *, owner: str | None = None, severity: int | None = None
    ) -> Incident:
        """Add to an incident's timeline; hand it to an `owner`, or change its `severity` (1 gravest to 4)."""
        found = queries.incident(tx, ref)
        if found.state is IncidentState.RESOLVED:
            raise Conflict(f"{ref} is resolved.", mend="Report a new incident.")
        changes: dict[str, Any] = {} if owner is None else {"owner": owner}
        if severity is not None:
            changes["severity"] = incidents.check_severity(severity)
        before = {key: getattr(found, key) for key in changes}
        tx.note(resource=found.ref, inputs=[found.deployment], before=before, after=changes, reason=text)
        return queries.save_incident(tx, replace(found, **changes))

    @operation("use", event="monitoring.incident.contained")
    def contain(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Incident:
        """Say that no further harm is done: rolled back, stopped, or worked around."""
        return incidents.move(tx, ref, IncidentState.CONTAINED, contained_at=tx.now)

    @operation("use", event="monitoring.incident.resolved")
    def resolve(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        root_cause: str,
        lessons: str = "",
        actions: Sequence[CorrectiveAction] | None = None,
        reason: str = "",
    ) -> Incident:
        """Close an incident with its root cause, what was learned, and what will be done so that it does not return."""
        if not root_cause.strip():
            raise Invalid(f"{ref} cannot be resolved without a root cause.", mend="Write 'unknown' and why, if need be.")
        found = queries.incident(tx, ref)
        kept = {"root_cause": root_cause, "lessons": lessons, "actions": [*(actions or [])]}
        times = {"contained_at": found.contained_at or tx.now, "resolved_at": tx.now}
        return incidents.move(tx, ref, IncidentState.RESOLVED, **kept, **times)


def _check_watch(watch: Watch) -> None:
    from modelwright.monitoring.detectors import REGISTRY

    if (watch.reference is None) == (watch.period is None):
        raise Invalid("A monitor needs one reference.", mend="Give a dataset version or a period of predictions, not both.")
    for column in watch.columns:
        if column.detector not in REGISTRY:
            raise Invalid(f"There is no detector {column.detector!r}.", mend=f"There are {', '.join(REGISTRY)}.")
    if not 1 <= watch.persist <= watch.among:
        raise Invalid(f"A finding cannot persist in {watch.persist} of {watch.among} windows.")
    if watch.window.total_seconds() < 60 or watch.min_rows < 1 or watch.clear_after < 1:
        raise Invalid("A window lasts a minute at least, holds a row at least, and clearing takes one window at least.")


def _label(row: dict[str, Any]) -> Label:
    value = row["label"]
    return Label(id=str(row["id"]), label=None if value is None else float(value), at=utc(row["at"]))
