"""Experiments by any name: made, renamed, put away and brought back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.experiments import DatasetRead, Experiments, Lifecycle, ModelRole, ModelUse, Point
from modelwright.experiments.intake import ForeignExperiment
from modelwright.workspace import Workspace

TITLE = "My first / experiment (ü)"


def test_a_title_may_be_any_text_and_its_ref_is_made_from_it(experiments: Experiments) -> None:
    made = experiments.create(TITLE)
    assert made.title == TITLE and made.name.startswith("My-first-experiment-")
    assert experiments.create(TITLE) == made == experiments.create(made.name)
    assert experiments.experiment(made.ref) == made
    assert experiments.start(TITLE).experiment == made.name
    assert experiments.experiment(made.ref).runs == 1


def test_a_title_that_is_a_name_is_the_name(experiments: Experiments) -> None:
    made = experiments.create("pricing/delay")
    assert (made.name, made.title, made.id) == ("pricing/delay", "pricing/delay", 1)


def test_a_new_experiment_has_its_tags_from_the_beginning(experiments: Experiments) -> None:
    made = experiments.create("delay", tags={"owner": "ada", "note": ""})
    assert made.tags == {"owner": "ada", "note": ""}
    assert experiments.create("delay", tags={"owner": "bob"}) == made


def test_the_experiment_called_default_has_the_number_zero(experiments: Experiments) -> None:
    experiments.create("other")
    assert experiments.create("Default").id == 0
    assert experiments.create("third").id == 2


@pytest.mark.parametrize("title", ["", "x" * 501, "a\0b"])
def test_some_texts_are_no_title(experiments: Experiments, title: str) -> None:
    with pytest.raises(Invalid, match="The title of an experiment"):
        experiments.create(title)


def test_a_discarded_experiment_takes_its_runs_along_and_brings_them_back(experiments: Experiments) -> None:
    kept, away = experiments.start("delay"), experiments.start("delay")
    experiments.discard(away.ref)
    ref = Ref.parse("experiment:delay")
    experiments.discard(ref)
    experiments.discard(ref)
    assert experiments.experiment(ref).lifecycle is Lifecycle.DELETED
    assert experiments.list().items == [] == experiments.list_experiments().items
    assert [each.name for each in experiments.list_experiments(Filter(state="deleted")).items] == ["delay"]
    with pytest.raises(Conflict, match="deleted"):
        experiments.start("delay")
    with pytest.raises(Conflict, match="deleted"):
        experiments.log(kept.ref, params={"a": 1})
    experiments.restore(ref)
    assert [run.id for run in experiments.list().items] == [kept.id]
    assert [run.id for run in experiments.list(Filter(state="deleted")).items] == [away.id]
    experiments.restore(away.ref)
    assert experiments.show(away.ref).lifecycle is Lifecycle.ACTIVE


def test_a_renamed_experiment_is_found_by_its_new_name_only(experiments: Experiments) -> None:
    run = experiments.start("delay")
    other = experiments.create("fraud")
    renamed = experiments.rename(Ref.parse("experiment:delay"), "New name!")
    assert experiments.show(run.ref).experiment == renamed.name
    with pytest.raises(NotFound):
        experiments.experiment(Ref.parse("experiment:delay"))
    with pytest.raises(Conflict, match="New name"):
        experiments.rename(other.ref, "New name!")


def test_tags_of_an_experiment_are_set_and_taken_away(experiments: Experiments) -> None:
    ref = experiments.create("delay").ref
    long = "x" * 20_000
    assert experiments.tag_experiment(ref, {"a": "1", "b": long}).tags == {"a": "1", "b": long}
    assert experiments.tag_experiment(ref, {"a": None}).tags == {"b": long}
    assert [each.name for each in experiments.list_experiments(Filter(tags={"b": long})).items] == ["delay"]


def test_a_run_says_what_it_read_and_which_models_it_took_in_and_made(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    read = DatasetRead(name="flights", digest="abc", source="s3://x", tags={"mlflow.data.context": "train"})
    used = [ModelUse(model="m-1", role=ModelRole.INPUT), ModelUse(model="m-2", role=ModelRole.OUTPUT, step=3)]
    for _ in range(2):
        experiments.log(ref, datasets=[read], models=used)
    run = experiments.show(ref)
    assert run.datasets == [read] and run.models == used


def test_a_run_is_named_by_its_tag_and_the_tag_by_the_run(experiments: Experiments) -> None:
    run = experiments.start("delay", tags={"mlflow.runName": "one"})
    assert run.name == "one" and run.tags == {}
    experiments.log(run.ref, tags={"mlflow.runName": "two", "mlflow.parentRunId": "abc"})
    shown = experiments.show(run.ref)
    assert (shown.name, shown.parent) == ("two", "abc")
    assert experiments.tag(run.ref, {"mlflow.runName": "three"}).name == "three"


def test_a_run_may_have_begun_and_ended_before_it_was_told_of(experiments: Experiments) -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)
    run = experiments.start("delay", started_at=start, user="ada")
    done = experiments.finish(run.ref, ended_at=end)
    assert (done.started_at, done.ended_at, done.seconds, done.user) == (start, end, 86400.0, "ada")


def test_long_tags_and_parameters_come_back_whole(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    value, key = "ü" * 8000, "k" * 250
    experiments.log(ref, tags={key: value}, params={"p": value, "empty": "", "flag": True, "number": 1.5})
    run = experiments.show(ref)
    assert run.tags == {key: value}
    assert run.params == {"empty": "", "flag": True, "number": 1.5, "p": value}
    assert [each.id for each in experiments.list(Filter(tags={key: value})).items] == [run.id]
    assert experiments.list(Filter(tags={key: value[:-1]})).items == []


def test_of_points_of_one_step_and_time_the_highest_is_the_last_and_none_is_lost(experiments: Experiments) -> None:
    ref = experiments.start("delay").ref
    now = datetime(2020, 1, 1, tzinfo=UTC)
    for value in (1.0, 3.0, 2.0, 2.0):
        experiments.log(ref, points=[Point.of("loss", value, step=0, time=now)])
    assert experiments.curve(ref, "loss").values == [1.0, 2.0, 3.0]
    assert experiments.show(ref).metrics["loss"].figure == 3.0


def test_numbers_that_were_brought_are_in_nobodys_way(workspace: Workspace) -> None:
    """A server tells its newest experiments first, and PostgreSQL counts for itself."""
    brought = [ForeignExperiment(id=str(number), title=f"e{number}") for number in (3, 2, 1, 10**9)]
    numbers = workspace.intake.experiments(brought, source="there")
    assert (numbers["3"], numbers["2"], numbers["1"], numbers[str(10**9)]) == (3, 2, 1, 4)
    assert [workspace.experiments.create(title).id for title in ("own", "Default", "another")] == [5, 0, 6]
