"""Bringing a real store of MLflow's over: whole, again, after changes, after being stopped."""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from modelwright.core.errors import Conflict
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.exchange import Bringing, Outcome, open_source
from modelwright.exchange.sieve import LONG as CUT
from modelwright.exchange.sieve import UNNAMED, UNTIMELY
from modelwright.exchange.sources.database import DatabaseSource
from modelwright.experiments.intake import ForeignExperiment, Series
from modelwright.models import Stage
from modelwright.store.buckets import S3Settings, bucket
from modelwright.store.records import EventFilter
from modelwright.workspace import Workspace
from tests.exchange.conftest import LONG, Store


def bring(store: Store, rooms: Workspace, *, uri: str = "", **how: Any) -> Outcome:
    source = open_source(uri or store.uri, artifacts=store.artifacts)
    try:
        return Bringing(source, rooms.intake, rooms.model_intake, rooms.traces, **how).run()
    finally:
        source.close()


def events(rooms: Workspace) -> int:
    return len(rooms.record.events(EventFilter(limit=1000)).items)


def test_a_whole_store_comes_over_and_both_sides_count_the_same(whole_store: Store, workspace: Workspace) -> None:
    outcome = bring(whole_store, workspace)

    assert {line.what: (line.there, line.here) for line in outcome.check if line.verdict != "pass"} == {}
    counted = {line.what: line.here for line in outcome.check}
    assert (counted["experiments"], counted["experiments deleted"]) == (3, 1)
    assert (counted["runs"], counted["runs deleted"]) == (7, 2)
    assert counted["points"] == 500 + 5 + 1 + 1 + LONG + 1
    long = workspace.experiments.curve(Ref.parse(f"run:{whole_store.runs['long']}"), "loss")
    assert long.total == LONG
    assert long.values == [step / 7 for step in range(LONG)]
    assert counted["artifacts"] == 4
    assert (counted["logged models"], counted["logged params"], counted["logged figures"]) == (1, 1, 1)
    assert counted["logged files"] > 3
    assert (counted["registered models"], counted["versions"], counted["aliases"]) == (3, 4, 2)


def test_a_run_is_what_it_was(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)

    run = embedded.experiments.show(Ref.parse(f"run:{store.runs['full']}"))
    assert (run.name, run.status, run.user, run.experiment_id) == ("first try", "finished", "ada", 1)
    assert run.started_at.timestamp() == 1_700_000_000.123
    assert run.ended_at is not None and run.ended_at.timestamp() == 1_700_000_100.456
    assert run.params == {"depth": "6", "empty": "", "long": "x" * 5000}
    assert run.tags["note"] == "ünï ✓ 'quoted'"
    assert "mlflow.runName" not in run.tags
    assert [(each.name, each.digest, each.tags) for each in run.datasets] == [
        ("churn", "abc123", {"k": "v", "mlflow.data.context": "training"})
    ]
    assert sorted(each.name for each in run.artifacts) == ["config.json", "notes/read me.txt", "plots/roc.svg"]
    assert embedded.intake.blobs.read({a.name: a.digest for a in run.artifacts}["notes/read me.txt"]) == b"hello"
    assert run.metrics["odd"].step == 1  # the highest step, not the last written
    assert math.isnan(run.metrics["only nan"].figure)
    curve = embedded.experiments.curve(run.ref, "loss")
    assert (curve.total, curve.values[0], curve.steps[-1]) == (500, 1.0, 499)


def test_traces_come_with_their_steps_what_was_judged_and_the_runs_that_they_belong_to(
    store: Store, embedded: Workspace
) -> None:
    outcome = bring(store, embedded)

    counted = {line.what: line.here for line in outcome.check}
    assert (counted["traces"], counted["spans"], counted["assessments"]) == (2, 4, 2)
    found = embedded.traces.show(Ref.parse(f"trace:{store.runs['trace']}"))
    info = found.info
    assert (info.name, info.state, info.experiment_id, info.tags["team"]) == ("answer", "ok", 1, "growth")
    assert (info.request, info.response) == ('{"question": "why?"}', '"3 things"')
    assert "mlflow.artifactLocation" not in info.tags
    root, step = found.spans
    assert (root.name, root.parent, step.name, step.parent) == ("answer", None, "look up", root.id)
    assert step.attributes["mlflow.spanOutputs"] == {"found": [1, 2.5, None], "question": "why?"}
    assert root.attributes["temperature"] == 0.5 and root.end is not None and root.end >= step.start
    judged = {each.name: (each.kind, each.value, each.rationale, each.source_id) for each in info.assessments}
    assert judged == {
        "helpful": ("feedback", True, "short", "ada"),
        "expected": ("expectation", {"things": 3}, "", "ada"),
    }
    home = embedded.experiments.show(Ref.parse(f"run:{store.runs['full']}")).experiment
    linked = embedded.traces.search([Ref.parse(f"experiment:{home}")], where=f"run_id = '{store.runs['full']}'").items
    assert [each.id for each in linked] == [store.runs["trace"]]
    failed = embedded.traces.show(Ref.parse(f"trace:{store.runs['failed trace']}"))
    assert failed.info.state == "error" and [event.name for event in failed.spans[0].events] == ["exception"]


def test_a_trace_that_was_judged_since_is_brought_again_and_one_whose_steps_are_damaged_without_them(
    store: Store, embedded: Workspace
) -> None:
    store.sql("UPDATE spans SET content = '{' WHERE trace_id = ?", store.runs["failed trace"])
    first = bring(store, embedded)
    assert first.added["traces"] == 2 and not first.agrees
    assert any("comes without its steps" in note for note in first.notes)
    store.sql("UPDATE assessments SET value = 'false', last_updated_timestamp = last_updated_timestamp + 1")

    assert bring(store, embedded).added["traces"] == 1

    info = embedded.traces.info(Ref.parse(f"trace:{store.runs['trace']}"))
    assert [each.value for each in info.assessments] == [False, False]


def test_what_was_deleted_is_deleted_and_can_be_restored(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)

    names = {each.title: each.lifecycle for each in embedded.experiments.list_experiments(Filter(state="all")).items}
    assert names == {"Default": "active", "Churn, 2026": "active", "old": "deleted"}
    gone = Ref.parse(f"run:{store.runs['deleted']}")
    assert embedded.experiments.show(gone).lifecycle == "deleted"
    embedded.experiments.restore(gone)
    assert [each.name for each in embedded.experiments.show(gone).artifacts] == ["why.txt"]
    embedded.experiments.restore(Ref.parse("experiment:old"))
    assert embedded.experiments.show(Ref.parse(f"run:{store.runs['in deleted']}")).lifecycle == "active"


def test_versions_keep_their_numbers_and_nothing_gets_past_a_gate(store: Store, embedded: Workspace) -> None:
    outcome = bring(store, embedded)

    versions = embedded.models.versions(Ref.parse("model:churn")).items
    assert [each.ref.version for each in versions] == [3, 1]
    newest = versions[0]
    assert newest.record.run == Ref.parse(f"run:{store.runs['model']}")
    assert newest.tags == {"n": "3", "mlflow.stage": "Production"}
    assert (newest.stage, newest.description) == ("candidate", "the 3th")
    model = embedded.registry.show(Ref.parse("model:churn"))
    assert model.aliases == {"shadow": 1}
    assert model.tags == {"owner": "ada", "mlflow.alias.champion": "3"}
    assert any("champion" in note for note in outcome.notes)
    address = embedded.registry.titled("Fraud detector").latest[0]
    assert (address.record.format, address.record.source) == ("external", "https://models.example.com/fraud/1")


def test_a_second_import_changes_nothing(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)
    before = events(embedded)

    outcome = bring(store, embedded)

    assert set(outcome.added.values()) == {0}
    assert outcome.agrees
    assert events(embedded) == before


def test_what_cannot_be_kept_is_remarked_and_the_rest_comes(store: Store, embedded: Workspace) -> None:
    full, late = store.runs["full"], 2**63 - 1
    with sqlite3.connect(store.folder / "mlflow.db") as there:
        there.execute("INSERT INTO tags (key, value, run_uuid) VALUES ('', 'nameless', ?)", [full])
        there.execute("UPDATE runs SET start_time = -1 WHERE run_uuid = ?", [store.runs["failed"]])
        for table in ("metrics", "latest_metrics"):
            there.execute(
                f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES ('late', 1, ?, ?, 0, 0)",
                [late, full],
            )
        there.execute("UPDATE logged_model_params SET param_value = ?", ["x" * 6001])
    there.close()
    (store.folder / "artifacts" / "1" / full / "artifacts" / "a%b.txt").write_text("odd")

    outcome = bring(store, embedded)

    wrong = {line.what: (line.there, line.here) for line in outcome.check if line.verdict != "pass"}
    assert (
        wrong.keys() == {"tags", "artifacts", "artifact bytes"}
        and wrong["artifact bytes"][0] - 3 == wrong["artifact bytes"][1]
    )
    remarks = {kind: told[0] for kind, told in outcome.remarks.items()}
    assert remarks[UNNAMED] == f"run:{full}: ''" and remarks[UNTIMELY].endswith((": -1", f": {late}"))
    assert "k has 6,001 characters" in remarks[CUT] or "C has 6,001 characters" in remarks[CUT]
    run = embedded.experiments.show(Ref.parse(f"run:{full}"))
    assert run.metrics["late"].time.year == 9999 and "" not in run.tags and run.params["depth"] == "6"
    assert embedded.experiments.show(Ref.parse(f"run:{store.runs['failed']}")).started_at.year == 1970
    assert set(bring(store, embedded).added.values()) == {0}


def test_each_call_is_one_event_that_names_source_and_counts(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)

    found = embedded.record.events(EventFilter(action="intake.runs.brought")).items
    assert 0 < len(found) < 7
    assert sum(each.after["runs"] for each in found) == 7
    assert {each.after["source"] for each in found} == {store.uri}
    assert any(f"run:{store.runs['full']}" in each.outputs for each in found)


def test_what_is_made_there_while_it_is_brought_waits_for_the_next_import(store: Store, embedded: Workspace) -> None:
    class Busy(DatabaseSource):
        """Somebody makes the experiment `old`, and runs of it, once the experiments are listed."""

        listed = False

        def experiments(self) -> Iterator[ForeignExperiment]:
            yield from (each for each in super().experiments() if self.listed or each.title != "old")
            self.listed = True

    source = Busy(store.uri, root=store.artifacts)
    outcome = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()
    source.close()
    assert outcome.added["runs"] == 6 and not outcome.agrees
    (note,) = [each for each in outcome.notes if "run the same command again" in each]
    assert note.startswith("Experiment 2 was made while this went on")
    assert bring(store, embedded).agrees


def test_a_dry_run_tells_and_does_nothing(store: Store, embedded: Workspace) -> None:
    before = events(embedded)

    outcome = bring(store, embedded, dry_run=True)

    assert outcome.added["runs"] == 7
    assert outcome.check == []
    assert events(embedded) == before


def test_what_has_moved_on_there_is_brought_and_what_only_we_have_stays(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)
    running = store.runs["running"]
    embedded.experiments.tag(Ref.parse(f"run:{store.runs['full']}"), {"ours": "kept"})
    store.sql("UPDATE runs SET status = 'FINISHED', end_time = 1700000000999 WHERE run_uuid = ?", running)
    store.sql("INSERT INTO metrics VALUES ('loss', 0.1, 1700000001000, ?, 2, 0)", running)
    store.sql("UPDATE latest_metrics SET value = 0.1, step = 2, timestamp = 1700000001000 WHERE run_uuid = ?", running)
    store.sql("UPDATE tags SET value = 'new' WHERE key = 'note'")

    outcome = bring(store, embedded)

    assert outcome.added["runs"] == 2
    run = embedded.experiments.show(Ref.parse(f"run:{running}"))
    assert (run.status, run.metrics["loss"].figure) == ("finished", 0.1)
    assert embedded.experiments.curve(run.ref, "loss").steps == [1, 2]
    full = embedded.experiments.show(Ref.parse(f"run:{store.runs['full']}"))
    assert (full.tags["note"], full.tags["ours"]) == ("new", "kept")
    assert embedded.experiments.curve(full.ref, "loss").total == 500


def test_what_comes_curve_by_curve_is_kept_as_it_comes(store: Store, embedded: Workspace) -> None:
    """A server is asked for each curve, so a kill must not cost what the whole batch of runs has brought."""
    at: list[tuple[str, int]] = []

    class Watched(DatabaseSource):
        """Says how many runs are here when the next curve is read."""

        def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]:
            for run in runs:
                for name in range(100):
                    at.append((run, len(embedded.experiments.list(Filter(state="all")).items)))
                    yield run, Series(f"m{name}", [0], [1_700_000_000_000], [0.5])

    source = Watched(store.uri, root=store.artifacts)
    told: list[tuple[str, int, int]] = []
    Bringing(source, embedded.intake, embedded.model_intake, embedded.traces, told=lambda *each: told.append(each)).run()
    source.close()

    assert len({run for run, _ in at}) == 7
    assert at[-1][1] > 0, "nothing is here before the last curve has come"
    assert ("points", 700, 0) in told and ("runs", 1, 7) in told


class Stopped(Exception):
    """As if the process had been killed."""


@pytest.mark.parametrize("after", [1, 3, 6, *(pytest.param(each, marks=pytest.mark.thorough) for each in (2, 4, 5, 8))])
def test_an_import_that_was_stopped_goes_on(store: Store, embedded: Workspace, after: int) -> None:
    calls = 0

    class Stopping:
        """A caller that works so many times, and then no more."""

        blobs, principal = embedded.caller.blobs, embedded.caller.principal

        def call(self, room: Any, operation: Any, arguments: dict[str, Any]) -> Any:
            nonlocal calls
            if operation.writes:
                calls += 1
                if calls > after:
                    raise Stopped
            return embedded.caller.call(room, operation, arguments)

    source = open_source(store.uri, artifacts=store.artifacts)
    stopping = Stopping()
    with pytest.raises(Stopped):
        traces = type(embedded.traces)(stopping, experiments=embedded.experiments)
        Bringing(source, type(embedded.intake)(stopping), type(embedded.model_intake)(stopping), traces).run()

    outcome = Bringing(source, embedded.intake, embedded.model_intake, embedded.traces).run()
    source.close()

    assert outcome.agrees, [line for line in outcome.check if line.verdict != "pass"]


def test_an_archived_version_is_archived_here(store: Store, embedded: Workspace) -> None:
    store.sql("UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'churn' AND version = 1")
    bring(store, embedded)

    version = embedded.models.show(Ref.parse("model:churn@1"))
    assert version.stage is Stage.ARCHIVED
    assert "mlflow.stage" not in version.tags
    assert set(bring(store, embedded).added.values()) == {0}


def test_a_file_of_the_name_of_a_folder_is_left_out_and_told_and_the_rest_comes(
    store: Store, embedded: Workspace, s3_server: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No disk can hold both; a bucket does."""
    given = {"AWS_ENDPOINT": s3_server.endpoint, "AWS_REGION": s3_server.region}
    given |= {"AWS_ACCESS_KEY_ID": s3_server.access_key_id, "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key}
    for name, value in given.items():
        monkeypatch.setenv(name, value or "")
    full, place = store.runs["full"], f"clash-{secrets.token_hex(4)}/artifacts"
    there = bucket(f"s3://objects/{place}", s3_server)
    for name, content in (("model", b"a file"), ("model/MLmodel", b"flavors: {}"), ("notes.txt", b"hello")):
        there.put(name, content)
    store.sql("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", f"s3://objects/{place}", full)

    outcome = bring(store, embedded)

    (told,) = [each for kind, each in outcome.remarks.items() if "folder of one name" in kind]
    assert told == [f"run:{full}: model"]
    wrong = {line.what: line.there - line.here for line in outcome.check if line.verdict != "pass"}
    assert wrong == {"artifacts": 1, "artifact bytes": 6}
    run = embedded.experiments.show(Ref.parse(f"run:{full}"))
    assert [each.name for each in run.artifacts] == ["model/MLmodel", "notes.txt"]
    assert set(bring(store, embedded).added.values()) == {0}


def test_a_file_that_would_lie_in_one_that_is_here_is_left_out(store: Store, embedded: Workspace) -> None:
    bring(store, embedded)
    run = Ref.parse(f"run:{store.runs['full']}")
    held = embedded.experiments.show(run).artifacts[0]
    with pytest.raises(Conflict):
        embedded.intake.files(run, [replace(held, name=f"{held.name}/inside")], source="there")
