"""What scripts log as files, through `mlflow` itself: texts, dicts, figures, tables, folders; and the command `mlflow`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner


@pytest.fixture(scope="module", autouse=True)
def cli() -> Any:
    """The command; first of all, for it imports what the server, in this same process, is not to meet half imported."""
    from mlflow.cli import cli

    return cli


@pytest.fixture
def run(mlflow: Any, request: pytest.FixtureRequest) -> Any:
    mlflow.set_experiment(f"files/{request.node.originalname}")
    with mlflow.start_run() as run:
        yield run


def test_texts_and_dicts_are_what_they_were(mlflow: Any, run: Any) -> None:
    mlflow.log_text("Größe: 数", "notes/a b.txt")
    mlflow.log_dict({"a": [1, 2]}, "config.json")
    mlflow.log_dict({"a": [1, 2]}, "config.yaml")
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/a b.txt") == "Größe: 数"
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/config.json") == {"a": [1, 2]}
    listed = [(each.path, each.is_dir) for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)]
    assert listed == [("config.json", False), ("config.yaml", False), ("notes", True)]


def test_figures_and_images(mlflow: Any, run: Any) -> None:
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2])
    mlflow.log_figure(figure, "plots/line.png")
    plt.close(figure)
    mlflow.log_image(np.zeros((4, 4, 3), dtype="uint8"), "plots/black.png")
    mlflow.log_image(np.zeros((4, 4, 3), dtype="uint8"), key="step", step=1)
    found = {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id, "plots")}
    assert found == {"plots/line.png", "plots/black.png"}
    assert len(mlflow.MlflowClient().list_artifacts(run.info.run_id, "images")) == 2


def test_a_table_grows(mlflow: Any, run: Any) -> None:
    mlflow.log_table({"question": ["a", "b"], "score": [1, 2]}, "answers.json")
    mlflow.log_table({"question": ["c"], "score": [3]}, "answers.json")
    table = mlflow.load_table("answers.json", run_ids=[run.info.run_id])
    assert table["question"].tolist() == ["a", "b", "c"]


def test_a_folder_in_and_out(mlflow: Any, run: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "x.bin").write_bytes(b"x" * 100_000)
    (tmp_path / "in" / "y.txt").write_text("y")
    mlflow.log_artifacts(str(tmp_path / "in"), "up")
    mlflow.log_artifact(str(tmp_path / "in" / "y.txt"))
    out = Path(
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="up", dst_path=str(tmp_path / "out"))
    )
    assert (out / "deep" / "x.bin").read_bytes() == b"x" * 100_000
    one = mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{run.info.run_id}/y.txt")
    assert Path(one).read_text() == "y"


def test_a_data_frame_is_an_input_and_its_digest_stays(mlflow: Any, run: Any) -> None:
    import pandas as pd

    dataset = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2], "b": ["x", None]}), name="rows", targets="a")
    mlflow.log_input(dataset, context="training", tags={"kind": "sample"})
    mlflow.log_input(dataset, context="training")
    (found,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("rows", dataset.digest)
    assert {each.key: each.value for each in found.tags} == {"mlflow.data.context": "training", "kind": "sample"}
    assert json.loads(found.dataset.profile)["num_rows"] == 2
    runs = mlflow.search_runs(search_all_experiments=True, filter_string="datasets.name = 'rows'", output_format="list")
    assert [each.info.run_id for each in runs] == [run.info.run_id]


def test_the_command_line_of_mlflow(
    cli: Any, mlflow: Any, run: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.log_text("hello", "up/x.txt")

    def say(*arguments: str) -> str:
        result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    experiment = run.info.experiment_id
    assert "files/test_the_command_line_of_mlflow" in say("experiments", "search")
    assert run.info.run_id in say("runs", "list", "--experiment-id", experiment)
    assert run.info.run_id in say("runs", "describe", "--run-id", run.info.run_id)
    assert "up/x.txt" in say("artifacts", "list", "--run-id", run.info.run_id, "--artifact-path", "up")
    say("artifacts", "download", "--run-id", run.info.run_id, "--artifact-path", "up", "--dst-path", str(tmp_path))
    assert (tmp_path / "up" / "x.txt").read_text() == "hello"
    (tmp_path / "z.txt").write_text("z")
    say("artifacts", "log-artifact", "--local-file", str(tmp_path / "z.txt"), "--run-id", run.info.run_id)
    assert "z.txt" in say("artifacts", "list", "--run-id", run.info.run_id)
    say("experiments", "create", "--experiment-name", "files/made by the command")
    say("experiments", "rename", "--experiment-id", experiment, "--new-name", "files/renamed by the command")
    say("runs", "delete", "--run-id", run.info.run_id)
    assert run.info.run_id not in say("runs", "list", "--experiment-id", experiment)
    say("runs", "restore", "--run-id", run.info.run_id)
