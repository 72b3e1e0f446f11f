"""The handle that a script logs through."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.experiments import Experiments, RunStatus
from modelwright.experiments.capturing import UNTOLD, capture, masked
from modelwright.tracking.spool import Waiting
from tests.waiting import eventually


def test_a_with_block_logs_and_finishes(experiments: Experiments, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with experiments.run("delay", capture=False) as run:
        run.log_params({"depth": 6, "path": Path("x")})
        for value in (0.5, 0.6, 0.7):
            run.log_metric("auc", value)
        run.log_metrics({"loss": 1.0, "recall": 0.2}, step=7)
        run.log_artifact(tmp_path / "notes.txt")
        run.log_artifact(b"\x89PNG", "plots/roc.png")
    found = experiments.show(run.ref)
    assert found.status is RunStatus.FINISHED and found.params == {"depth": 6, "path": "x"}
    assert experiments.curve(run.ref, "auc").steps == [0, 1, 2]
    assert found.metrics["loss"].step == 7
    assert {each.name: each.media_type for each in found.artifacts} == {
        "notes.txt": "text/plain",
        "plots/roc.png": "image/png",
    }
    assert experiments.blobs.read(found.artifacts[0].digest) == b"hello"


def test_an_error_fails_the_run_keeps_its_figures_and_goes_on_up(experiments: Experiments) -> None:
    with pytest.raises(ValueError, match="no rows"), experiments.run("delay", capture=False) as run:
        run.log_metric("auc", 0.5)
        raise ValueError("no rows")
    found = experiments.show(run.ref)
    assert found.status is RunStatus.FAILED and found.error == "ValueError: no rows"
    assert found.metrics["auc"].figure == 0.5


def test_an_interruption_is_told_from_a_failure(experiments: Experiments) -> None:
    with pytest.raises(KeyboardInterrupt), experiments.run("delay", capture=False) as run:
        raise KeyboardInterrupt
    assert experiments.show(run.ref).status is RunStatus.KILLED


def test_figures_arrive_while_the_run_goes_on(experiments: Experiments) -> None:
    with experiments.run("delay", capture=False) as run:
        run.log_metric("auc", 0.5)
        eventually(lambda: experiments.show(run.ref).metrics, "A figure")
        assert experiments.show(run.ref).metrics["auc"].figure == 0.5


def test_figures_from_several_threads_all_arrive(experiments: Experiments) -> None:
    with experiments.run("delay", capture=False) as run:
        threads = [threading.Thread(target=lambda n=n: [run.log_metric(f"m{n}", i) for i in range(200)]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [experiments.curve(run.ref, f"m{n}").total for n in range(4)] == [200] * 4


def test_a_mistake_is_raised_where_it_is_made(experiments: Experiments) -> None:
    with experiments.run("delay", capture=False) as run:
        run.log_param("depth", 6)
        with pytest.raises(Conflict):
            run.log_param("depth", 7)
        with pytest.raises(Invalid, match="no file"):
            run.log_artifact("nowhere.txt")
        with pytest.raises(Invalid, match="name"):
            run.log_artifact(b"x")
        with pytest.raises(Invalid, match="not a chart"):
            run.log_figure(object(), "chart")


def test_a_chart_is_kept_in_its_librarys_format(alone: Experiments) -> None:
    altair = pytest.importorskip("altair")
    chart = altair.Chart(altair.Data(values=[{"x": 1, "y": 2}])).mark_point().encode(x="x:Q", y="y:Q")
    with alone.run("delay", capture=False) as run:
        artifact = run.log_figure(chart, "roc")
    assert artifact.name == "roc.vl.json" and b"vega-lite" in alone.blobs.read(artifact.digest)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_captured_patch_rebuilds_the_uncommitted_code(alone: Experiments, tmp_path: Path) -> None:
    project, rebuilt = tmp_path / "project", tmp_path / "rebuilt"
    project.mkdir()
    git(project, "init", "-q")
    (project / "pipeline.py").write_text("x = 1\n")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    (project / "pipeline.py").write_text("x = 2\n")
    (project / "new.py").write_text("y = 3\n")
    (project / "large.bin").write_bytes(b"0" * (2 << 20))
    found = capture(alone.blobs, project, seeds={"numpy": 7})
    assert found.dirty and found.diff and found.left_out == ["large.bin"] and found.seeds == {"numpy": 7}
    git(tmp_path, "clone", "-q", str(project), str(rebuilt))
    alone.blobs.fetch(found.diff, tmp_path / "patch")
    git(rebuilt, "checkout", "-q", found.commit)
    git(rebuilt, "apply", str(tmp_path / "patch"))
    assert (rebuilt / "pipeline.py").read_text() == "x = 2\n" and (rebuilt / "new.py").read_text() == "y = 3\n"


def test_outside_a_repository_the_rest_is_still_captured(alone: Experiments, tmp_path: Path) -> None:
    found = capture(alone.blobs, tmp_path)
    assert found.commit == "" and found.diff is None
    assert b"msgspec==" in alone.blobs.read(found.packages or "")
    assert found.hardware and found.hardware.cores >= 1 and found.python.startswith("3.")


def test_secrets_on_the_command_line_are_masked() -> None:
    command = ["mw", "run", "--token", "abc", "password=hunter2", "--db=postgresql://ada:pw@host/db", "--depth", "6"]
    shown = ["mw", "run", "--token", "***", "password=***", "--db=postgresql://ada:***@host/db", "--depth", "6"]
    assert masked(command) == shown


def test_a_script_that_says_it_is_done_ends_its_run_as_finished(experiments: Experiments) -> None:
    for code, status in ((0, RunStatus.FINISHED), (None, RunStatus.FINISHED), (3, RunStatus.KILLED)):
        with pytest.raises(SystemExit), experiments.run("delay", capture=False) as run:
            raise SystemExit(code)
        assert experiments.show(run.ref).status is status


def repository(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "train.py").write_text("x = 1\ny = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    (folder / "train.py").write_text("x = 2\ny = 1\n")
    (folder / "new.py").write_text("new\n")
    return folder


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("diff.external", "true"),
        ("diff.context", "0"),
        ("diff.orderFile", "nowhere"),
        ("diff.py.textconv", "wc -c"),
    ],
)
def test_changes_are_captured_as_a_patch_however_git_is_set_up(tmp_path: Path, setting: str, value: str) -> None:
    folder, kept = repository(tmp_path / "here"), Waiting(tmp_path / "kept")
    (folder / ".git" / "info" / "attributes").write_text("*.py diff=py\n")
    git(folder, "config", setting, value)
    found = capture(kept, folder)
    assert found.diff is not None and found.left_out == []
    git(folder, "worktree", "add", "-q", "--detach", str(tmp_path / "there"), "HEAD")
    git(tmp_path / "there", "apply", str(kept.path(found.diff)))
    assert {each.name: each.read_text() for each in (tmp_path / "there").glob("*.py")} == {
        "train.py": "x = 2\ny = 1\n",
        "new.py": "new\n",
    }


def test_changes_that_git_does_not_tell_are_not_taken_for_none(tmp_path: Path) -> None:
    folder = repository(tmp_path / "here")
    git(folder, "config", "diff.algorithm", "nonsense")
    found = capture(Waiting(tmp_path / "kept"), folder)
    assert found.dirty and found.left_out == [UNTOLD, "new.py"]


def test_code_in_a_folder_that_is_not_in_utf_8_is_captured(tmp_path: Path) -> None:
    folder = repository(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    assert capture(Waiting(tmp_path / "kept"), folder).diff


def test_what_only_sounds_like_a_secret_is_not_masked() -> None:
    words = ["t.py", "--max-tokens", "512", "--tokenizer=bert", "--passes", "3", "--bypass-cache", "yes"]
    assert masked(words) == words
    assert masked(["t.py", "--hf_token=a", "--passphrase", "b", "API_KEYS=c", "--secrets", "d"]) == [
        *("t.py", "--hf_token=***", "--passphrase", "***", "API_KEYS=***", "--secrets", "***")
    ]
