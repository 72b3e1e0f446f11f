"""The nouns of monitoring: monitors, window results, alerts, incidents, labels. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.refs import Kind, Ref
from modelwright.evaluation.records import Estimate, Task
from modelwright.store.records import Event, Verdict


class Aspect(StrEnum):
    """What a window is judged on: its inputs and outputs, or, once labels are in, how right the model was.

    Skew is no window's: features read online that are not those of a training set.
    """

    DRIFT = "drift"
    PERFORMANCE = "performance"
    SKEW = "skew"


class Period(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of event time, its end not included."""

    since: datetime
    until: datetime


class WatchedColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output column, and how its change is measured."""

    name: str
    detector: str = "psi"  # psi, kolmogorov-smirnov, chi-square, wasserstein, jensen-shannon, missing
    floor: float | None = None  # the smallest effect that counts; None: the detector's own


class PerformanceRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model's answers are compared with the labels that arrive later."""

    output: str  # the output column that is compared with the label
    task: Task = Task.BINARY
    metrics: list[str] = []  # empty: the task's primary metric and those with a floor
    floors: dict[str, float] = {}  # by metric: the worst value that is accepted; for a loss it is the highest
    threshold: float = 0.5  # a score at or above it is a yes
    maturity: timedelta = timedelta(days=1)  # a window is judged this long after its end
    min_rows: int = 200  # labelled rows that a window must hold
    expected_error: float | None = None  # share of wrong answers held acceptable; given, every outcome is watched in order
    run_length: float = 100_000.0  # outcomes between two false alarms of that watch, on average


class Watch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a monitor does. The reference is a dataset version or a stable period of the deployment's own predictions."""

    reference: Ref | None = None
    period: Period | None = None
    columns: list[WatchedColumn] = []  # empty: every column that the reference and the predictions share
    window: timedelta = timedelta(days=1)
    since: datetime | None = None  # the first event time judged; None: when the monitor was defined
    grace: timedelta = timedelta(hours=1)  # how late a prediction may reach the log
    min_rows: int = 200  # a shorter window is merged with the next
    false_discovery_rate: float = 0.05  # over the columns of a window
    persist: int = 2  # windows in which a finding must stand ...
    among: int = 3  # ... among so many latest ones
    clear_after: int = 3  # windows without a finding until an alert clears by itself
    cool_down: timedelta = timedelta(days=7)  # after an alert ended, until the same cause may raise another
    profiled: bool = False  # windows and reference are compared by their profiles, and those of the windows are kept
    performance: PerformanceRule | None = None
    owner: str = ""  # who is to act


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a monitor: a standing instruction to watch a deployment."""

    ref: Ref
    deployment: Ref
    watch: Watch
    created_at: datetime
    created_by: str
    stopped: bool = False
    silenced_until: datetime | None = None


class ColumnResult(msgspec.Struct, frozen=True, kw_only=True):
    """One column in one window."""

    column: str
    detector: str
    effect: float  # in the detector's unit, corrected for noise
    floor: float
    p_value: float
    significant: bool  # with the false discovery rate held over the columns of the window
    missing: float  # share of rows without a value

    @property
    def drifted(self) -> bool:
        """More than chance and large enough to matter."""
        return self.significant and self.effect >= self.floor


class WindowResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one window. Recording the same window again replaces it: labels may come late."""

    aspect: Aspect
    start: datetime
    end: datetime
    rows: int
    model: Ref | None = None  # the version that served most of the rows, the only ones judged
    columns: list[ColumnResult] = []
    metrics: dict[str, Estimate] = {}
    labelled: int = 0
    findings: list[str] = []  # columns that drifted, or metrics beyond their floor
    notes: list[str] = []  # what a reader should know about these figures
    profile: str | None = None  # digest of the window's profile, where it was compared by that: `datasets.kept_sketch`

    @property
    def coverage(self) -> float:
        """The share of rows whose label is known."""
        return self.labelled / self.rows if self.rows else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether anything was found in this window alone; an alert needs more."""
        return Verdict.WARN if self.findings else Verdict.PASS


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one aspect of a monitor is dealt with, and the state of the watch over single outcomes."""

    aspect: Aspect
    until: datetime
    state: dict[str, Any] = {}


class AlertState(StrEnum):
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One cause of concern, however many columns or metrics show it."""

    number: int
    monitor: Ref
    deployment: Ref
    cause: Aspect
    state: AlertState
    findings: list[str]
    summary: str
    opened_at: datetime
    since: datetime  # the start of the first window that counted
    until: datetime  # the end of the last
    incident: Ref | None = None
    acknowledged_by: str = ""
    cleared_at: datetime | None = None

    @property
    def ref(self) -> Ref:
        return Ref(Kind.ALERT, str(self.number))

    @property
    def open(self) -> bool:
        return self.state is not AlertState.CLEARED


class IncidentType(StrEnum):
    PERFORMANCE = "performance"
    DATA = "data"
    BIAS = "bias"
    PRIVACY = "privacy"
    SECURITY = "security"
    OUTAGE = "outage"
    MISUSE = "misuse"


class IncidentState(StrEnum):
    OPEN = "open"
    CONTAINED = "contained"  # no further harm: rolled back, stopped, or worked around
    RESOLVED = "resolved"


INCIDENT_MOVES: dict[IncidentState, frozenset[IncidentState]] = {
    IncidentState.OPEN: frozenset({IncidentState.CONTAINED, IncidentState.RESOLVED}),
    IncidentState.CONTAINED: frozenset({IncidentState.OPEN, IncidentState.RESOLVED}),
    IncidentState.RESOLVED: frozenset(),
}


class CorrectiveAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What will be done so that it does not happen again."""

    what: str
    owner: str
    due: datetime | None = None


class Affected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which predictions an incident touches. A count of None has not been established."""

    since: datetime | None = None
    until: datetime | None = None
    predictions: int | None = None
    versions: list[Ref] = []


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something went wrong with a deployment, and what is done about it."""

    number: int
    title: str
    deployment: Ref
    severity: int  # 1 is the gravest, 4 the slightest
    type: IncidentType
    state: IncidentState
    detected_at: datetime
    detected_by: str
    started_at: datetime
    owner: str = ""
    contained_at: datetime | None = None
    resolved_at: datetime | None = None
    alerts: list[Ref] = []
    affected: Affected = Affected()
    root_cause: str = ""
    lessons: str = ""
    actions: list[CorrectiveAction] = []

    @property
    def ref(self) -> Ref:
        return Ref(Kind.INCIDENT, str(self.number))


class IncidentFile(msgspec.Struct, frozen=True, kw_only=True):
    """An incident with its timeline: every event about it and its deployment from its start to its end, in order."""

    incident: Incident
    timeline: list[Event]


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The truth about one prediction. `at` is when it became known, not when the prediction was made."""

    id: str  # of the request, with `/row` behind it where a request held several rows
    label: float | None  # None: it will never be known
    at: datetime


class LabelReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch of labels."""

    received: int
    added: int
    corrected: int  # another label for the same prediction, known later: it replaces the earlier one
    repeated: int  # the same label again, or one known earlier than the one held: nothing changed
