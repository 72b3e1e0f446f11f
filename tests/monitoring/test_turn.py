"""The monitor's turn over a log of predictions, in event time."""

from copy import copy
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelwright.core.refs import Ref
from modelwright.datasets import Datasets
from modelwright.datasets.pruning import objects_of
from modelwright.datasets.segments import TableSketch
from modelwright.monitoring import AlertState, Aspect, Label, PerformanceRule, Period, Watch, WatchedColumn
from modelwright.monitoring.ports import AT, ID, MODEL, VARIANT
from modelwright.monitoring.profiling import Profiles
from modelwright.monitoring.turn import MonitorTurn
from modelwright.store.storage import Storage
from tests.monitoring.conftest import Tables

START, DAY, HOUR = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
DEPLOYMENT = Ref.parse("deployment:delay")
REFERENCE = Ref.parse("dataset:reference@1")
COLUMNS = [f"x{i}" for i in range(8)]


def rows(day, n=250, shift=0.0, version=1, seed=None, skill=2.0):
    """A day of predictions whose inputs have moved by `shift`, and whose scores know the truth as well as `skill` says."""
    random = np.random.default_rng(day + 1000 if seed is None else seed)
    inputs = {name: random.normal(shift, 1, n) for name in COLUMNS}
    truth = random.random(n) < 0.4
    score = 1 / (1 + np.exp(-(skill * (truth - 0.4) + random.normal(0, 1, n))))
    table = pa.table(
        {
            ID: [f"d{day}-{i}" for i in range(n)],
            AT: pa.array([START + day * DAY + i * DAY / n for i in range(n)], pa.timestamp("us", "UTC")),
            MODEL: [f"model:delay@{version}"] * n,
            VARIANT: ["stable"] * n,
            **inputs,
            "kind": random.choice(["a", "b"], n),
            "score": score,
        }
    )
    late = START + (day + 1) * DAY
    labels = [Label(id=f"d{day}-{i}", label=float(truth[i]), at=late) for i in range(n)]
    return table, labels


@pytest.fixture
def reference(tables):
    tables.tables[str(REFERENCE)] = rows(0, 2000, seed=7)[0].drop([ID, AT, MODEL, VARIANT])


def test_windows_are_judged_once_when_they_have_closed(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE)).ref
    logged.log("delay", rows(0)[0])
    assert turn(START + 12 * HOUR) == []
    assert turn(START + DAY) == []  # the grace of an hour has not passed
    assert turn(START + DAY + HOUR) == [f"{ref}: judged 1 window of drift"]
    assert turn(START + DAY + 2 * HOUR) == []
    (window,) = home.monitoring.results(ref)
    assert (window.rows, window.findings, window.model) == (250, [], Ref.parse("model:delay@1"))
    assert {c.column for c in window.columns} == {*COLUMNS, "kind", "score"}


def test_a_monitor_on_any_page_of_the_list_is_judged(home, logged, tables, reference):
    for name in ("delay", "fraud", "churn"):
        home.monitoring.watch(Ref.parse(f"deployment:{name}"), Watch(reference=REFERENCE))
        logged.log(name, rows(0)[0])

    class Short:
        """A caller that gives lists a monitor at a time."""

        blobs, principal = home.caller.blobs, home.caller.principal

        def call(self, room, operation, arguments):
            if operation.name == "list":
                arguments = {"where": replace(arguments["where"], limit=1)}
            return home.caller.call(room, operation, arguments)

    monitoring = copy(home.monitoring)
    monitoring.caller = Short()
    assert len(MonitorTurn(monitoring, tables, logged).turn(START + DAY + HOUR)) == 3


def test_the_log_is_not_read_again_before_the_next_boundary(home, logged, turn, reference):
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE))
    logged.log("delay", rows(0, 20)[0])
    turn(START + DAY + HOUR)
    reads = logged.reads
    for minutes in range(5):
        turn(START + DAY + HOUR + timedelta(minutes=minutes + 1))
    assert logged.reads == reads


def test_thin_days_are_judged_together(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE)).ref
    for day in range(4):
        logged.log("delay", rows(day, 70)[0])
        turn(START + (day + 1) * DAY + HOUR)
    assert [(w.start, w.end, w.rows) for w in home.monitoring.results(ref)] == [(START, START + 3 * DAY, 210)]


def test_a_seasonal_break_raises_one_alert_for_all_its_columns(home, logged, turn, reference):
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE))
    for day in range(10):
        logged.log("delay", rows(day, shift=0.0 if day < 6 else 0.9)[0])
        turn(START + (day + 1) * DAY + HOUR)
    (alert,) = home.monitoring.alerts().items
    assert alert.findings == COLUMNS
    assert alert.since == START + 6 * DAY
    assert len(home.monitoring.incidents().items) == 1
    assert home.events("monitoring.drift.found") == ["monitoring.drift.found"]


def test_catching_up_decides_as_day_by_day(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE)).ref
    for day in range(12):
        logged.log("delay", rows(day, shift=0.9 if 4 <= day < 7 else 0.0)[0])
    turn(START + 12 * DAY + HOUR)
    (alert,) = home.monitoring.alerts().items
    assert (alert.since, alert.until, alert.state) == (START + 4 * DAY, START + 7 * DAY, AlertState.CLEARED)
    assert len(home.monitoring.results(ref)) == 12


def test_without_drift_there_is_no_alert_in_a_month_of_thirty_columns(home, logged, turn, tables):
    random = np.random.default_rng(11)

    def sample(n):
        common = random.normal(size=n)
        return {f"c{i}": 0.5 * common + random.normal(size=n) for i in range(30)}

    tables.tables[str(REFERENCE)] = pa.table(sample(3000))
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE))
    for day in range(30):
        own = rows(day, 220)[0].select([ID, AT, MODEL, VARIANT])
        logged.log("delay", pa.table({**{n: own.column(n) for n in own.column_names}, **sample(220)}))
    turn(START + 30 * DAY + HOUR)
    assert home.monitoring.alerts().items == []


def test_a_period_of_predictions_can_be_the_reference(home, logged, turn):
    watch = Watch(period=Period(since=START, until=START + 4 * DAY), since=START + 4 * DAY)
    home.monitoring.watch(DEPLOYMENT, watch)
    for day in range(8):
        logged.log("delay", rows(day, shift=0.0 if day < 6 else 0.9)[0])
    turn(START + 8 * DAY + HOUR)
    (alert,) = home.monitoring.alerts().items
    assert alert.since == START + 6 * DAY


def test_columns_that_are_not_there_are_said_and_the_others_judged(home, logged, turn, reference):
    columns = [WatchedColumn(name="x0", detector="wasserstein"), WatchedColumn(name="gone"), WatchedColumn(name="kind")]
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, columns=columns)).ref
    logged.log("delay", rows(0)[0])
    turn(START + DAY + HOUR)
    (window,) = home.monitoring.results(ref)
    assert [c.detector for c in window.columns] == ["wasserstein", "psi"]
    assert window.notes == ["gone is not in the predictions."]


def test_only_the_version_that_answered_most_is_judged(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, min_rows=100)).ref
    logged.log("delay", rows(0, 200)[0])
    other = rows(0, 60, version=2, shift=5.0, seed=5)[0]
    logged.log("delay", other.set_column(0, ID, pa.array([f"other-{i}" for i in range(60)])))
    turn(START + DAY + HOUR)
    (window,) = home.monitoring.results(ref)
    assert (window.model, window.rows, window.findings) == (Ref.parse("model:delay@1"), 200, [])
    assert window.notes == ["60 rows that other versions answered are left out."]


def test_a_monitor_that_cannot_be_judged_does_not_stop_the_others(home, logged, turn, reference):
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE))
    broken = Watch(reference=REFERENCE, performance=PerformanceRule(output="nothing", maturity=HOUR))
    home.monitoring.watch(Ref.parse("deployment:other"), broken)
    for name in ("delay", "other"):
        logged.log(name, rows(0)[0])
    home.monitoring.label(Ref.parse("deployment:other"), rows(0)[1])
    said = turn(START + DAY + HOUR)
    assert any("no output 'nothing'" in sentence for sentence in said)
    assert any("monitor:delay@1: judged" in sentence for sentence in said)


def test_a_stopped_monitor_does_nothing_until_it_is_defined_anew(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE)).ref
    home.monitoring.silence(ref, stop=True)
    logged.log("delay", rows(0)[0])
    assert turn(START + DAY + HOUR) == []
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE))
    assert len(turn(START + DAY + 2 * HOUR)) == 1


# Performance, with labels that come late

RULE = PerformanceRule(output="score", metrics=["roc_auc"], floors={"roc_auc": 0.7}, maturity=2 * DAY, min_rows=100)


def performance(home, ref):
    return home.monitoring.results(ref, aspect=Aspect.PERFORMANCE)


def test_performance_is_judged_when_labels_have_matured(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, performance=RULE)).ref
    table, labels = rows(0)
    logged.log("delay", table)
    home.monitoring.label(DEPLOYMENT, labels[:200])
    turn(START + 2 * DAY)
    assert performance(home, ref) == []
    turn(START + 3 * DAY)
    (window,) = performance(home, ref)
    assert (window.rows, window.labelled, window.coverage) == (250, 200, 0.8)
    auc = window.metrics["roc_auc"]
    assert auc.low < auc.value < auc.high
    assert window.findings == []


def test_labels_that_come_after_the_verdict_change_it(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, performance=RULE)).ref
    for day in range(2):
        table, labels = rows(day)
        logged.log("delay", table)
        home.monitoring.label(DEPLOYMENT, labels[: 150 if day == 0 else 250])
    turn(START + 3 * DAY)
    assert [w.labelled for w in performance(home, ref)] == [150]
    home.monitoring.label(DEPLOYMENT, rows(0)[1])
    turn(START + 4 * DAY)
    first, second = performance(home, ref)
    assert (first.labelled, second.labelled) == (250, 250)
    assert first.notes == ["Judged again: 100 more labels have come."]


def test_windows_without_labels_are_waited_for(home, logged, turn, reference):
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, performance=RULE)).ref
    for day in range(3):
        logged.log("delay", rows(day)[0])
    turn(START + 5 * DAY)
    assert performance(home, ref) == []
    for day in range(3):
        home.monitoring.label(DEPLOYMENT, rows(day)[1])
    turn(START + 6 * DAY)
    assert [w.labelled for w in performance(home, ref)] == [250] * 3


def test_performance_below_the_floor_raises_one_alert(home, logged, turn, reference):
    home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, performance=RULE))
    for day in range(8):
        table, labels = rows(day, skill=2.0 if day < 4 else 0.0)
        logged.log("delay", table)
        home.monitoring.label(DEPLOYMENT, labels)
        turn(START + (day + 3) * DAY)
    found = [a for a in home.monitoring.alerts().items if a.cause is Aspect.PERFORMANCE]
    assert [a.findings for a in found] == [["roc_auc"]]
    assert found[0].since == START + 4 * DAY
    assert home.events("monitoring.performance.fell") == ["monitoring.performance.fell"]
    assert home.evidence(Ref.parse("model:delay@1"), "performance") == ["pass", "warn", "fail"]


def test_the_watch_over_outcomes_sounds_within_a_window(home, logged, turn, reference):
    import msgspec

    rule = msgspec.structs.replace(RULE, floors={}, expected_error=0.25, run_length=10_000.0)
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=REFERENCE, performance=rule)).ref
    for day in range(4):
        table, labels = rows(day, skill=3.0 if day < 3 else 0.0)
        logged.log("delay", table)
        home.monitoring.label(DEPLOYMENT, labels)
    turn(START + 6 * DAY)
    assert [w.findings for w in performance(home, ref)] == [[], [], [], ["outcomes"]]
    assert [a.cause for a in home.monitoring.alerts().items if a.cause is Aspect.PERFORMANCE] == [Aspect.PERFORMANCE]


def test_where_the_rows_of_a_reference_are_gone_its_profile_stands_for_them(embedded, logged):
    version = embedded.datasets.add("reference", rows(0, 3000, seed=7)[0].drop([ID, AT, MODEL, VARIANT]))
    profile, blobs = embedded.datasets.profile(version.ref), embedded.datasets.blobs
    sketched = {version.profile, version.manifest, *(segment.sketch for segment in profile.segments)}
    for digest in objects_of(blobs, [version]) - sketched:
        blobs.delete(digest)
    watching = embedded.monitoring.watch(DEPLOYMENT, Watch(reference=version.ref, since=START))
    turn = MonitorTurn(embedded.monitoring, embedded.datasets, logged)
    for day, shift in ((0, 0.0), (1, 0.9)):
        logged.log("delay", rows(day, shift=shift)[0])
        turn.turn(START + (day + 1) * DAY + HOUR)
    calm, moved = embedded.monitoring.results(watching.ref)
    assert calm.findings == [] and set(COLUMNS) <= set(moved.findings)
    assert "its profile stands for them" in calm.notes[0] and "off by at most" in calm.notes[0]


def test_a_period_is_compared_with_when_the_log_has_let_go_of_it(home, logged, turn):
    for day in range(4):
        logged.log("delay", rows(day)[0])
    watch = Watch(period=Period(since=START, until=START + 3 * DAY), since=START + 3 * DAY)
    ref = home.monitoring.watch(DEPLOYMENT, watch).ref
    turn(START + 4 * DAY + HOUR)
    logged.tables["delay"] = rows(4, shift=0.9)[0]
    home.clock.advance(START + 5 * DAY + HOUR)
    MonitorTurn(home.monitoring, Tables(home.caller), logged).turn(home.clock.now())  # remembers nothing
    calm, moved = home.monitoring.results(ref)
    assert (calm.findings, calm.notes) == ([], [])
    assert set(COLUMNS) <= set(moved.findings)
    assert "holds 0 of the 750 predictions" in moved.notes[0]


def test_profile_is_compared_with_profile_and_finds_what_rows_find(home, logged, turn, tmp_path):
    holdout = rows(0, 2000, seed=7)[0].drop([ID, AT, MODEL, VARIANT])
    datasets = Datasets(home.caller)
    version = datasets.add("holdout", holdout).ref
    by = {
        profiled: home.monitoring.watch(
            Ref.parse(f"deployment:d{profiled}"), Watch(reference=version, profiled=profiled, min_rows=300)
        ).ref
        for profiled in (False, True)
    }
    for day in range(9):
        table = rows(day, shift=0.0 if day < 5 else 0.9)[0]
        for profiled in by:
            logged.log(f"d{profiled}", table)
    judge = MonitorTurn(home.monitoring, datasets, logged)
    for day in (4, 9):
        home.clock.advance(START + day * DAY + HOUR)
        judge.turn(home.clock.now())
    plain, profiled = (home.monitoring.results(by[each]) for each in (False, True))
    assert [(w.start, w.end, w.rows, w.model) for w in plain] == [(w.start, w.end, w.rows, w.model) for w in profiled]
    assert len(plain) == 4
    assert [window.findings for window in plain] == [window.findings for window in profiled]
    for one, other in zip(plain, profiled, strict=True):
        for exact, sketched in zip(one.columns, other.columns, strict=True):
            assert (exact.column, exact.detector) == (sketched.column, sketched.detector)
            assert sketched.effect == pytest.approx(exact.effect, abs=0.03)
        assert other.notes[-2] == "Compared profile with profile: a share of the window's is off by at most 0.0%."
        assert other.notes[-1].startswith("As it was asked for: its profile stands for them")
        assert one.profile is None
    assert len(home.monitoring.alerts().items) == 2


def test_profiles_of_windows_are_kept_and_put_together_without_the_log(home, logged, turn, reference):
    datasets = Datasets(home.caller)
    version = datasets.add("holdout", rows(0, 500, seed=7)[0].drop([ID, AT, MODEL, VARIANT])).ref
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=version, profiled=True)).ref
    judge = MonitorTurn(home.monitoring, datasets, logged)
    for day in range(3):
        logged.log("delay", rows(day)[0])
    home.clock.advance(START + 3 * DAY + HOUR)
    judge.turn(home.clock.now())
    everything = pa.concat_tables([rows(day)[0] for day in range(3)])
    logged.tables.clear()
    together, *others = (datasets.kept_sketch(window.profile) for window in home.monitoring.results(ref))
    for each in others:
        together.merge(each)
    assert together.rows == 750
    assert set(together.columns) == {*COLUMNS, "kind", "score"}  # and nothing that names a prediction
    middle = float(np.median(everything["x0"].to_numpy()))
    numbers, weights = together.columns["x0"].quantiles.weighted()
    assert numbers[np.searchsorted(np.cumsum(weights), 375)] == pytest.approx(middle, abs=0.05)
    counted = {value: together.columns["kind"].frequent.counts[value] for value in ("a", "b")}
    assert counted == {value: everything["kind"].to_pylist().count(value) for value in ("a", "b")}
    blobs = home.caller.blobs
    assert {window.profile for window in home.monitoring.results(ref)} <= set(blobs.list())
    assert not {window.profile for window in home.monitoring.results(ref)} & {
        each.digest for each in Storage(home.caller).unreachable(grace=0.0).objects
    }


def test_a_profile_of_a_window_is_of_the_version_that_answered_most_and_quotes_nobody(home, logged, turn, reference):
    datasets = Datasets(home.caller)
    version = datasets.add("holdout", rows(0, 500, seed=7)[0].drop([ID, AT, MODEL, VARIANT])).ref
    ref = home.monitoring.watch(DEPLOYMENT, Watch(reference=version, profiled=True, min_rows=100)).ref
    table = rows(0, 200)[0]
    kinds = ["a"] * 199 + ["somebody@x.org"]
    logged.log("delay", table.set_column(table.column_names.index("kind"), "kind", pa.array(kinds)))
    other = rows(0, 60, version=2, shift=5.0, seed=5)[0]
    logged.log("delay", other.set_column(0, ID, pa.array([f"other-{i}" for i in range(60)])))
    home.clock.advance(START + DAY + HOUR)
    MonitorTurn(home.monitoring, datasets, logged).turn(home.clock.now())
    (window,) = home.monitoring.results(ref)
    assert (window.rows, window.model) == (200, Ref.parse("model:delay@1"))
    assert window.notes[0] == "60 rows that other versions answered are left out."
    kept = datasets.kept_sketch(window.profile)
    assert (kept.rows, kept.columns["kind"].frequent.counts) == (200, {"a": 199})
    assert b"somebody" not in b"".join(home.caller.blobs.read(digest) for digest in home.caller.blobs.list())


def test_a_period_is_compared_by_its_profile_too_and_a_column_of_another_kind_is_told(home, logged, turn, reference):
    watch = Watch(period=Period(since=START, until=START + 2 * DAY), since=START + 2 * DAY, profiled=True)
    ref = home.monitoring.watch(DEPLOYMENT, watch).ref
    for day in range(2):
        logged.log("delay", rows(day)[0])
    logged.log("delay", rows(2)[0])
    turn(START + 3 * DAY + HOUR)
    later = rows(3, shift=0.9)[0]
    place = later.column_names.index("kind")
    logged.tables["delay"] = later.set_column(place, "kind", pa.array(np.arange(250.0)))  # and no row of the period
    turn(START + 4 * DAY + HOUR)
    calm, window = home.monitoring.results(ref)
    assert "kind" in {each.column for each in calm.columns}
    assert set(COLUMNS) <= set(window.findings)
    assert "kind" not in {each.column for each in window.columns}
    assert "kind is numeric here and categorical in the reference." in window.notes


@given(
    gaps=st.lists(st.integers(0, 40), max_size=60),
    begin=st.integers(0, 30),
    least=st.integers(1, 6),
    until=st.integers(1, 12),
)
def test_profiled_windows_are_the_windows_of_rows(gaps, begin, least, until):
    from modelwright.monitoring.windows import closed

    hours = np.cumsum(gaps).tolist()
    times = [START + hour * HOUR for hour in hours]
    table = pa.table(
        {
            AT: pa.array(times, pa.timestamp("us", "UTC")),
            MODEL: ["model:delay@1"] * len(times),
            "x": [float(h) for h in hours],
        }
    )
    since, end = START + begin * HOUR, START + until * DAY
    expected, reached = closed(times, since=since, until=end, every=DAY, least=least)
    found = Profiles(_Sketching(), _Table(table)).windows("d", since=since, until=end, every=DAY, least=least)
    *windows, last = [(window, {k: v.rows for k, v in held.items()}) for window, held in found]
    assert [window for window, _ in windows] == expected
    assert last[0].end == reached
    assert all(held == {"model:delay@1": window.rows} for window, held in windows)


class _Sketching:
    def sketch_rows(self, tables):
        return TableSketch([])


class _Table:
    def __init__(self, table):
        self.table = table

    def read(self, deployment, since, until):
        times = self.table.column(AT)
        bounds = [pa.scalar(each, pa.timestamp("us", "UTC")) for each in (since, until)]
        return self.table.filter(pc.and_(pc.greater_equal(times, bounds[0]), pc.less(times, bounds[1])))
