"""Runs from start to end, and what is read back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Artifact, Experiments, Point, Run, RunStatus, receiving
from modelwright.store import Embedded, catalog
from modelwright.store.tables import ledger_events, ledger_refs
from modelwright.workspace import Workspace

START = datetime(2013, 7, 1, tzinfo=UTC)


def points(metric: str, *values: float, first: int = 0) -> list[Point]:
    return [
        Point.of(metric, value, step=first + i, time=START + timedelta(seconds=first + i)) for i, value in enumerate(values)
    ]


def actions(caller: Embedded, ref: Ref) -> list[str]:
    with caller.transaction(write=False) as tx:
        joined = sa.select(ledger_events.c.action).join(ledger_refs, ledger_refs.c.seq == ledger_events.c.seq)
        wanted = joined.where(ledger_refs.c.ref == str(ref), ledger_refs.c.role == "subject")
        return list(tx.execute(wanted.order_by(ledger_events.c.seq)).scalars())


def test_a_run_has_an_id_a_name_people_can_say_and_the_experiment_it_started(experiments: Experiments) -> None:
    run = experiments.start("pricing/delay")
    assert run.status is RunStatus.RUNNING and len(run.id) == 26
    adjective, noun, tail = run.name.split("-")
    assert adjective.isalpha() and noun.isalpha() and run.id.lower().endswith(tail)
    assert [(each.name, each.runs) for each in experiments.list_experiments().items] == [("pricing/delay", 1)]


def test_what_was_logged_comes_back(experiments: Experiments) -> None:
    ref = experiments.start("delay", tags={"team": "ops"}).ref
    experiments.log(
        ref,
        params={"depth": 6, "rate": 0.1, "columns": ["dep_delay", "wind"]},
        points=points("loss", 0.9, 0.7, 0.8),
        artifacts=[Artifact(name="plots/roc.png", digest="a" * 64, size=3)],
        tags={"note": "first"},
    )
    run = experiments.show(ref)
    assert run.params == {"depth": 6, "rate": 0.1, "columns": ["dep_delay", "wind"]}
    assert (run.metrics["loss"].figure, run.metrics["loss"].step) == (0.8, 2)
    assert (run.metrics["loss"].low, run.metrics["loss"].high) == (0.7, 0.9)
    assert run.artifacts[0].name == "plots/roc.png" and run.tags == {"team": "ops", "note": "first"}


def test_figures_are_data_and_only_start_and_end_are_events(alone: Experiments, caller: Embedded) -> None:
    run = alone.start("delay")
    alone.log(run.ref, params={"a": 1}, points=points("loss", 1.0))
    alone.finish(run.ref)
    assert actions(caller, run.ref) == ["experiments.run.started", "experiments.run.finished"]


def test_figures_that_are_not_finite_survive(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.log(ref, points=points("loss", 1.0, math.inf, -math.inf, math.nan))
    curve = experiments.curve(ref, "loss")
    assert curve.values == [1.0, "Infinity", "-Infinity", "NaN"]
    assert msgspec.json.decode(msgspec.json.encode(curve.values)) == curve.values
    last = experiments.show(ref).metrics["loss"]
    assert math.isnan(last.figure) and (last.low, last.high) == ("-Infinity", "Infinity")


def test_the_same_batch_twice_is_the_same_as_once(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    for _ in range(2):
        experiments.log(ref, params={"a": 1}, points=points("loss", 1.0, 0.5))
    assert experiments.curve(ref, "loss").values == [1.0, 0.5]


def test_the_last_point_is_the_one_of_the_highest_step_in_whatever_order_they_arrive(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.log(ref, points=points("loss", 0.2, first=10))
    experiments.log(ref, points=points("loss", 0.9, first=3))
    metric = experiments.show(ref).metrics["loss"]
    assert (metric.figure, metric.step) == (0.2, 10)
    assert experiments.curve(ref, "loss").steps == [3, 10]


def test_a_parameter_keeps_its_first_value_and_the_whole_batch_is_refused(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.log(ref, params={"depth": 6})
    with pytest.raises(Conflict, match="depth"):
        experiments.log(ref, params={"depth": 7, "other": 1}, points=points("loss", 1.0))
    run = experiments.show(ref)
    assert run.params == {"depth": 6} and run.metrics == {}


def test_an_ended_run_takes_no_figures_until_it_is_resumed(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.finish(ref)
    with pytest.raises(Conflict, match="finished"):
        experiments.log(ref, params={"a": 1})
    experiments.resume(ref)
    experiments.log(ref, params={"a": 1})
    assert experiments.finish(ref).params == {"a": 1}


def test_a_run_ends_once(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.finish(ref, status=RunStatus.FAILED, error="ValueError: no rows")
    with pytest.raises(Conflict):
        experiments.finish(ref)
    with pytest.raises(Invalid):
        experiments.finish(ref, status=RunStatus.RUNNING)
    assert experiments.show(ref).error == "ValueError: no rows"


def test_an_artifact_cannot_be_named_out_of_its_run(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    for name in ("../secret", "/etc/passwd", "a//b", "", "a\\b"):
        with pytest.raises(Invalid):
            experiments.log(ref, artifacts=[Artifact(name=name, digest="a" * 64, size=1)])


def test_a_long_curve_is_outlined_with_its_spike_and_says_so(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    values = [1.0] * 1000
    values[617] = 99.0
    experiments.log(ref, points=points("loss", *values))
    curve = experiments.curve(ref, "loss", most=40)
    assert len(curve.values) <= 40 and 99.0 in curve.values
    assert curve.sampled and curve.total == 1000
    assert not experiments.curve(ref, "loss").sampled


def test_a_curve_is_read_while_a_run_that_goes_on_logs_another(experiments: Experiments) -> None:
    run = experiments.start("delay").ref
    experiments.log(run, points=[Point.of("loss", 1.0, step=1, time=START)])
    experiments.finish(run)
    experiments.resume(run)
    experiments.log(run, points=[Point.of("auc", 0.5, step=1, time=START)])
    assert experiments.curve(run, "loss").values == [1.0]


def test_an_unknown_metric_names_those_there_are(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    experiments.log(ref, points=points("loss", 1.0))
    with pytest.raises(NotFound, match="loss"):
        experiments.curve(ref, "auc")


def test_lists_narrow_by_experiment_state_tag_and_text_and_go_on_page_by_page(experiments: Experiments) -> None:
    made = [experiments.start("pricing/delay", tags={"n": str(i)}) for i in range(5)]
    other = experiments.start("fraud", name="odd-one-out")
    experiments.finish(made[0].ref)
    first = experiments.list(Filter(under="pricing", limit=3))
    second = experiments.list(Filter(under="pricing", limit=3, after=first.next))
    assert [run.id for run in first.items + second.items] == [run.id for run in reversed(made)]
    assert second.next is None
    assert [run.id for run in experiments.list(Filter(state="finished")).items] == [made[0].id]
    assert [run.id for run in experiments.list(Filter(tags={"n": "3"})).items] == [made[3].id]
    assert [run.id for run in experiments.list(Filter(text="odd-one")).items] == [other.id]


def test_lists_show_only_what_the_caller_may_read(alone: Experiments, scopes: object) -> None:
    mine, other = alone.start("pricing/delay"), alone.start("fraud")
    scopes.paths = ["pricing"]  # type: ignore[attr-defined]
    assert [run.id for run in alone.list().items] == [mine.id]
    assert [each.name for each in alone.list_experiments().items] == ["pricing/delay"]
    with pytest.raises(NotFound):
        alone.compare([mine.ref, other.ref])


def test_a_comparison_puts_what_differs_first(experiments: Experiments) -> None:
    one, two = experiments.start("delay").ref, experiments.start("delay").ref
    experiments.log(one, params={"a": 1, "depth": 6}, points=points("auc", 0.7))
    experiments.log(two, params={"a": 1, "depth": 8}, points=points("auc", 0.7))
    compared = experiments.compare([one, two])
    assert [(row.name, row.values, row.same) for row in compared.params] == [("depth", [6, 8], False), ("a", [1, 1], True)]
    assert compared.metrics[0].values == [0.7, 0.7]


def test_inputs_are_pinned_and_cannot_be_deleted_while_the_run_exists(alone: Experiments, caller: Embedded) -> None:
    with caller.transaction(write=True) as tx:
        catalog.add(tx, Kind.DATASET, "flights", digest="d" * 64, record={})
    run = alone.start("delay", inputs=[Ref.parse("dataset:flights@latest")])
    assert run.inputs == [Ref.parse("dataset:flights@1")]
    with pytest.raises(InUse, match=run.id), caller.transaction(write=True) as tx:
        catalog.delete(tx, Ref.parse("dataset:flights@1"))
    alone.delete(run.ref)
    with caller.transaction(write=True) as tx:
        catalog.delete(tx, Ref.parse("dataset:flights@1"))


def test_what_a_run_made_holds_it(alone: Experiments, caller: Embedded) -> None:
    run = alone.start("delay", tags={"a": "b"})
    alone.log(run.ref, params={"a": 1}, points=points("loss", 1.0))
    with caller.transaction(write=True) as tx:
        model = catalog.add(tx, Kind.MODEL, "delay", digest="e" * 64, record={}, needs=[run.ref])
    with pytest.raises(InUse, match="model:delay@1"):
        alone.delete(run.ref)
    with caller.transaction(write=True) as tx:
        catalog.delete(tx, model.ref)
    alone.delete(run.ref)
    with pytest.raises(NotFound):
        alone.show(run.ref)


def test_the_digest_of_a_run_changes_with_what_was_logged(experiments: Experiments) -> None:
    def logged(value: int) -> Run:
        ref = experiments.start("delay").ref
        experiments.log(ref, params={"a": value})
        return experiments.finish(ref)

    assert logged(1).digest == logged(1).digest != logged(2).digest


def test_tags_are_set_and_taken_away(alone: Experiments, caller: Embedded) -> None:
    ref = alone.start("delay", tags={"a": "1"}).ref
    assert alone.tag(ref, {"a": None, "b": "2"}).tags == {"b": "2"}
    alone.tag(ref, {"b": "2"})
    assert actions(caller, ref).count("experiments.run.tagged") == 1


@pytest.mark.slow
@pytest.mark.parametrize("workspace", ["postgresql-embedded"], indirect=True)
def test_more_parameters_than_a_statement_can_name_go_in_one_call(workspace: Workspace) -> None:
    run, many = workspace.experiments.start("delay"), {f"p{number}": number for number in range(66_000)}
    workspace.experiments.log(run.ref, params=many)
    with pytest.raises(Conflict):
        workspace.experiments.log(run.ref, params=many | {"p0": 1})


def test_a_step_beyond_64_bits_is_refused(workspace: Workspace) -> None:
    run = workspace.experiments.start("delay")
    with pytest.raises(Invalid, match="64 bits"):
        workspace.experiments.log(run.ref, points=[Point.of("loss", 1.0, step=2**63, time=run.started_at)])


def test_a_run_that_is_over_is_not_silent_though_nobody_said_when(embedded: Workspace) -> None:
    run = embedded.experiments.start("delay")
    assert embedded.home is not None
    with embedded.home.caller().transaction(write=True) as tx:
        receiving.update(tx, run.id, None, status=RunStatus.FINISHED)
    over = embedded.experiments.show(run.ref)
    assert (over.ended_at, over.silent(run.started_at + timedelta(days=9))) == (None, None)
    assert run.silent(run.started_at + timedelta(days=9)) is not None
