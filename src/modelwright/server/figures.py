"""What the record and the operator tell Prometheus, beside what the data plane counts while serving."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from typing import TypeVar

from modelwright import __version__
from modelwright.core.clock import SystemClock
from modelwright.core.paging import Filter, every
from modelwright.operator import Turn
from modelwright.serving.metrics import Counter, Gauge, Series
from modelwright.workspace import Workspace

T = TypeVar("T")


class OperatorFigures:
    """How the operator of this process fares."""

    def __init__(self, reconcilers: Iterable[str]) -> None:
        self._leader = Gauge("modelwright_operator_leader", "1 where this process acts, 0 where another does.")
        self._turned = Gauge("modelwright_operator_turn_timestamp_seconds", "When its last turn ended.")
        self._turns = Counter("modelwright_operator_turns_total", "Turns in which it acted.")
        self._failures = Counter("modelwright_operator_failures_total", "Turns that failed.", ("reconciler",))
        for name in reconcilers:
            self._failures.add(0, reconciler=name)

    def turned(self, turn: Turn) -> None:
        """Count a turn. Its time is the machine's: the workspace's clock may be simulated and stand still."""
        self._leader.set(int(turn.led))
        self._turned.set(SystemClock().now().timestamp())
        self._turns.add(int(turn.led))
        for name in turn.failed:
            self._failures.add(1, reconciler=name)

    def series(self) -> list[Series]:
        """All of them."""
        return [self._leader, self._turned, self._turns, self._failures]


def record_figures(workspace: Workspace) -> list[Series]:
    """What the record says at this moment: the ledger's size, and what is unfinished."""
    build = Gauge("modelwright_build_info", "The program's version.", ("version",))
    build.set(1, version=__version__)
    head = workspace.record.head()
    events = Gauge("modelwright_ledger_events", "Events on the record.")
    events.set(head.size)
    sealed = Gauge("modelwright_ledger_sealed_events", "Events under a signed checkpoint.")
    sealed.set(head.sealed.size if head.sealed else 0)
    stalled = Gauge("modelwright_executions_stalled", "Executions that no worker is at.")
    stalled.set(len(workspace.pipelines.list_stalled()))
    alerts, incidents = workspace.monitoring.alerts, workspace.monitoring.incidents
    running = (each.pipeline.name for each in every(workspace.pipelines.list_executions, Filter(state="running")))
    return [
        build,
        events,
        sealed,
        _counted(
            Gauge("modelwright_alerts", "Alerts that are not cleared.", ("deployment", "state")),
            ((each.deployment.name, each.state) for each in every(alerts, Filter(state="unfinished"))),
        ),
        _counted(
            Gauge("modelwright_incidents", "Incidents that are not resolved.", ("deployment", "severity")),
            ((each.deployment.name, each.severity) for each in every(incidents, Filter(state="unfinished"))),
        ),
        _counted(
            Gauge("modelwright_executions_running", "Executions under way.", ("pipeline",)), ((name,) for name in running)
        ),
        stalled,
    ]


def _counted(gauge: Gauge, labelled: Iterable[tuple[object, ...]]) -> Gauge:
    for values, count in Tally(labelled).items():
        gauge.set(count, **dict(zip(gauge.labels, values, strict=True)))
    return gauge
