"""Running a pipeline, reusing what has not changed, and saying why."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.core.errors import Conflict, Invalid, Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiments, RunStatus
from modelwright.pipelines import Pipelines
from modelwright.pipelines.errors import StepFailed
from modelwright.pipelines.records import ExecutionState
from modelwright.store import Embedded, catalog

STORY = """
    from helpers import double
    from other import triple
    from modelwright import pipeline, step

    OFFSET = 1

    @step
    def load(month: int) -> dict:
        return {"rows": [month, month + 1], "name": "flights"}

    @step
    def fit(rows: list, depth: int = 2) -> float:
        return double(sum(rows)) * depth + OFFSET

    @step
    def report(name: str) -> str:
        return triple(name)

    @pipeline
    def train(month: int = 3):
        loaded = load(month)
        return {"score": fit(loaded["rows"]), "text": report(loaded["name"])}
"""


def states(result: Any) -> dict[str, str]:
    return {step.key: step.state.value for step in result.steps}


def why(result: Any, key: str) -> list[str]:
    return next(step.why for step in result.steps if step.key == key)


@pytest.fixture
def story(project: Any) -> Any:
    project.write("helpers.py", "def double(x):\n    return 2 * x\n")
    project.write("other.py", "def triple(x):\n    return 3 * x\n")
    project.write("pipeline.py", STORY)
    return project


def test_a_pipeline_gives_what_its_plain_functions_would(story: Any, run: Any) -> None:
    result = run({"month": 5})
    assert result.outputs == story.pipeline()(month=5) == {"score": 45, "text": "flightsflightsflights"}
    assert set(states(result).values()) == {"done"}
    assert why(result, "load") == ["it has not run before"]


def test_nothing_changed_so_nothing_runs(story: Any, run: Any) -> None:
    first, second = run(), run()
    assert set(states(second).values()) == {"cached"}
    assert second.outputs == first.outputs
    assert why(second, "fit") == [f"nothing that it rests on has changed since {first.execution.ref}"]


def test_a_changed_helper_runs_what_imports_it_and_only_that(story: Any, run: Any) -> None:
    run()
    story.change("helpers.py", "2 * x", "x + x + 1")
    result = run()
    assert states(result) == {"load": "cached", "fit": "done", "report": "cached"}
    assert why(result, "fit") == ["code of module helpers.py changed"]
    assert result.outputs["score"] == 31


def test_a_helper_of_a_helper_counts_too(story: Any, run: Any) -> None:
    story.write("deep.py", "FACTOR = 2\n")
    story.write("helpers.py", "from deep import FACTOR\n\ndef double(x):\n    return FACTOR * x\n")
    run()
    story.change("deep.py", "2", "4")
    result = run()
    assert states(result) == {"load": "cached", "fit": "done", "report": "cached"}
    assert why(result, "fit") == ["code of module deep.py changed"]


def test_comments_layout_and_docstrings_change_nothing(story: Any, run: Any) -> None:
    run()
    story.change("helpers.py", "def double(x):", 'def double(x):\n    """Twice."""\n    # as said')
    story.change("pipeline.py", "OFFSET = 1", "# the offset\n\nOFFSET = 1")
    assert set(states(run()).values()) == {"cached"}


def test_a_changed_constant_runs_the_steps_that_use_it(story: Any, run: Any) -> None:
    run()
    story.change("pipeline.py", "OFFSET = 1", "OFFSET = 2")
    result = run()
    assert states(result) == {"load": "cached", "fit": "done", "report": "cached"}
    assert why(result, "fit") == ["code of OFFSET changed"]


def test_a_changed_step_runs_and_what_uses_its_result_only_if_that_changed(story: Any, run: Any) -> None:
    run()
    story.change("pipeline.py", '"name": "flights"', '"name": "planes"')
    result = run()
    assert states(result) == {"load": "done", "fit": "cached", "report": "done"}
    assert why(result, "load") == ["code of load changed"]
    assert why(result, "report") == ['input name changed: "flights" → "planes"']


def test_a_changed_parameter_is_named_with_both_values(story: Any, run: Any) -> None:
    run({"month": 3})
    result = run({"month": 4})
    assert why(result, "load") == ["parameter month changed: 3 → 4"]
    assert states(result)["report"] == "cached"


def test_a_forced_step_runs(story: Any, run: Any) -> None:
    run()
    result = run(force=["fit"])
    assert states(result) == {"load": "cached", "fit": "done", "report": "cached"}
    assert why(result, "fit") == ["it was forced"]


def test_a_step_that_must_not_be_reused_runs_each_time(story: Any, run: Any) -> None:
    story.change("pipeline.py", "@step\ndef load", "@step(cache=False)\ndef load")
    run()
    result = run()
    assert states(result) == {"load": "done", "fit": "cached", "report": "cached"}
    assert why(result, "load") == ["it is declared to run each time (cache=False)"]


def test_a_lost_object_makes_its_step_run_again(project: Any, run: Any, tmp_path: Any) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import pipeline, step

        @step
        def make() -> bytes:
            return b"a result"

        @pipeline
        def train():
            return make()
        """,
    )
    run()
    for file in (tmp_path / "objects").rglob("*"):
        if file.is_file() and file.read_bytes() == b"a result":
            file.chmod(0o600)
            file.unlink()
    result = run()
    assert why(result, "make") == ["its stored result is gone, or what it made is no longer in use"]
    assert result.outputs == b"a result"


def test_a_package_that_is_not_there_is_to_be_installed(story: Any, run: Any) -> None:
    story.change("pipeline.py", "return triple(name)", "import no_such_package.inner")
    with pytest.raises(StepFailed, match="No module named 'no_such_package'") as failed:
        run()
    assert str(failed.value.mend).startswith("Install what 'no_such_package' comes with")


def test_a_failure_is_recorded_and_the_next_run_begins_where_it_broke(story: Any, run: Any, pipelines: Pipelines) -> None:
    story.change("pipeline.py", "return triple(name)", 'raise ValueError("no name")')
    with pytest.raises(StepFailed, match="report failed: ValueError: no name"):
        run()
    failed = pipelines.list_executions().items[0]
    assert failed.state is ExecutionState.FAILED
    assert pipelines.experiments.show(failed.run).status is RunStatus.FAILED
    story.change("pipeline.py", 'raise ValueError("no name")', "return triple(name)")
    assert states(run()) == {"load": "cached", "fit": "cached", "report": "done"}


def test_a_step_is_tried_again_as_often_as_it_says(project: Any, run: Any) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import pipeline, step
        from modelwright.pipelines import Context

        @step(retries=2)
        def shaky(context: Context) -> int:
            if context.attempt < 3:
                raise OSError("not yet")
            return context.attempt

        @pipeline
        def train():
            return shaky()
        """,
    )
    result = run()
    assert result.outputs == 3
    assert [attempt.outcome for attempt in result.steps[0].attempts] == ["failed", "failed", "done"]
    assert "not yet" in result.steps[0].attempts[0].error


def test_figures_and_outputs_of_a_reused_step_come_along(project: Any, run: Any, pipelines: Pipelines) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import pipeline, step
        from modelwright.pipelines import Context

        @step
        def fit(context: Context, depth: int) -> float:
            for i in range(5):
                context.log_metric("loss", 1 / (i + depth))
            context.log_params({"depth_used": depth})
            context.log_artifact(b"<svg/>", "tree.svg")
            context.log_output("run:01ARZ3NDEKTSV4RRFFQ69G5FAV")
            return 0.7

        @pipeline
        def train(depth: int = 2):
            return fit(depth)
        """,
    )
    first, second = run(), run()
    assert states(second) == {"fit": "cached"} and first.run != second.run
    for result in (first, second):
        shown = pipelines.experiments.show(result.run)
        assert shown.status is RunStatus.FINISHED
        assert shown.params == {"depth": 2, "depth_used": 2}
        assert shown.metrics["loss"].figure == 1 / 6
        assert [each.name for each in shown.artifacts] == ["tree.svg"]
        assert shown.outputs == [Ref(Kind.RUN, "01ARZ3NDEKTSV4RRFFQ69G5FAV")] == result.made
        assert pipelines.experiments.curve(result.run, "loss").total == 5


def test_refs_are_pinned_and_count_by_what_they_name(project: Any, run: Any, caller: Embedded) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import Ref, pipeline, step

        @step
        def read(data: Ref) -> str:
            return str(data)

        @pipeline
        def train(data: Ref):
            return read(data)
        """,
    )

    def add(digest: str) -> None:
        with caller.transaction(write=True) as tx:
            catalog.add(tx, Kind.DATASET, "flights", digest=digest * 64, record={})

    add("a")
    first = run({"data": "dataset:flights@latest"})
    assert first.outputs == "dataset:flights@1"
    assert first.execution.inputs == [Ref.parse("dataset:flights@1")]
    assert states(run({"data": "dataset:flights"})) == {"read": "cached"}
    add("b")
    again = run({"data": "dataset:flights@latest"})
    assert why(again, "read") == ["input data changed: dataset:flights@1 → dataset:flights@2"]


def test_seeds_make_a_step_repeatable_and_leave_the_process_alone(project: Any, run: Any) -> None:
    project.write(
        "pipeline.py",
        """
        import random
        import numpy as np
        from modelwright import pipeline, step

        @step(cache=False)
        def draw() -> list:
            return [random.random(), float(np.random.rand())]

        @pipeline
        def train():
            return draw()
        """,
    )
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    first, second, other = run().outputs, run().outputs, run(seed=7).outputs
    assert first == second != other
    assert random.random() == expected


def test_a_result_that_has_no_safe_form_names_the_step_and_the_type(project: Any, run: Any) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import pipeline, step

        @step
        def make() -> object:
            return {"inner": [object()]}

        @pipeline
        def train():
            return make()
        """,
    )
    with pytest.raises(StepFailed, match=r"step make\['inner'\]\[0\] is a builtins.object"):
        run()


def test_a_wrong_parameter_starts_nothing(story: Any, run: Any, pipelines: Pipelines) -> None:
    for wrong in ({"moth": 3}, {"month": "many"}):
        with pytest.raises(Invalid, match=r"moth|month"):
            run(wrong)
    assert pipelines.list_executions().items == []


def test_a_version_is_made_when_code_or_graph_changes_and_only_then(story: Any, run: Any) -> None:
    first, second = run(), run({"month": 4})
    assert first.execution.pipeline == second.execution.pipeline
    story.change("helpers.py", "2 * x", "4 * x")
    assert run().execution.pipeline.version == 2


def test_a_step_in_a_process_of_its_own_gives_the_same(story: Any, run: Any) -> None:
    here, there = run(), run(processes=True, force=["*"])
    assert there.outputs == here.outputs and set(states(there).values()) == {"done"}


def test_a_step_that_takes_too_long_is_ended(project: Any, run: Any) -> None:
    project.write(
        "pipeline.py",
        """
        import time
        from modelwright import pipeline, step

        @step(timeout=1.5)
        def sleep() -> int:
            time.sleep(60)
            return 1

        @pipeline
        def train():
            return sleep()
        """,
    )
    with pytest.raises(StepFailed, match=r"not done after 1\.5 s"):
        run()


def test_a_file_that_changed_after_it_was_loaded_is_not_taken_for_what_runs(story: Any, pipelines: Pipelines) -> None:
    loaded = story.pipeline()
    story.change("helpers.py", "2 * x", "5 * x")
    with pytest.raises(Conflict, match=r"helpers\.py has changed since it was loaded"):
        pipelines.run(loaded, root=story.root)
    assert pipelines.run(story.pipeline(), root=story.root).outputs["score"] == 71


def test_a_step_whose_model_was_retired_makes_another(project: Any, run: Any, caller: Embedded) -> None:
    project.write(
        "pipeline.py",
        """
        from modelwright import Ref, pipeline, step

        @step
        def publish() -> Ref:
            return Ref.parse("model:delay@1")

        @pipeline
        def train():
            return publish()
        """,
    )
    with caller.transaction(write=True) as tx:
        catalog.add(tx, Kind.MODEL, "delay", digest="a" * 64, record={})
    run()
    assert states(run()) == {"publish": "cached"}
    with caller.transaction(write=True) as tx:
        catalog.retire(tx, Ref.parse("model:delay@1"), None)
    assert states(run()) == {"publish": "done"}


class Restarting:
    """A caller whose server is away for the first few of some operations."""

    def __init__(self, inner: Embedded, away: dict[str, int]) -> None:
        self._inner, self._away = inner, away

    @property
    def blobs(self) -> Any:
        return self._inner.blobs

    @property
    def principal(self) -> Any:
        return self._inner.principal

    def call(self, room: Any, operation: Any, arguments: Any) -> Any:
        answer_lost = operation.name == "complete" and self._away.get("complete", 0) > 0
        if answer_lost:
            self._inner.call(room, operation, arguments)  # it arrived, but the answer did not
        if self._away.get(operation.name, 0) > 0:
            self._away[operation.name] -= 1
            raise Unavailable("The server does not answer.")
        return self._inner.call(room, operation, arguments)


def test_a_server_that_is_away_for_a_moment_costs_no_work(story: Any, caller: Embedded) -> None:
    restarting = Restarting(caller, {"claim": 2, "complete": 1, "finish": 1})
    pipelines = Pipelines(restarting, experiments=Experiments(restarting))
    result = pipelines.run(story.pipeline(), root=story.root)
    assert result.outputs["score"] == 29
    assert all([each.outcome for each in step.attempts] == ["done"] for step in result.steps)
