"""What is older than allowed goes, in two steps, with a proof; what is held stays, whoever asks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.core.errors import Conflict, Denied, Gone, Invalid, NotFound, Refused
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Artifact
from modelwright.features import FeatureView, last
from modelwright.governance.retention import Covers, Deletion, RetentionSettings, RetentionTurn, Scope
from modelwright.governance.retention.records import duration
from modelwright.models import ModelVersion
from modelwright.serving.predictions import LogSettings, PredictionLog
from modelwright.store import acting_as
from modelwright.traces import Span, SpanBatch
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.governance.conftest import POLICY, START

PEOPLE = Ref(Kind.DATASET, "crm/people")
OFFICER, STEWARD = Principal(id="olga", trusted=True), Principal(id="sam", trusted=True)


@pytest.fixture
def replayed(prepared: Path) -> Iterator[Workspace]:
    """A workspace on the simulated clock, whose objects may go as soon as nothing refers to them."""
    settings = Settings(
        workspace=WorkspaceSettings(clock="simulated", starts="2013-01-01T00:00:00Z"),
        retention={"grace": 0.0},
        features={"log_share": 1.0},
    )
    with open_workspace(prepared, settings=settings) as here:
        here.policy.adopt(POLICY)
        yield here


def people(here: Workspace, *emails: str) -> Ref:
    table = pa.table({"id": list(range(len(emails))), "email": list(emails)})
    return here.datasets.add("crm/people", table, key="id").ref


def declare(here: Workspace, *covers: str, keep: str = "30d", **fields: Any) -> None:
    with acting_as(OFFICER):
        here.retention.declare("short", keep, covers or ("datasets:crm",), reason="article 5(1)(e)", **fields)


def pass_days(here: Workspace, days: float) -> None:
    here.workspace.advance(here.workspace.status().now + timedelta(days=days))


def stored(here: Workspace) -> set[str]:
    return set(here.caller.blobs.list())  # type: ignore[attr-defined]


@pytest.fixture
def two(replayed: Workspace) -> tuple[Ref, Ref]:
    """Two versions: the first is 40 days old, the second is of today."""
    first = people(replayed, "canary.bird@nest.example", "ada@example.org")
    pass_days(replayed, 40)
    return first, people(replayed, "bob@example.org")


def test_what_is_due_is_planned_and_nothing_goes(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    declare(replayed)
    before = stored(replayed)
    plan = replayed.retention.plan()
    assert [(due.ref, due.count, due.unit, due.covers) for due in plan.goes] == [(two[0], 2, "rows", Covers.DATASETS)]
    assert plan.goes[0].due.date().isoformat() == "2013-01-31"
    assert plan.goes[0].affects == []
    assert stored(replayed) == before
    assert replayed.datasets.read(two[0]).num_rows == 2


def test_a_version_goes_and_leaves_a_tombstone_and_a_proof(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    declare(replayed)
    before = stored(replayed)
    (done,) = replayed.retention.carry_out()
    assert done.finished_at is not None and done.gone > 0 and done.size > 0 and not done.left
    assert len(before - stored(replayed)) == done.gone
    version = replayed.datasets.show(two[0])
    assert version.tombstone is not None and version.tombstone.deletion == done.id
    assert (version.rows, version.names, version.parts, version.manifest) == (2, ["id", "email"], [], None)
    for way in (
        lambda: replayed.datasets.read(two[0]),
        lambda: replayed.datasets.head(two[0]),
        lambda: replayed.datasets.profile(two[0]),
        lambda: replayed.datasets.diff(two[0], two[1]),
    ):
        with pytest.raises(Gone, match="retention class short"):
            way()
    assert replayed.datasets.read(two[1]).num_rows == 1
    (event,) = [e for e in replayed.record.history(two[0]).items if e.action == "retention.deletion.proved"]
    assert event.seq == done.proof_seq and len(event.after["gone"]) == done.gone
    assert "backups" in event.after["unreached"][0]
    (check,) = replayed.retention.verify()
    assert check.holds, check.findings
    assert not replayed.record.verify().findings
    assert replayed.retention.carry_out() == []  # once is enough


def test_files_that_checkouts_share_go_with_a_version(replayed: Workspace, tmp_path: Path) -> None:
    folder, secret = tmp_path / "letters", b"canary.bird@nest.example " * 100
    folder.mkdir()
    (folder / "a.txt").write_bytes(secret)
    first = replayed.datasets.add_files("crm/letters", folder).ref
    replayed.datasets.checkout(first, tmp_path / "out", link=True)
    assert replayed.home is not None
    cache = replayed.home.folder / "cache"

    def shared() -> list[bytes]:
        return [path.read_bytes() for path in cache.rglob("*") if path.is_file() and path.read_bytes() == secret]

    assert shared() == [secret]
    pass_days(replayed, 40)
    (folder / "a.txt").write_bytes(b"nobody")
    replayed.datasets.add_files("crm/letters", folder)
    declare(replayed)
    (done,) = replayed.retention.carry_out()
    assert done.ref == first and shared() == []
    assert replayed.retention.verify()[0].holds
    replayed.datasets.checkout("dataset:crm/letters@2", tmp_path / "next", link=True)
    assert (tmp_path / "next" / "a.txt").read_bytes() == b"nobody"


def test_what_comes_back_breaks_the_proof(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    kept = {digest: replayed.caller.blobs.read(digest) for digest in stored(replayed)}
    declare(replayed)
    (done,) = replayed.retention.carry_out()
    for content in kept.values():
        replayed.caller.blobs.put(content)  # somebody restores a backup
    (check,) = replayed.retention.verify(deletion=done.id)
    assert not check.holds and "there again" in check.findings[0]


def test_what_another_version_shares_stays_for_its_sake(replayed: Workspace) -> None:
    rows = [f"someone{i}@example.org" for i in range(50)]
    first = people(replayed, *rows)
    pass_days(replayed, 40)
    replayed.datasets.add("copy", replayed.datasets.read(first), key="id")
    people(replayed, "bob@example.org")
    declare(replayed)
    (done,) = replayed.retention.carry_out()
    assert set(done.left.values()) == {"dataset:copy@1"}
    assert replayed.datasets.read("dataset:copy").num_rows == 50
    assert replayed.retention.verify()[0].holds


def test_a_legal_hold_beats_every_rule_and_every_person(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    declare(replayed)
    hold = replayed.retention.hold("case-7", "datasets:crm", reason="litigation in Utrecht")
    assert hold.scope == "datasets:crm"
    plan = replayed.retention.plan()
    assert not plan.goes and plan.held[0].holds == ["the legal hold case-7: litigation in Utrecht"]
    assert replayed.retention.carry_out() == []
    for way in (
        lambda: replayed.retention.begin("short", Covers.DATASETS, two[0]),
        lambda: replayed.datasets.delete(two[0], reason="x"),
        lambda: replayed.record.delete(two[0], reason="x"),
    ):
        with pytest.raises(Refused, match="case-7"):
            way()
    assert replayed.datasets.read(two[0]).num_rows == 2
    with pytest.raises(Conflict):
        replayed.retention.hold("case-7", "*", reason="again")
    replayed.retention.lift("case-7", reason="settled")
    assert [each.ref for each in replayed.retention.carry_out()] == [two[0]]
    (lifted,) = replayed.retention.holds(lifted=True)
    assert lifted.lifted_because == "settled" and replayed.retention.holds() == []


def test_a_hold_may_stand_on_one_version_alone(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    pass_days(replayed, 40)
    people(replayed, "cyd@example.org")
    declare(replayed)
    replayed.retention.hold("one", f"datasets:{two[1].name}@2", reason="evidence")
    assert [each.ref for each in replayed.retention.carry_out()] == [two[0]]


def test_the_newest_version_and_what_an_alias_points_at_stay(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    replayed.datasets.alias(two[0], "gold")
    pass_days(replayed, 40)
    declare(replayed)
    plan = replayed.retention.plan()
    assert not plan.goes
    assert ["@gold" in due.holds[0] or "newest" in due.holds[0] for due in plan.held] == [True, True]
    replayed.datasets.drop_alias(two[0].whole, "gold")
    declare(replayed, newest=True)
    assert {each.ref for each in replayed.retention.carry_out()} == {*two}
    made = people(replayed, "dee@example.org")  # and it goes on after a tombstone
    assert (made.version, replayed.datasets.read(made).num_rows) == (3, 1)


def test_a_class_can_be_about_people_alone(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    replayed.datasets.add("crm/prices", pa.table({"article": [1], "price": [2.5]}))
    pass_days(replayed, 40)
    replayed.datasets.add("crm/prices", pa.table({"article": [1], "price": [3.5]}))
    declare(replayed, about=["pii"])
    assert {due.ref.name for due in replayed.retention.plan().goes} == {"crm/people"}


def test_what_a_live_model_came_of_stays_until_somebody_else_accepts_that(
    replayed: Workspace, dataset: Ref, register: Callable[..., ModelVersion], ship: Callable[[Ref], None]
) -> None:
    model = register()
    ship(model.ref)
    pass_days(replayed, 40)
    replayed.datasets.add("flights", replayed.datasets.read(dataset).slice(0, 5), time_column="at", personal=["name"])
    declare(replayed, "datasets:flights")
    (due,) = replayed.retention.plan().held
    assert "model:delay@1, live as deployment:delay in production" in due.holds[0]
    with pytest.raises(Refused, match="olga declared"), acting_as(OFFICER):
        replayed.retention.accept(dataset, reason="it is retrained next week")
    with pytest.raises(Refused, match="decision"):
        replayed.record.attach(dataset, "data-loss", "pass")  # type: ignore[arg-type]
    with acting_as(STEWARD):
        replayed.retention.accept(dataset, reason="it is retrained next week")
    (done,) = replayed.retention.carry_out()
    assert done.ref == dataset
    (told,) = replayed.record.evidence(model.ref, "retention")
    assert told.verdict == "warn" and "cannot be made again" in told.summary


def test_a_kill_between_the_steps_loses_nothing_that_stays_and_is_finished_later(
    replayed: Workspace, two: tuple[Ref, Ref]
) -> None:
    declare(replayed)
    begun = replayed.retention.begin("short", Covers.DATASETS, two[0])
    assert begun.finished_at is None
    (check,) = replayed.retention.verify()
    assert not check.holds and "not over" in check.findings[0]
    digests = replayed.record.history(two[0]).items[0].before["objects"]
    replayed.caller.blobs.delete(digests[0])  # type: ignore[attr-defined]  # killed after the first of them
    told = RetentionTurn(replayed.retention).turn(datetime.now(UTC))
    assert len(told) == 1 and begun.id in told[0]
    assert not {*digests} & stored(replayed)
    assert replayed.retention.verify()[0].holds
    assert replayed.datasets.read(two[1]).num_rows == 1


def test_what_was_stored_again_a_moment_ago_waits(tmp_path: Path) -> None:
    settings = Settings(workspace=WorkspaceSettings(clock="simulated"))
    with open_workspace(tmp_path / "waits", settings=settings) as here:
        first = people(here, "ada@example.org")
        pass_days(here, 40)
        people(here, "bob@example.org")
        declare(here)
        (done,) = here.retention.carry_out()
        assert (done.ref, done.finished_at) == (first, None)
        assert "not over: " in here.retention.verify()[0].findings[0]


def predicted(here: Workspace, endpoint: str, day: str) -> Path:
    assert here.home is not None
    place = here.home.folder / "predictions" / endpoint / day
    place.mkdir(parents=True)
    pq.write_table(pa.table({"input.email": ["canary"], "endpoint": [endpoint]}), place / "01.parquet")
    return place / "01.parquet"


def test_days_of_predictions_go_unless_they_are_held(replayed: Workspace) -> None:
    assert replayed.home is not None
    old, held, new = (predicted(replayed, *at) for at in [("a", "2012-11-01"), ("b", "2012-11-01"), ("a", "2012-12-30")])
    replayed.retention.hold("b", "predictions:b", reason="an incident")
    declare(replayed, "predictions:*")
    (done,) = replayed.retention.carry_out()
    assert (done.ref, done.part, done.count, done.gone) == (Ref(Kind.DEPLOYMENT, "a"), "2012-11-01", 1, 1)
    assert [old.exists(), held.exists(), new.exists()] == [False, True, True]
    assert replayed.retention.verify()[0].holds
    log = PredictionLog(replayed.home.folder / "predictions", replayed.home.clock, LogSettings(max_bytes=0))
    log.flush()  # nor does a full disk get at what is held
    assert [held.exists(), new.exists()] == [True, False]


def view(here: Workspace, name: str) -> Ref:
    made = FeatureView(
        name=name, entity="id", source=PEOPLE, event_time="at", features=[last("plan", window="3650d", name="plan")]
    )
    here.features.apply(made)
    here.features.materialise(made.ref)
    return made.ref


def test_what_stands_online_its_reads_and_pushes_go(replayed: Workspace) -> None:
    at = pa.array([START - timedelta(days=1)], pa.timestamp("us", "UTC"))
    replayed.datasets.add("crm/people", pa.table({"id": ["7"], "plan": ["a"], "at": at}))
    one = view(replayed, "one")
    assert replayed.features.reader([one]).rows([{"id": "7"}]) == [{"plan": "a"}]
    replayed.read_log.flush()
    replayed.pushes.push("dataset:crm/people", pa.table({"id": ["8"], "plan": ["b"], "at": at}), id="p1")
    pass_days(replayed, 40)
    declare(replayed, "features:*", "reads:*", "pushes:crm")
    done = {each.covers: each for each in replayed.retention.carry_out()}
    assert {covers: each.count for covers, each in done.items()} == {
        Covers.FEATURES: 2,
        Covers.READS: 1,
        Covers.PUSHES: 1,
    }
    assert replayed.features.materialised(one) is None
    assert replayed.read_log.days("9") == []
    assert all(each.holds for each in replayed.retention.verify()), replayed.retention.verify()
    replayed.pushes.push("dataset:crm/people", pa.table({"id": ["8"], "plan": ["b"], "at": at}), id="p1")
    assert replayed.retention.verify()[0].holds  # what is sent again does not come back


def test_bodies_of_traces_and_files_of_runs_go_and_the_rest_stays(replayed: Workspace) -> None:
    experiment = replayed.experiments.create("support").ref
    span = Span(
        trace=f"{1:032x}", id=f"{1:016x}", parent=None, name="answer",
        start=int(START.timestamp() * 1e9), end=int(START.timestamp() * 1e9) + 5,
        attributes={"mlflow.spanInputs": '"canary"', "session.id": "canary"},
    )  # fmt: skip
    (identity,) = replayed.traces.log(experiment, [SpanBatch(spans=[span])])
    run, shared = replayed.experiments.start("support", name="r").ref, replayed.caller.blobs.put(b"shared")
    files = {"notes.txt": replayed.caller.blobs.put(b"canary"), "model.bin": shared}
    replayed.artifacts.add(run, [Artifact(name=n, digest=d, size=6, media_type="") for n, d in files.items()])
    replayed.experiments.finish(run)
    kept = replayed.experiments.start("support", name="s").ref  # still under way: what it has stays
    replayed.artifacts.add(kept, [Artifact(name="model.bin", digest=shared, size=6, media_type="")])
    pass_days(replayed, 40)
    declare(replayed, "traces:support", "artifacts:support")
    done = {each.covers: each for each in replayed.retention.carry_out()}
    trace = replayed.traces.show(Ref(Kind.TRACE, identity))
    assert "canary" not in repr(trace) and trace.spans[0].name == "answer"
    assert done[Covers.TRACES].id in trace.info.metadata.values()
    assert replayed.artifacts.all(run) == [] and len(replayed.artifacts.all(kept)) == 1
    assert (done[Covers.ARTIFACTS].gone, done[Covers.ARTIFACTS].left) == (1, {shared: "the artifacts of runs"})
    assert not replayed.caller.blobs.exists(files["notes.txt"])
    assert all(each.holds for each in replayed.retention.verify())


def test_traces_and_files_under_a_hold_are_deleted_by_nobody(replayed: Workspace) -> None:
    experiment = replayed.experiments.create("support").ref
    span = Span(trace=f"{1:032x}", id=f"{1:016x}", parent=None, name="answer", start=1, end=2)
    replayed.traces.log(experiment, [SpanBatch(spans=[span])])
    run = replayed.experiments.start("support").ref
    digest = replayed.caller.blobs.put(b"canary")
    replayed.artifacts.add(run, [Artifact(name="notes.txt", digest=digest, size=6, media_type="")])
    replayed.retention.hold("case", "*", reason="an authority asks")
    with pytest.raises(Refused, match="case"):
        replayed.traces.delete(experiment, until=10**13)
    with pytest.raises(Refused, match="case"):
        replayed.artifacts.remove(run, "notes.txt")


def test_only_who_has_the_right_declares_holds_and_deletes(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    for name, role in (("vic", "scientist"), ("rob", "risk_officer"), ("dan", "data_steward")):
        replayed.access.create_user(name)
        replayed.access.grant(name, role, scope="*")
    retention = replayed.retention
    with acting_as(Principal(id="vic")):
        for way in (
            lambda: retention.declare("x", "1d", ["datasets:*"], reason="r"),
            lambda: retention.hold("x", "*", reason="r"),
            lambda: retention.plan(),
            lambda: retention.carry_out(),
        ):
            with pytest.raises(Denied):
                way()
    with acting_as(Principal(id="rob")):
        retention.declare("x", "30d", ["datasets:crm"], reason="r")
        retention.hold("h", "*", reason="r")
        retention.lift("h", reason="r")
        assert retention.plan().goes
        with pytest.raises(Denied, match="may not erase"):
            retention.begin("x", Covers.DATASETS, two[0])
    with acting_as(Principal(id="dan")):
        with pytest.raises(Denied, match="may not hold"):
            retention.lift("h", reason="r")
        assert retention.begin("x", Covers.DATASETS, two[0]).count == 2


@pytest.mark.parametrize("text", ["0d", "d", "5", "1m", "99999y", "-3d", "1.5d", ""])
def test_what_is_no_time_to_keep_is_told(text: str) -> None:
    with pytest.raises(Invalid):
        duration(text)


@pytest.mark.parametrize("text", ["datasets", "datasets:", "people:*", "datasets:a@1", "datasets:../x", "*"])
def test_what_names_no_data_is_told(text: str) -> None:
    with pytest.raises(Invalid):
        Scope.parse(text)


def test_what_is_not_due_is_not_begun(replayed: Workspace, two: tuple[Ref, Ref]) -> None:
    declare(replayed)
    with pytest.raises(NotFound, match="not due"):
        replayed.retention.begin("short", Covers.DATASETS, two[1])
    with pytest.raises(NotFound, match="not due"):
        replayed.retention.begin("nothing", Covers.DATASETS, two[0])
    replayed.retention.withdraw("short", reason="a mistake")
    with pytest.raises(NotFound, match="not due"):
        replayed.retention.begin("short", Covers.DATASETS, two[0])


def test_it_works_through_every_door(workspace: Workspace) -> None:
    people(workspace, "ada@example.org")
    made = workspace.retention.declare("short", "1h", ["datasets:crm", "traces:*"], reason="why not")
    assert [each.name for each in workspace.retention.classes()] == [made.name]
    workspace.retention.hold("case", "*", reason="why")
    assert workspace.retention.plan().goes == []
    workspace.retention.lift("case", reason="over")
    experiment = workspace.experiments.create("support").ref
    span = Span(trace=f"{1:032x}", id=f"{1:016x}", parent=None, name="a", start=1, end=2, attributes={"said": "canary"})
    (identity,) = workspace.traces.log(experiment, [SpanBatch(spans=[span])])
    done: list[Deletion] = list(workspace.retention.carry_out())
    assert [(each.ref, each.count) for each in done] == [(experiment, 1)]
    assert "canary" not in repr(workspace.traces.show(Ref(Kind.TRACE, identity)))
    assert [each.id for each in workspace.retention.proofs(ref=experiment).items] == [done[0].id]
    assert [check.holds for check in workspace.retention.verify()] == [True]
    assert RetentionSettings().every == 3600


def test_of_rows_that_went_no_byte_is_left_in_database_or_log(replayed: Workspace) -> None:
    """What SQLite frees it overwrites, and its write-ahead log goes before anything is proved."""
    secret, at = "canary.bird@nest.example", pa.array([START - timedelta(days=1)], pa.timestamp("us", "UTC"))
    replayed.datasets.add("crm/people", pa.table({"id": ["7"], "plan": [secret], "at": at}))
    view(replayed, "one")
    replayed.pushes.push("dataset:crm/people", pa.table({"id": ["8"], "plan": [secret * 300], "at": at}), id="p1")
    experiment, nanoseconds = replayed.experiments.create("support").ref, int(START.timestamp() * 1e9)
    said = {"mlflow.spanInputs": f'"{secret * 300}"', "session.id": secret}
    span = Span(trace=f"{1:032x}", id=f"{1:016x}", parent=None, name="answer", start=nanoseconds, end=nanoseconds + 5,
                attributes=said)  # fmt: skip
    replayed.traces.log(experiment, [SpanBatch(spans=[span])])
    assert replayed.home is not None
    folder = replayed.home.folder

    def left() -> set[str]:
        return {path.name for path in folder.rglob("*.db*") if secret.encode() in path.read_bytes()}

    assert left()
    pass_days(replayed, 40)
    declare(replayed, "features:*", "pushes:crm", "traces:support")
    done = replayed.retention.carry_out()
    assert {each.covers for each in done} == {Covers.FEATURES, Covers.PUSHES, Covers.TRACES}
    assert all(each.finished_at for each in done) and all(each.holds for each in replayed.retention.verify())
    assert left() == set()


def test_while_somebody_reads_what_went_from_the_log_nothing_is_proved(replayed: Workspace) -> None:
    at = pa.array([START - timedelta(days=1)], pa.timestamp("us", "UTC"))
    replayed.datasets.add("crm/people", pa.table({"id": ["7"], "plan": ["a"], "at": at}))
    replayed.pushes.push("dataset:crm/people", pa.table({"id": ["8"], "plan": ["b"], "at": at}), id="p1")
    pass_days(replayed, 40)
    declare(replayed, "pushes:crm")
    assert replayed.home is not None
    (database,) = [path for path in replayed.home.folder.rglob("*.db") if b"retention_" in path.read_bytes()]
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ledger_events").fetchone()
        (waiting,) = replayed.retention.carry_out()
        assert waiting.finished_at is None
        (check,) = replayed.retention.verify()
        assert not check.holds and "write-ahead log" in check.findings[0]
        reader.execute("COMMIT")
    replayed.retention.carry_out()  # the log is emptied behind it
    (done,) = replayed.retention.carry_out()
    assert done.id == waiting.id and done.finished_at and replayed.retention.verify()[0].holds


def test_what_came_after_a_tombstone_can_be_brought_elsewhere(
    replayed: Workspace, two: tuple[Ref, Ref], tmp_path: Path
) -> None:
    depot, first = tmp_path / "depot", two[0]
    declare(replayed)
    replayed.retention.carry_out()
    third = replayed.datasets.add(first.name, pa.table({"id": [7], "email": ["eve@example.org"]})).ref
    done = replayed.datasets.push(third, depot)
    assert (done.versions, done.same) == (2, 0)
    newest, older = replayed.datasets.depot(depot).history(third.whole)
    assert (newest.rows, older.rows, newest.parent, older.parent) == (1, 1, older.ref, None)
    with pytest.raises(Gone):
        replayed.datasets.push(first, depot)
    assert replayed.datasets.pull(newest.ref, depot, into="back").versions == 2
    assert replayed.datasets.read("dataset:back@1").num_rows == 1
