"""Monitors, labels, alerts and incidents through their operations."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.evaluation.records import Estimate
from modelwright.models import ModelRecord
from modelwright.monitoring import (
    AlertState,
    Aspect,
    ColumnResult,
    CorrectiveAction,
    IncidentState,
    Label,
    Period,
    Progress,
    Watch,
    WatchedColumn,
    WindowResult,
)
from modelwright.serving import Format
from modelwright.store.records import EventFilter
from modelwright.workspace import Workspace

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DEPLOYMENT = Ref.parse("deployment:delay")
WATCH = Watch(reference=Ref.parse("dataset:reference@1"), owner="ada")


class Home:
    """A workspace behind any door, with two versions of a model and of a reference dataset."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.monitoring = workspace.monitoring

    def events(self, prefix: str) -> list[str]:
        """The actions in the ledger that begin so, in order."""
        page = self.workspace.record.events(EventFilter(action=prefix, limit=1000))
        return [event.action for event in reversed(page.items)]

    def evidence(self, ref: Ref, kind: str) -> list[str]:
        """The verdicts of one kind about a version, oldest first."""
        return [each.verdict.value for each in reversed(self.workspace.record.evidence(ref, kind))]


@pytest.fixture(scope="module")
def furnish():
    return two_models_and_references


def two_models_and_references(workspace: Workspace) -> None:
    column = Column(name="x", dtype=DataType.FP64)
    for content in (b"one", b"two"):
        workspace.datasets.add("reference", pa.table({"x": [float(byte) for byte in content]}))
        record = ModelRecord(
            format=Format.SKOPS,
            files={"model.skops": workspace.caller.blobs.put(content)},
            signature=Signature(inputs=[column], outputs=[column]),
            size=len(content),
        )
        workspace.models.register("delay", record=record)


@pytest.fixture
def home(workspace: Workspace) -> Home:
    return Home(workspace)


def drift(day, columns=(), rows=500, version=1):
    found = [
        ColumnResult(column=c, detector="psi", effect=0.4, floor=0.1, p_value=1e-9, significant=True, missing=0.0)
        for c in columns
    ]
    return WindowResult(
        aspect=Aspect.DRIFT,
        start=START + day * DAY,
        end=START + (day + 1) * DAY,
        rows=rows,
        model=Ref.parse(f"model:delay@{version}"),
        columns=found,
        findings=sorted(columns),
    )


def performance(day, value, floor=0.7):
    return WindowResult(
        aspect=Aspect.PERFORMANCE,
        start=START + day * DAY,
        end=START + (day + 1) * DAY,
        rows=500,
        labelled=450,
        model=Ref.parse("model:delay@1"),
        metrics={"roc_auc": Estimate(value=value, low=value - 0.02, high=value + 0.02, n=450)},
        findings=["roc_auc"] if value + 0.02 < floor else [],
    )


def test_a_monitor_is_versioned_and_pins_its_reference(home):
    monitor = home.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:reference")))
    assert str(monitor.ref) == "monitor:delay@1"
    assert str(monitor.watch.reference) == "dataset:reference@2"
    assert home.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:reference"))).ref == monitor.ref
    assert home.events("monitoring") == ["monitoring.monitor.defined"]
    again = home.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:reference@1")))
    assert str(again.ref) == "monitor:delay@2"
    assert [m.ref for m in home.monitoring.list().items] == [again.ref]
    assert home.monitoring.show(monitor.ref).watch == monitor.watch


@pytest.mark.parametrize(
    ("watch", "why"),
    [
        (Watch(), "needs one reference"),
        (Watch(reference=Ref.parse("dataset:reference"), period=Period(since=START, until=START + DAY)), "needs one"),
        (Watch(reference=Ref.parse("dataset:reference"), columns=[WatchedColumn(name="x", detector="pis")]), "'pis'"),
        (Watch(reference=Ref.parse("dataset:reference"), persist=4), "4 of 3"),
        (Watch(reference=Ref.parse("dataset:reference"), window=timedelta(0)), "a minute at least"),
    ],
)
def test_a_watch_that_makes_no_sense_is_refused(home, watch, why):
    with pytest.raises(Invalid, match=why):
        home.monitoring.watch(DEPLOYMENT, watch)


def test_a_reference_that_does_not_exist_is_not_found(home):
    with pytest.raises(NotFound):
        home.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:nowhere")))


def test_labels_are_idempotent_and_the_one_known_later_holds(home):
    first = [Label(id="a", label=1, at=START), Label(id="b", label=0, at=START)]
    receipt = home.monitoring.label(DEPLOYMENT, first)
    assert (receipt.added, receipt.corrected, receipt.repeated) == (2, 0, 0)
    receipt = home.monitoring.label(DEPLOYMENT, first)
    assert (receipt.added, receipt.corrected, receipt.repeated) == (0, 0, 2)
    assert home.events("monitoring") == ["monitoring.labels.received"]
    corrections = [
        Label(id="a", label=0, at=START + DAY),
        Label(id="b", label=1, at=START - DAY),
        Label(id="c", label=1, at=START),
        Label(id="c", label=0, at=START + DAY),
    ]
    receipt = home.monitoring.label(DEPLOYMENT, corrections)
    assert (receipt.added, receipt.corrected, receipt.repeated) == (1, 1, 2)
    known = home.monitoring.labels(DEPLOYMENT, since=START - DAY, until=START + 2 * DAY)
    assert {label.id: label.label for label in known} == {"a": 0, "b": 0, "c": 0}


def test_labels_of_two_deployments_do_not_meet(home):
    home.monitoring.label(DEPLOYMENT, [Label(id="a", label=1, at=START)])
    other = Ref.parse("deployment:other")
    assert home.monitoring.label(other, [Label(id="a", label=0, at=START)]).added == 1
    assert [x.label for x in home.monitoring.labels(other, since=START, until=START)] == [0]


def test_a_table_of_labels_is_sent_in_batches(home):
    table = pa.table({"id": [str(i) for i in range(7001)], "label": [0] * 7001, "at": [START] * 7001})
    receipt = home.monitoring.label_table(DEPLOYMENT, table)
    assert (receipt.received, receipt.added) == (7001, 7001)
    assert home.events("monitoring") == ["monitoring.labels.received"] * 2


def test_a_batch_that_is_too_large_is_refused(home):
    with pytest.raises(Invalid, match="at most 5000"):
        home.monitoring.label(DEPLOYMENT, [Label(id=str(i), label=1, at=START) for i in range(5001)])


def test_a_finding_in_one_window_raises_nothing(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    assert home.monitoring.record(ref, [drift(0), drift(1, ["temp"]), drift(2)]) == []
    assert home.monitoring.alerts().items == []
    assert [w.findings for w in home.monitoring.results(ref)] == [[], ["temp"], []]


def test_drift_in_many_columns_raises_one_alert_and_one_incident(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    columns = [f"f{i}" for i in range(20)]
    raised = home.monitoring.record(ref, [drift(0), drift(1, columns), drift(2, columns)])
    assert len(raised) == 1
    assert raised[0].findings == sorted(columns)
    assert "and 15 more" in raised[0].summary
    assert raised[0].incident == Ref.parse("incident:1")
    file = home.monitoring.incident(Ref.parse("incident:1"))
    assert file.incident.owner == "ada"
    assert file.incident.affected.predictions == 1000
    assert file.incident.affected.versions == [Ref.parse("model:delay@1")]
    assert home.events("monitoring.drift") == ["monitoring.drift.found"]
    assert home.events("monitoring.incident") == ["monitoring.incident.opened"]
    assert home.evidence(Ref.parse("model:delay@1"), "drift") == ["pass", "warn", "fail"]


def test_an_open_alert_grows_and_is_not_raised_again(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.record(ref, [drift(day, ["temp"]) for day in range(3)])
    home.monitoring.record(ref, [drift(day, ["temp", "wind"]) for day in range(3, 6)])
    (alert,) = home.monitoring.alerts().items
    assert alert.findings == ["temp", "wind"]
    assert alert.until == START + 6 * DAY
    assert home.monitoring.incident(alert.incident).incident.affected.predictions == 3000
    assert home.events("monitoring.drift") == ["monitoring.drift.found"]


def test_an_alert_clears_after_clean_windows_and_then_cools_down(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.record(ref, [drift(0, ["temp"]), drift(1, ["temp"]), drift(2), drift(3)])
    assert home.monitoring.alerts().items[0].open
    home.monitoring.record(ref, [drift(4)])
    assert home.monitoring.alerts().items[0].state is AlertState.CLEARED
    home.monitoring.record(ref, [drift(5, ["temp"]), drift(6, ["temp"]), drift(7, ["temp"])])
    assert len(home.monitoring.alerts().items) == 1
    home.monitoring.record(ref, [drift(8, ["temp"]), drift(9, ["temp"])])
    assert [a.number for a in home.monitoring.alerts().items] == [2, 1]
    assert len(home.monitoring.incidents().items) == 1


def test_a_silenced_monitor_records_and_stays_quiet(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.silence(ref, until=START + 4 * DAY, reason="holiday")
    home.monitoring.record(ref, [drift(day, ["temp"]) for day in range(4)])
    assert home.monitoring.alerts().items == []
    assert len(home.monitoring.results(ref)) == 4
    home.monitoring.record(ref, [drift(4, ["temp"])])
    assert len(home.monitoring.alerts().items) == 1


def test_performance_below_its_floor_joins_the_running_incident_and_makes_it_graver(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.record(ref, [drift(0, ["temp"]), drift(1, ["temp"])])
    assert home.monitoring.incidents().items[0].severity == 3
    raised = home.monitoring.record(ref, [performance(0, 0.6), performance(1, 0.61)])
    assert [a.cause for a in raised] == [Aspect.PERFORMANCE]
    (incident,) = home.monitoring.incidents().items
    assert incident.severity == 2
    assert [str(a) for a in incident.alerts] == ["alert:1", "alert:2"]
    assert home.events("monitoring.performance") == ["monitoring.performance.fell"]
    assert home.evidence(Ref.parse("model:delay@1"), "performance") == ["warn", "fail"]


def test_a_window_recorded_again_replaces_the_first(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.record(ref, [performance(0, 0.8)])
    home.monitoring.record(ref, [performance(0, 0.75)])
    (window,) = home.monitoring.results(ref)
    assert window.metrics["roc_auc"].value == 0.75


def test_a_new_version_of_a_monitor_starts_afresh(home):
    first = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    home.monitoring.record(first, [drift(0, ["temp"])])
    second = home.monitoring.watch(DEPLOYMENT, Watch(reference=Ref.parse("dataset:reference@2"))).ref
    assert home.monitoring.record(second, [drift(1, ["temp"])]) == []
    assert len(home.monitoring.results(second.whole)) == 2


def test_progress_is_kept_with_its_state(home):
    later = replace(WATCH, since=datetime(2100, 1, 1, tzinfo=UTC))  # so that a server's operator has nothing to do with it
    ref = home.monitoring.watch(DEPLOYMENT, later).ref
    assert home.monitoring.progress(ref) == []
    mark = Progress(aspect=Aspect.DRIFT, until=START + DAY, state={"seen": 3})
    home.monitoring.record(ref, [drift(0)], progress=[mark])
    assert home.monitoring.progress(ref) == [mark]


def test_acknowledging_twice_is_acknowledging_once(home):
    ref = home.monitoring.watch(DEPLOYMENT, WATCH).ref
    (alert,) = home.monitoring.record(ref, [drift(0, ["temp"]), drift(1, ["temp"])])
    assert home.monitoring.acknowledge(alert.ref).state is AlertState.ACKNOWLEDGED
    home.monitoring.acknowledge(alert.ref)
    assert home.events("monitoring.alert") == ["monitoring.alert.acknowledged"]
    assert home.monitoring.alerts(Filter(state="unfinished")).items[0].state is AlertState.ACKNOWLEDGED


def test_an_incident_from_report_to_resolution_has_its_timeline_from_the_ledger(home):
    incident = home.monitoring.report(DEPLOYMENT, "Scores are all 0.5", severity=1)
    home.monitoring.note(incident.ref, "looking into it", owner="grace", severity=2)
    home.monitoring.contain(incident.ref, reason="rolled back")
    done = home.monitoring.resolve(
        incident.ref,
        root_cause="the scaler was fitted on nothing",
        actions=[CorrectiveAction(what="check the scaler in the pipeline", owner="ada")],
    )
    assert done.state is IncidentState.RESOLVED
    assert done.owner == "grace"
    assert done.contained_at < done.resolved_at
    file = home.monitoring.incident(incident.ref)
    assert [(e.action, e.reason) for e in file.timeline if "opened" not in e.action] == [
        ("monitoring.incident.reported", "Scores are all 0.5"),
        ("monitoring.incident.noted", "looking into it"),
        ("monitoring.incident.contained", "rolled back"),
        ("monitoring.incident.resolved", ""),
    ]


def test_an_illegal_move_changes_nothing(home):
    incident = home.monitoring.report(DEPLOYMENT, "odd")
    with pytest.raises(Invalid, match="root cause"):
        home.monitoring.resolve(incident.ref, root_cause=" ")
    home.monitoring.resolve(incident.ref, root_cause="unknown: gone before it was looked at")
    for act in (
        lambda: home.monitoring.contain(incident.ref),
        lambda: home.monitoring.note(incident.ref, "more"),
        lambda: home.monitoring.resolve(incident.ref, root_cause="again"),
    ):
        with pytest.raises(Conflict, match="resolved"):
            act()
    with pytest.raises(Invalid, match="severity"):
        home.monitoring.report(DEPLOYMENT, "odd", severity=0)


def test_lists_are_paged_newest_first(home):
    for i in range(5):
        home.monitoring.report(DEPLOYMENT, f"number {i}")
    page = home.monitoring.incidents(Filter(limit=2))
    assert [i.number for i in page.items] == [5, 4]
    page = home.monitoring.incidents(Filter(limit=2, after=page.next))
    assert [i.number for i in page.items] == [3, 2]
    assert home.monitoring.incidents(Filter(under="other")).items == []


def test_what_does_not_exist_is_not_found(home):
    for ref in ("incident:9", "alert:9"):
        with pytest.raises(NotFound):
            (home.monitoring.incident if "incident" in ref else home.monitoring.acknowledge)(Ref.parse(ref))
    with pytest.raises(Invalid, match="not an incident"):
        home.monitoring.incident(Ref.parse("incident:odd"))


def test_labels_are_counted_over_the_stretch_that_they_are_read_over(home):
    times = [START - DAY, START, START + DAY, START + 2 * DAY]
    home.monitoring.label(DEPLOYMENT, [Label(id=str(i), label=i % 2, at=at) for i, at in enumerate(times)])
    home.monitoring.label(Ref.parse("deployment:other"), [Label(id="x", label=1, at=START)])
    for since, until in ((START, START + DAY), (START + DAY, START), (START - DAY, START + 3 * DAY)):
        known = home.monitoring.labels(DEPLOYMENT, since=since, until=until)
        assert home.monitoring.count_labels(DEPLOYMENT, since=since, until=until) == len(known)
