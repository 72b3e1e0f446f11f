"""What a process has written down of its run is applied exactly once, through every door and on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.ids import new_id
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiments, RunStatus
from modelwright.experiments.entries import Ended, Entry, Figures, Kept, Linked, Params, Resumed, Started, Tags
from modelwright.experiments.records import Artifact
from modelwright.workspace import Workspace


def fresh() -> tuple[Ref, str]:
    """A run that nobody has heard of, and a writer."""
    now = SystemClock().now()
    return Ref(Kind.RUN, new_id(now)), new_id(now)


WHOLE: list[Entry] = [
    Started(seq=1, name="first try"),
    Params(seq=2, values={"depth": 6}),
    Figures(seq=3, elapsed=1.0, values={"loss": 0.5, "auc": "NaN"}, step=0),
    Figures(seq=4, elapsed=2.0, values={"loss": 0.25}, step=1),
    Tags(seq=5, values={"idea": "wind"}),
    Kept(seq=6, artifacts=[Artifact(name="a.txt", digest="0" * 64, size=3)]),
    Ended(seq=7, elapsed=3.0, status=RunStatus.FINISHED),
]


def test_a_run_that_nobody_has_heard_of_arrives_whole(workspace: Workspace) -> None:
    ref, writer = fresh()
    told = workspace.experiments.deliver("delay", ref, writer=writer, entries=WHOLE, age=timedelta(hours=2))
    assert (told.sequence, told.refused) == (7, [])
    run = workspace.experiments.show(ref)
    assert (run.name, run.status, run.params, run.tags) == ("first try", "finished", {"depth": 6}, {"idea": "wind"})
    assert run.metrics["loss"].figure == 0.25 and run.metrics["auc"].value == "NaN"
    assert run.seconds == 3.0 and datetime.now(UTC) - run.started_at > timedelta(hours=1.9)
    events = [each.action for each in workspace.record.history(ref).items]
    assert events == ["experiments.run.finished", "experiments.run.started"]


def test_what_arrives_again_in_whatever_portions_is_applied_once(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    for portion in (WHOLE[:3], WHOLE[:3], WHOLE[1:5], WHOLE[:5], WHOLE, WHOLE[4:]):
        rooms.deliver("delay", ref, writer=writer, entries=portion)
    assert rooms.curve(ref, "loss").total == 2
    assert [each.action for each in workspace.record.history(ref).items].count("experiments.run.started") == 1
    assert rooms.deliver("delay", ref, writer=writer, entries=[]).sequence == 7


def test_writers_of_one_run_are_counted_apart(workspace: Workspace) -> None:
    rooms, (ref, one), (_, two) = workspace.experiments, fresh(), fresh()
    rooms.deliver("delay", ref, writer=one, entries=WHOLE[:4])
    more: list[Entry] = [Resumed(seq=1), Figures(seq=2, values={"loss": 0.1}), Figures(seq=3, values={"loss": 0.05})]
    rooms.deliver("delay", ref, writer=two, entries=more)
    rooms.deliver("delay", ref, writer=two, entries=more)
    assert rooms.curve(ref, "loss").steps == [0, 1, 2, 3]  # without a step, one after the last


def test_an_entry_that_breaks_a_rule_is_told_and_holds_nothing_up(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    entries: list[Entry] = [
        *WHOLE[:2],
        Linked(seq=3, inputs=[Ref.parse("dataset:nowhere@1")]),
        Params(seq=4, values={"rate": 0.1, "depth": 7}),
        Figures(seq=5, values={"loss": 0.5}, step=0),
    ]
    told = rooms.deliver("delay", ref, writer=writer, entries=entries)
    assert [(each.seq, each.code) for each in told.refused] == [(3, "not-found"), (4, "conflict")]
    run = rooms.show(ref)
    assert run.params == {"depth": 6} and run.inputs == [] and run.metrics["loss"].figure == 0.5
    assert rooms.deliver("delay", ref, writer=writer, entries=entries).refused == []
    assert workspace.record.verify().findings == []


def test_a_run_of_another_experiment_is_not_found(workspace: Workspace) -> None:
    rooms, (ref, writer), (_, other) = workspace.experiments, fresh(), fresh()
    rooms.deliver("secret/delay", ref, writer=writer, entries=WHOLE[:2])
    for entries in (WHOLE[:2], [Resumed(seq=1), Tags(seq=2, values={"a": "b"})]):
        with pytest.raises(NotFound):
            rooms.deliver("mine", ref, writer=other, entries=entries)
    assert rooms.show(ref).tags == {}


def test_what_cannot_be_a_delivery_is_invalid(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    with pytest.raises(Invalid, match="order"):
        rooms.deliver("delay", ref, writer=writer, entries=[WHOLE[0], WHOLE[2], WHOLE[1]])
    with pytest.raises(Invalid, match="writer"):
        rooms.deliver("delay", ref, writer="me", entries=WHOLE)
    with pytest.raises(NotFound):
        rooms.deliver("delay", ref, writer=writer, entries=WHOLE[1:])
    with pytest.raises(Invalid, match="id of a run"):
        rooms.start("delay", id="../etc")


def test_a_run_with_an_id_is_started_once(workspace: Workspace) -> None:
    rooms, (ref, _) = workspace.experiments, fresh()
    first = rooms.start("delay", id=ref.name, name="once")
    assert rooms.start("delay", id=ref.name, name="twice") == first


def test_a_deleted_run_does_not_come_back_with_late_figures(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    rooms.deliver("delay", ref, writer=writer, entries=WHOLE[:4])
    rooms.delete(ref)
    with pytest.raises(NotFound):
        rooms.deliver("delay", ref, writer=writer, entries=WHOLE[4:])


def test_inputs_and_outputs_become_lineage(alone: Experiments) -> None:
    ref, writer = fresh()
    made = Ref.parse("object:abc")
    alone.deliver("delay", ref, writer=writer, entries=[WHOLE[0], Linked(seq=2, outputs=[made, made])])
    assert alone.show(ref).outputs == [made]
    with pytest.raises(Invalid):
        alone.link(ref, inputs=[made], outputs=[made])


@pytest.mark.parametrize(
    "entry",
    [
        Tags(seq=3, values={"note": "a\0b"}),
        Params(seq=3, values={"note": "a\0b"}),
        Figures(seq=3, values={"loss": 0.5}, step=2**63),
        Kept(seq=3, artifacts=[Artifact(name="a", digest="0" * 64, size=2**70)]),
    ],
    ids=["tag", "parameter", "step", "size"],
)
def test_what_a_database_cannot_hold_costs_no_more_than_its_entry(workspace: Workspace, entry: Entry) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    entries: list[Entry] = [
        *WHOLE[:2],
        entry,
        Figures(seq=4, values={"loss": 0.25}, step=1),
        Ended(seq=5, status=RunStatus.FAILED, error="a\0b"),
    ]
    told = rooms.deliver("delay", ref, writer=writer, entries=entries)
    assert told.sequence == 5 and [each.seq for each in told.refused] in ([3], [])  # SQLite holds the character NUL
    run = rooms.show(ref)
    assert (run.status, run.error, run.params["depth"]) == ("failed", "a\ufffdb", 6)
    assert rooms.curve(ref, "loss").steps == [1]


def test_figures_that_break_a_rule_do_not_take_those_around_them_along(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    entries: list[Entry] = [
        Started(seq=1),
        Figures(seq=2, values={"loss": 0.5}),
        Figures(seq=3, values={"x" * 300: 1.0}),
        Figures(seq=4, values={"loss": 0.25}),
    ]
    told = rooms.deliver("delay", ref, writer=writer, entries=entries)
    assert [(each.seq, each.code) for each in told.refused] == [(3, "invalid")]
    curve = rooms.curve(ref, "loss")
    assert (curve.steps, curve.values) == ([0, 1], [0.5, 0.25])


def test_a_figure_without_a_step_follows_the_last_of_its_metric_whatever_was_said_of_others(workspace: Workspace) -> None:
    rooms, (ref, one), (_, two) = workspace.experiments, fresh(), fresh()
    rooms.deliver("delay", ref, writer=one, entries=[Started(seq=1), Figures(seq=2, values={"auc": 0.5}, step=4)])
    more: list[Entry] = [
        Resumed(seq=1),
        Figures(seq=2, values={"loss": 0.1}, step=100),
        Figures(seq=3, values={"auc": 0.6, "loss": 0.05}),
    ]
    rooms.deliver("delay", ref, writer=two, entries=more)
    assert rooms.curve(ref, "auc").steps == [4, 5] and rooms.curve(ref, "loss").steps == [100, 101]


def test_a_run_that_cannot_begin_is_an_error_and_nothing_of_it_is_taken(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    home = rooms.create("delay").ref
    rooms.discard(home)
    with pytest.raises(Conflict, match="deleted"):
        rooms.deliver("delay", ref, writer=writer, entries=WHOLE)
    rooms.restore(home)
    assert rooms.deliver("delay", ref, writer=writer, entries=WHOLE).refused == []
    assert rooms.show(ref).metrics["loss"].figure == 0.25


def test_a_name_that_a_database_cannot_hold_keeps_no_run_from_beginning(workspace: Workspace) -> None:
    rooms, (ref, writer) = workspace.experiments, fresh()
    told = rooms.deliver("delay", ref, writer=writer, entries=[Started(seq=1, name="a\0b", reason="c\0d")])
    assert told.refused == [] and rooms.show(ref).name == "a\ufffdb"
