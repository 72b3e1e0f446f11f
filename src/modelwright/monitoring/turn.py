"""The monitor's turn: read what was predicted since the last time, judge the windows that have closed, record the results.

Runs where the workspace is, called by the operator again and again. It keeps nothing that it could not read again: a crash
in the middle is made good by the next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelwright.core.errors import ModelwrightError, NotFound
from modelwright.core.paging import every
from modelwright.core.wire import convert, to_plain
from modelwright.evaluation.records import Task
from modelwright.monitoring.baselines import Baselines
from modelwright.monitoring.ports import Predictions
from modelwright.monitoring.profiling import Profiles
from modelwright.monitoring.records import (
    Alert,
    AlertState,
    Aspect,
    Monitor,
    PerformanceRule,
    Progress,
    WindowResult,
)
from modelwright.monitoring.service import Monitoring
from modelwright.monitoring.windows import Window, closed, floor_to

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets import Datasets
    from modelwright.deployments import Deployments, Rollout

REOPENED = 6  # windows already judged that are judged again when more of their labels have come
UNLABELLED = 30  # windows for which the first label of a stretch is waited for
QUALITY = "quality"  # the guardrail that labels speak to


class MonitorTurn:
    """Judges every monitor's closed windows; a `Reconciler` of the operator."""

    name = "monitoring"

    def __init__(
        self,
        monitoring: Monitoring,
        datasets: Datasets,
        predictions: Predictions,
        deployments: Deployments | None = None,
    ) -> None:
        """With `deployments`, rollouts under way are told which answers of either side proved wrong."""
        self._monitoring = monitoring
        self._predictions = predictions
        self._deployments = deployments
        self._baselines = Baselines(datasets, predictions)
        self._profiles = Profiles(datasets, predictions)
        self._counted: dict[str, tuple[int, datetime]] = {}  # by rollout, what its outcomes were last counted over

    def turn(self, now: datetime) -> Sequence[str]:
        """Judge what has closed by now; says in a sentence each what was recorded, raised or cleared.

        A monitor that cannot be judged (its log or reference cannot be read) is reported and does not keep the others
        from theirs; its windows are judged by a later turn.
        """
        done: list[str] = []
        for monitor in every(self._monitoring.list):
            if monitor.stopped:
                continue
            try:
                done += self._drift(monitor, now)
                if monitor.watch.performance is not None:
                    done += self._performance(monitor, monitor.watch.performance, now)
                    done += self._tell_rollout(monitor, monitor.watch.performance, now)
            except ModelwrightError as error:
                done.append(f"{monitor.ref} could not be judged: {error}")
        return done

    def _drift(self, monitor: Monitor, now: datetime) -> list[str]:
        from modelwright.monitoring.judging import judge_drift, within

        watch = monitor.watch
        before = self._progress(monitor, Aspect.DRIFT)
        until = floor_to(now - watch.grace, watch.window)
        if until <= _looked(before):
            return []
        if watch.profiled:
            return self._drift_by_profile(monitor, before, until)
        rows = self._predictions.read(monitor.deployment.name, before.until, until)
        windows, reached = closed(_times(rows), since=before.until, until=until, every=watch.window, least=watch.min_rows)
        results = []
        if windows:
            reference = self._baselines.of(monitor, before.state)
            results = [judge_drift(window, within(rows, window), reference, watch) for window in windows]
        kept = self._baselines.kept(monitor, before.state, until)
        return self._record(monitor, results, _next(before, reached, until, kept))

    def _drift_by_profile(self, monitor: Monitor, before: Progress, until: datetime) -> list[str]:
        """The same with profiles on both sides: the log is read piece by piece, and each window's profile is kept."""
        watch, results, reached = monitor.watch, list[WindowResult](), before.until
        found = self._profiles.windows(
            monitor.deployment.name, since=before.until, until=until, every=watch.window, least=watch.min_rows
        )
        for window, sketches in found:
            reached = window.end
            if window.rows:
                reference = self._baselines.of(monitor, before.state)
                results.append(self._profiles.judged(window, sketches, reference, watch))
        kept = self._baselines.kept(monitor, before.state, until)
        return self._record(monitor, results, _next(before, reached, until, kept))

    def _performance(self, monitor: Monitor, rule: PerformanceRule, now: datetime) -> list[str]:
        from modelwright.monitoring.judging import judge_performance, within

        watch, deployment = monitor.watch, monitor.deployment
        before = self._progress(monitor, Aspect.PERFORMANCE)
        until = floor_to(now - max(watch.grace, rule.maturity), watch.window)
        if until <= _looked(before):
            return []
        earlier = self._monitoring.results(monitor.ref, aspect=Aspect.PERFORMANCE, last=REOPENED)
        start = min([before.until, *(window.start for window in earlier)])
        rows = self._predictions.read(deployment.name, start, until)
        labels = {each.id: each.label for each in self._monitoring.labels(deployment, since=start, until=now)}
        fresh = _labelled(rows, labels, before.until)
        windows, reached = closed(
            _times(fresh),
            since=before.until,
            until=until,
            every=watch.window,
            least=rule.min_rows,
            patience=UNLABELLED * watch.window,
        )
        again = [_again(window, within(rows, _span(window)), labels, rule) for window in earlier]
        results = [judge_performance(window, within(rows, window), labels, rule) for window in windows]
        results, state = _outcomes(results, rows, labels, rule, before)
        revised = [window for window in again if window is not None]
        return self._record(monitor, [*revised, *results], _next(before, reached, until, state))

    def _tell_rollout(self, monitor: Monitor, rule: PerformanceRule, now: datetime) -> list[str]:
        """Report the outcomes that became known since the last turn to the rollout under way in production, if any.

        What was reported is noted before it is reported: a crash in between loses some outcomes and counts none twice.
        """
        from modelwright.deployments.records import PRODUCTION, Arms
        from modelwright.monitoring.judging import outcomes

        rollout = self._rollout(monitor)
        if rollout is None or rule.task is not Task.BINARY:
            return []
        since = rollout.started_at
        count = self._monitoring.count_labels(monitor.deployment, since=since, until=now)
        looked = (count, now.replace(second=0, microsecond=0))  # what was logged since: once a minute
        if not count or self._counted.get(rollout.id) == looked:
            return []
        labels = {each.id: each.label for each in self._monitoring.labels(monitor.deployment, since=since, until=now)}
        counted = outcomes(self._predictions.read(monitor.deployment.name, since, now), labels, rule)
        before = self._progress(monitor, Aspect.PERFORMANCE)
        told = before.state.get("told", {})
        earlier = told.get("arms", {}) if told.get("rollout") == rollout.id else {}
        total = _arms(counted, rollout)
        fresh = {name: max(0, n - earlier.get(name, 0)) for name, n in total.items()}
        if not any(fresh.values()):
            self._counted[rollout.id] = looked
            return []
        state = {**before.state, "told": {"rollout": rollout.id, "arms": total}}
        self._monitoring.record(monitor.ref, [], progress=[replace(before, state=state)])
        assert self._deployments is not None
        self._deployments.report_outcomes(monitor.deployment.name, PRODUCTION, {QUALITY: Arms(**fresh)})
        self._counted[rollout.id] = looked
        return [
            f"{rollout.ref}: {fresh['candidate']} outcomes of the candidate and {fresh['baseline']} of the baseline told"
        ]

    def _rollout(self, monitor: Monitor) -> Rollout | None:
        from modelwright.deployments.records import PRODUCTION

        if self._deployments is None:
            return None
        try:
            placement = self._deployments.show(monitor.deployment.name).placement(PRODUCTION)
        except NotFound:  # something that is not deployed here can be watched too, if its predictions are logged
            return None
        return placement.active if placement is not None else None

    def _record(self, monitor: Monitor, results: list[WindowResult], progress: Progress) -> list[str]:
        alerts = self._monitoring.record(monitor.ref, results, progress=[progress])
        if not results:
            return []
        said = f"{monitor.ref}: judged {len(results)} window{'s' if len(results) > 1 else ''} of {progress.aspect.value}"
        return [said, *(_said(alert) for alert in alerts)]

    def _progress(self, monitor: Monitor, aspect: Aspect) -> Progress:
        for each in self._monitoring.progress(monitor.ref):
            if each.aspect is aspect:
                return each
        begun = monitor.watch.since or monitor.created_at
        return Progress(aspect=aspect, until=floor_to(begun, monitor.watch.window))


def _times(rows: pa.Table) -> list[datetime]:
    from modelwright.monitoring.ports import AT

    times: list[datetime] = rows.column(AT).to_pylist()
    return times


def _labelled(rows: pa.Table, labels: dict[str, float | None], since: datetime) -> pa.Table:
    """The rows from a time on whose label is known."""
    import pyarrow as pa

    from modelwright.monitoring.ports import AT, ID

    pairs = zip(rows.column(ID).to_pylist(), rows.column(AT).to_pylist(), strict=True)
    known = [labels.get(identity) is not None and at >= since for identity, at in pairs]
    return rows.filter(pa.array(known, pa.bool_()))


def _again(
    window: WindowResult, rows: pa.Table, labels: dict[str, float | None], rule: PerformanceRule
) -> WindowResult | None:
    """A window that was judged before, judged again if more of its labels are known now; else None."""
    from modelwright.monitoring.decision import OUTCOMES
    from modelwright.monitoring.judging import judge_performance

    anew = judge_performance(_span(window), rows, labels, rule)
    if anew.labelled <= window.labelled:
        return None
    notes = [*anew.notes, f"Judged again: {anew.labelled - window.labelled} more labels have come."]
    kept = {OUTCOMES: window.metrics[OUTCOMES]} if OUTCOMES in window.metrics else {}
    findings = sorted({*anew.findings, *({OUTCOMES} & set(window.findings))})
    return replace(anew, notes=notes, metrics=anew.metrics | kept, findings=findings)


def _outcomes(
    results: list[WindowResult],
    rows: pa.Table,
    labels: dict[str, float | None],
    rule: PerformanceRule,
    before: Progress,
) -> tuple[list[WindowResult], dict[str, object]]:
    """Let the watch over single outcomes see the new windows; another model version starts it afresh."""
    from modelwright.monitoring.detectors.edetector import EDetector
    from modelwright.monitoring.judging import joined, main_version, watch_outcomes, with_outcomes, within

    state: dict[str, object] = {k: v for k, v in before.state.items() if k in ("model", "detector", "told")}
    if rule.expected_error is None:
        return results, state
    fresh = EDetector(baseline=rule.expected_error, run_length=rule.run_length)
    seen = []
    for result in results:
        detector = convert(state["detector"], EDetector) if state.get("model") == str(result.model) else fresh
        _, answered, _ = main_version(within(rows, _span(result)))
        truth, scores = joined(answered, labels, rule)
        detector = watch_outcomes(detector, truth.tolist(), scores.tolist(), rule)
        seen.append(with_outcomes(result, detector))
        state |= {"model": str(result.model), "detector": to_plain(detector.restarted() if detector.alarmed else detector)}
    return seen, state


def _arms(counted: dict[str, tuple[int, int]], rollout: Rollout) -> dict[str, int]:
    """Labelled answers and wrong ones of both sides, by the names that a guardrail has for them."""
    baseline, bad = counted.get(str(rollout.baseline), (0, 0))
    candidate, worse = counted.get(str(rollout.candidate.model), (0, 0))
    return {"baseline": baseline, "baseline_bad": bad, "candidate": candidate, "candidate_bad": worse}


def _span(window: WindowResult) -> Window:
    return Window(start=window.start, end=window.end, rows=window.rows)


def _looked(progress: Progress) -> datetime:
    """Up to which boundary the log was read: a stretch with too few rows is not read again before the next one."""
    looked: datetime = convert(progress.state.get("looked", progress.until), datetime)
    return looked


def _next(before: Progress, reached: datetime, looked: datetime, state: dict[str, object] | None = None) -> Progress:
    return Progress(aspect=before.aspect, until=reached, state={**(state or {}), "looked": to_plain(looked)})


def _said(alert: Alert) -> str:
    if alert.state is AlertState.CLEARED:
        return f"{alert.ref} on {alert.deployment} cleared"
    return f"{alert.ref} on {alert.deployment}: {alert.summary}"
