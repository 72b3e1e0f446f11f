"""A pipeline on a whole workspace, through every door."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.store import Direction
from modelwright.workspace import Workspace

PIPELINE = """
    import tempfile
    from pathlib import Path
    import numpy as np
    import pyarrow as pa
    from modelwright import Ref, pipeline, step
    from modelwright.pipelines import Context

    @step
    def read(context: Context, data: Ref) -> pa.Table:
        return context.workspace.datasets.read(data)

    @step
    def fit(context: Context, table: pa.Table) -> tuple[np.ndarray, float]:
        delays = table["delay"].to_numpy()
        for i, delay in enumerate(delays):
            context.log_metric("delay", float(delay), step=i)
        return delays, float("nan")

    @step
    def publish(context: Context, delays: np.ndarray) -> Ref:
        file = Path(tempfile.mkdtemp()) / "late.csv"
        file.write_text("delay\\n" + "\\n".join(str(d) for d in delays if d > 0) + "\\n")
        return context.workspace.datasets.add("late", file).ref

    @pipeline
    def train(data: Ref):
        delays, missing = fit(read(data))
        return {"late": publish(delays), "missing": missing}
"""


@pytest.fixture
def flights(workspace: Workspace, project: Any) -> Ref:
    project.write("pipeline.py", PIPELINE)
    project.write("flights.csv", "id,delay\n1,5\n2,-3\n3,40\n")
    return workspace.datasets.add("flights", project.root / "flights.csv").ref


def test_data_goes_in_a_version_comes_out_and_the_lineage_joins_them(
    workspace: Workspace, project: Any, flights: Ref
) -> None:
    result = workspace.pipelines.run(project.pipeline(), {"data": "dataset:flights@latest"})
    late = result.outputs["late"]
    assert late == Ref.parse("dataset:late@1") and result.outputs["missing"] != result.outputs["missing"]
    assert workspace.datasets.read(late).to_pydict() == {"delay": [5, 40]}
    assert result.execution.inputs == [flights] and result.made == [late]
    sources = {str(edge.source) for edge in workspace.record.lineage(late, direction=Direction.UP).edges}
    assert {str(flights), str(result.execution.ref), str(result.run)} <= sources
    assert workspace.experiments.curve(result.run, "delay").values == [5.0, -3.0, 40.0]


def test_the_second_time_everything_is_reused(workspace: Workspace, project: Any, flights: Ref) -> None:
    first = workspace.pipelines.run(project.pipeline(), {"data": flights})
    second = workspace.pipelines.run(project.pipeline(), {"data": flights})
    assert {step.state.value for step in second.steps} == {"cached"}
    assert second.made == first.made and second.run != first.run
    assert workspace.experiments.curve(second.run, "delay").total == 3


def test_steps_in_processes_of_their_own_reach_the_workspace(
    workspace: Workspace, project: Any, flights: Ref, thorough: bool
) -> None:
    if workspace.home is not None and not thorough:
        pytest.skip("test_running.py and test_killing.py have such steps in a folder; make test-all has these, too")
    if workspace.home is not None:  # another process finds the workspace by its project file
        database = workspace.home.settings.workspace.database
        (workspace.home.project / "modelwright.toml").write_text(f'[workspace]\ndatabase = "{database}"\n')
    result = workspace.pipelines.run(project.pipeline(), {"data": flights}, processes=True)
    assert result.outputs["late"] == Ref.parse("dataset:late@1")
    assert workspace.experiments.curve(result.run, "delay").total == 3


def test_a_run_that_holds_an_executions_figures_stays(workspace: Workspace, project: Any, flights: Ref) -> None:
    result = workspace.pipelines.run(project.pipeline(), {"data": flights})
    with pytest.raises(Conflict, match="execution"):
        workspace.experiments.delete(result.run)


def test_the_triggers_are_a_room_of_the_workspace(workspace: Workspace, project: Any, flights: Ref) -> None:
    workspace.pipelines.run(project.pipeline(), {"data": flights})
    workspace.triggers.define("train", "on-incident", on="monitoring.incident.opened")
    assert [each.name for each in workspace.triggers.list()] == ["on-incident"]
    assert workspace.triggers.look("train", "on-incident") == []
