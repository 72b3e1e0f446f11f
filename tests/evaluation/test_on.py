"""A registered version is judged on the rows of a dataset's version: by a call, and at the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from modelwright.cli.entry import run as run_command
from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.evaluation import Outcome, Plan, Task
from modelwright.workspace import Workspace, open_workspace

QUICK = Plan(replicates=60, importance_replicates=60, importance_rows=300, importance_repeats=2)


def fill(workspace: Workspace) -> None:
    """A dataset of three depots, in one of which nobody can tell, and two versions of a model: the first guesses."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"noise": random.random(600), "signal": random.random(600)})
    depot = np.array(["north", "south", "east"])[np.arange(600) % 3]
    late = np.array(frame["signal"] > 0.5)
    late[depot == "east"] = random.random(200) > 0.5
    rows = pa.table({**{name: frame[name] for name in frame}, "depot": depot, "late": late, "day": np.arange(600) // 10})
    workspace.datasets.add("parcels", rows)
    for inputs in (["noise"], ["noise", "signal"]):
        fitted = LogisticRegression().fit(frame[inputs], late)
        workspace.models.log("late", fitted, example=frame[inputs])
    hours = LinearRegression().fit(frame, 3 * frame["signal"])
    workspace.models.log("hours", hours, example=frame)


def test_a_version_is_loaded_asked_and_judged(workspace: Workspace) -> None:
    fill(workspace)
    found = workspace.evaluation.evaluate_on(
        "model:late@2",
        "dataset:parcels@1",
        label="late",
        slices=["depot"],
        groups="day",
        champion="model:late@1",
        plan=QUICK,
        reason="monthly",
    )
    assert (found.rows, found.groups, found.subject) == (600, 60, Ref.parse("model:late@2"))
    assert found.comparison.outcome is Outcome.BETTER
    assert found.slices is not None and [each.value for each in found.slices.flagged] == ["east"]
    assert found.importance is not None and found.importance.inputs[0].name == "signal"
    kinds = {each.kind for each in workspace.evaluation.show(Ref.parse("model:late@2"))}
    assert kinds == {"evaluation", "calibration", "slices", "comparison", "importance"}
    north = workspace.evaluation.evaluate_on(
        "model:late@2", "dataset:parcels@1", label="late", where="depot = 'north'", importance=False, plan=QUICK
    )
    assert (north.rows, north.importance) == (200, None)
    assert (north.metrics["roc_auc"].value or 0) > 0.99


def test_a_number_is_judged_too(embedded: Workspace) -> None:
    fill(embedded)
    rows = embedded.datasets.read("dataset:parcels@1").drop_columns(["late"])
    embedded.datasets.add("hours", rows.append_column("hours", pa.array(3 * rows["signal"].to_numpy())))
    plan = Plan(task=Task.REGRESSION, replicates=60, importance_replicates=60)
    found = embedded.evaluation.evaluate_on("model:hours@1", "dataset:hours@1", label="hours", plan=plan)
    assert found.metrics["mae"].value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "lat"}, "no column 'lat'"),
        ({"label": "depot"}, "holds no numbers"),
        ({"slices": ["colour"]}, "no column 'colour'"),
        ({"groups": "week"}, "no column 'week'"),
        ({"subject": "model:late"}, "not pinned"),
        ({"dataset": "dataset:parcels"}, "not pinned"),
        ({"subject": "dataset:parcels@1"}, "cannot be loaded"),
        ({"dataset": "dataset:bare@1"}, "'signal', which model:late@2 takes"),
        ({"dataset": "dataset:open@1"}, "1 of 600 rows have no 'late'"),
    ],
)
def test_what_does_not_fit_is_told(embedded: Workspace, change: dict[str, Any], said: str) -> None:
    fill(embedded)
    rows = embedded.datasets.read("dataset:parcels@1")
    embedded.datasets.add("bare", rows.drop_columns(["signal"]))
    unknown = pa.array([None, *rows["late"].to_pylist()[1:]])
    embedded.datasets.add("open", rows.set_column(rows.column_names.index("late"), "late", unknown))
    asked: dict[str, Any] = {"subject": "model:late@2", "dataset": "dataset:parcels@1", "label": "late", "plan": QUICK}
    asked |= change
    with pytest.raises(Invalid, match=said):
        embedded.evaluation.evaluate_on(asked.pop("subject"), asked.pop("dataset"), **asked)
    assert embedded.evaluation.show(Ref.parse("model:late@2")) == []


def test_the_command_tells_a_person_and_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "modelwright.toml").touch()
    with open_workspace(tmp_path) as workspace:
        fill(workspace)
    asked = ["evaluate", "model:late@2", "dataset:parcels@1", "--label", "late", "-w", str(tmp_path)]
    assert run_command([*asked, "--champion", "model:late@1", "--slice", "depot", "-m", "monthly"]) == 0
    told = capsys.readouterr().out
    assert "model:late@2 on dataset:parcels@1: 600 rows" in told
    assert "better than model:late@1" in told
    assert "east" in told and "signal" in told
    assert run_command([*asked, "--rows", "depot = 'north'", "--no-importance", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 200
    assert run_command([*asked, "--task", "guess"]) == 2
    assert run_command([*asked, "--rows", "depot = "]) == 2
    assert "depot" in capsys.readouterr().err
