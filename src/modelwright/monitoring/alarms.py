"""What follows when a window is recorded: alerts are raised, extended and cleared; incidents open; evidence is attached.

Functions on an open transaction. The judgement itself is in `decision`, which is pure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from modelwright.core.refs import Ref
from modelwright.features.records import Parity
from modelwright.monitoring import incidents, queries
from modelwright.monitoring.decision import Clear, Extend, Raise, decide
from modelwright.monitoring.records import (
    Alert,
    AlertState,
    Aspect,
    Monitor,
    WindowResult,
)
from modelwright.monitoring.tables import alerts
from modelwright.store import Transaction, Verdict, catalog, evidence

FOUND = {Aspect.DRIFT: "monitoring.drift.found", Aspect.PERFORMANCE: "monitoring.performance.fell"}
OVER = {Aspect.DRIFT: "monitoring.drift.ended", Aspect.PERFORMANCE: "monitoring.performance.recovered"}


def follow_up(tx: Transaction, monitor: Monitor, result: WindowResult) -> Alert | None:
    """Decide after one newly recorded window; returns the alert if one was raised, extended or cleared."""
    watch = monitor.watch
    depth = max(watch.among, watch.clear_after)
    history = queries.windows_of(tx, monitor.ref, result.aspect, until=result.end, last=depth)
    alert = queries.latest_alert(tx, monitor.ref.name, result.aspect)
    move = decide(history, alert, watch, silenced_until=monitor.silenced_until)
    changed = _carry_out(tx, monitor, result, alert, move)
    _attach_evidence(tx, monitor, result, queries.latest_alert(tx, monitor.ref.name, result.aspect))
    return changed


def _carry_out(
    tx: Transaction, monitor: Monitor, result: WindowResult, alert: Alert | None, move: Raise | Extend | Clear | None
) -> Alert | None:
    if isinstance(move, Raise):
        return _raise(tx, monitor, result, move)
    if isinstance(move, Extend) and alert is not None:
        summary = _summary(result.aspect, move.findings, alert.since, move.until)
        longer = replace(alert, findings=move.findings, until=move.until, summary=summary)
        incidents.grown(tx, longer)
        return queries.save_alert(tx, longer)
    if isinstance(move, Clear) and alert is not None:
        cleared = replace(alert, state=AlertState.CLEARED, cleared_at=tx.now)
        tx.record(OVER[alert.cause], monitor.deployment, inputs=[monitor.ref, alert.ref], after={"alert": alert.number})
        return queries.save_alert(tx, cleared)
    return None


def _raise(tx: Transaction, monitor: Monitor, result: WindowResult, move: Raise) -> Alert:
    summary = _summary(result.aspect, move.findings, move.since, move.until)
    alert = Alert(
        number=queries.next_number(tx, alerts),
        monitor=monitor.ref,
        deployment=monitor.deployment,
        cause=result.aspect,
        state=AlertState.FIRING,
        findings=move.findings,
        summary=summary,
        opened_at=tx.now,
        since=move.since,
        until=move.until,
    )
    versions = [result.model] if result.model else []
    tx.record(
        FOUND[result.aspect],
        monitor.deployment,
        inputs=[monitor.ref, *versions],
        outputs=[alert.ref],
        after={"findings": move.findings, "since": move.since, "until": move.until, "alert": alert.number},
        reason=summary,
    )
    incident = incidents.opened_by(tx, monitor, alert)
    return queries.save_alert(tx, replace(alert, incident=incident.ref))


def _attach_evidence(tx: Transaction, monitor: Monitor, result: WindowResult, alert: Alert | None) -> None:
    """Evidence about the model version, only where it says something new: the ledger is no place for every window."""
    version = catalog.find(tx, result.model) if result.model else None
    if version is None:
        return
    alarmed = alert is not None and alert.open
    verdict = Verdict.FAIL if alarmed else result.verdict
    said = evidence.about(tx, version.ref, result.aspect.value)
    if said and said[0].verdict is verdict:
        return
    reference = [monitor.watch.reference] if monitor.watch.reference else []
    figures: dict[str, Any] = {
        name: {"value": e.value, "low": e.low, "high": e.high, "n": e.n} for name, e in result.metrics.items()
    }
    figures |= {c.column: {"effect": c.effect, "p_value": c.p_value, "detector": c.detector} for c in result.columns}
    evidence.attach(
        tx,
        result.aspect.value,
        version.ref,
        subject_digest=version.digest,
        verdict=verdict,
        figures=figures,
        summary=alert.summary if alarmed and alert else _summary(result.aspect, result.findings, result.start, result.end),
        inputs=[monitor.ref, *reference],
        producer=f"monitoring for {monitor.ref}",
    )


def _summary(aspect: Aspect, findings: list[str], since: datetime, until: datetime) -> str:
    when = f"{since:%Y-%m-%d} to {until:%Y-%m-%d}"
    if not findings:
        return f"No {'drift' if aspect is Aspect.DRIFT else 'loss of performance'} found, {when}."
    shown = ", ".join(findings[:5]) + (f" and {len(findings) - 5} more" if len(findings) > 5 else "")
    return f"{'Drift in' if aspect is Aspect.DRIFT else 'Worse than accepted:'} {shown}, {when}."


def judge_skew(tx: Transaction, parity: Parity) -> Alert | None:
    """What follows from the last comparison of a view: nothing where it was judged already."""
    alert = queries.latest_alert(tx, parity.view.name, Aspect.SKEW)
    running = alert if alert is not None and alert.open else None
    if parity.failing and running is None:
        fresh = Alert(
            number=queries.next_number(tx, alerts),
            monitor=parity.view,
            deployment=parity.view.whole,
            cause=Aspect.SKEW,
            state=AlertState.FIRING,
            findings=parity.features,
            summary=_told(parity),
            opened_at=tx.now,
            since=parity.at,
            until=parity.at,
        )
        tx.note(
            resource=parity.view, inputs=[parity.view], outputs=[fresh.ref], after={"alert": fresh.number, "skew": True}
        )
        return queries.save_alert(tx, fresh)
    if running is None or running.until >= parity.at:
        tx.unchanged()
        return None
    tx.note(resource=parity.view, inputs=[parity.view], after={"alert": running.number, "skew": parity.failing})
    if parity.failing:
        told = replace(running, findings=parity.features, until=parity.at, summary=_told(parity))
        return queries.save_alert(tx, told)
    return queries.save_alert(tx, replace(running, state=AlertState.CLEARED, cleared_at=tx.now))


def _told(parity: Parity) -> str:
    what = "differ from" if parity.compared else "could not be held against"
    return f"Features online {what} offline: {parity.summary}"


def acknowledge(tx: Transaction, ref: Ref) -> Alert:
    """Somebody has seen it; twice is the same as once, and a cleared alert stays cleared."""
    alert = queries.alert(tx, ref)
    if alert.state is not AlertState.FIRING:
        tx.unchanged()
        return alert
    tx.note(resource=alert.ref, inputs=[alert.deployment], after={"state": AlertState.ACKNOWLEDGED.value})
    seen = replace(alert, state=AlertState.ACKNOWLEDGED, acknowledged_by=tx.principal.id)
    return queries.save_alert(tx, seen)
