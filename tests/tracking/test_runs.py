"""What a script says through `import modelwright as mw` is what the workspace holds."""

from __future__ import annotations

import contextvars
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import modelwright as mw
from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.experiments import RunStatus
from modelwright.workspace import Workspace
from tests.waiting import LONG

NONE = {"capture": False, "system_metrics": False}


def test_all_that_is_logged_arrives_through_every_door(workspace: Workspace, tmp_path: Path) -> None:
    data = workspace.datasets.add("flights", pa.table({"delay": [1.0, 2.0]}))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello")
    with mw.start_run("delay", workspace=workspace, tags={"idea": "wind"}, system_metrics=False, seeds={"np": 7}) as run:
        assert mw.active_run() is run
        run.patience = LONG
        mw.log_params({"depth": 6, "path": Path("x")})
        mw.log_param("rate", np.float32(0.5))
        for value in (0.5, 0.25, float("nan"), float("inf")):
            mw.log_metric("loss", value)
        mw.log_metrics({"auc": np.float64(0.7), "loss": 0.1}, step=9)
        mw.log_table({"x": [1, 2], "y": ["a", "b"]}, "rows")
        mw.log_text("all well", "log.txt")
        mw.log_dict({"a": [1]}, "a.json")
        mw.log_artifact(tmp_path / "notes" / "a.txt", "one.txt")
        mw.log_artifacts(tmp_path / "notes", under="notes")
        workspace.datasets.read("dataset:flights")
        mw.set_tags({"team": "post", "round": 3})
        with mw.start_run(nested=True, workspace=workspace, **NONE) as inner:
            inner.patience = LONG
            mw.log_metric("fold", 1.0)
        assert mw.active_run() is run
    assert mw.active_run() is None
    found = workspace.experiments.show(run.ref)
    assert found.status is RunStatus.FINISHED and found.name == run.name
    assert found.params == {"depth": 6, "path": "x", "rate": 0.5}
    assert found.tags == {"idea": "wind", "team": "post", "round": "3"}
    assert found.inputs == [data.ref]
    curve = workspace.experiments.curve(run.ref, "loss")
    assert (curve.steps, curve.values) == ([0, 1, 2, 3, 9], [0.5, 0.25, "NaN", "Infinity", 0.1])
    files = {each.name: workspace.experiments.blobs.read(each.digest) for each in found.artifacts}
    assert sorted(files) == ["a.json", "log.txt", "notes/a.txt", "one.txt", "rows.parquet"]
    assert pq.read_table(io.BytesIO(files["rows.parquet"])).to_pydict() == {"x": [1, 2], "y": ["a", "b"]}
    assert files["one.txt"] == files["notes/a.txt"] == b"hello" and files["a.json"] == b'{"a":[1]}'
    assert found.capture.seeds == {"np": 7} and found.capture.packages is not None
    assert b"msgspec==" in workspace.experiments.blobs.read(found.capture.packages)
    part = workspace.experiments.show(inner.ref)
    assert (part.experiment, part.parent) == ("delay", run.id)


def test_a_mistake_is_raised_where_it_is_made_and_the_run_goes_on(here: Workspace) -> None:
    with mw.start_run("delay", **NONE) as run:
        for wrong in ("0.5", None, [1.0, 2.0], 1j, object()):
            with pytest.raises(Invalid, match="number"):
                mw.log_metric("loss", wrong)  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="step"):
            mw.log_metric("loss", 1.0, step=0.5)  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="name"):
            mw.log_metric("", 1.0)
        mw.log_param("depth", 6)
        mw.log_param("depth", 6)
        with pytest.raises(Conflict, match="cannot become 7"):
            mw.log_params({"rate": 0.1, "depth": 7})
        with pytest.raises(Invalid, match="no file"):
            mw.log_artifact("nowhere.txt")
        with pytest.raises(Invalid, match="relative path"):
            mw.log_text("x", "../../x")
        with pytest.raises(Invalid, match="not a table"):
            mw.log_table(object(), "rows")
        with pytest.raises(Invalid, match="cannot be kept"):
            mw.log_table({"a": [1, 2], "b": [1]}, "rows")
        with pytest.raises(Invalid, match="tag"):
            mw.set_tag("", "x")
        mw.log_metric("loss", 0.5)
    found = here.experiments.show(run.ref)
    assert (found.status, found.params) == ("finished", {"depth": 6})
    assert here.experiments.curve(run.ref, "loss").values == [0.5] and found.artifacts == []


def test_an_experiment_is_named_by_any_title(here: Workspace) -> None:
    for _ in range(2):
        with mw.start_run("Späte Flüge (2013)", **NONE) as run, mw.start_run(nested=True, **NONE) as inner:
            mw.log_metric("loss", 0.5)
    (found,) = here.experiments.list_experiments().items
    assert (found.title, found.runs) == ("Späte Flüge (2013)", 4)
    assert {here.experiments.show(each.ref).experiment for each in (run, inner)} == {found.name}
    for wrong in ("x" * 501, "a\0b", 7):
        with pytest.raises(Invalid, match="title"):
            mw.start_run(wrong, **NONE)  # type: ignore[arg-type]


def test_a_run_ends_as_its_block_does(here: Workspace) -> None:
    with pytest.raises(ValueError, match="no rows"), mw.start_run("delay", **NONE) as failed:
        raise ValueError("no rows")
    with pytest.raises(KeyboardInterrupt), mw.start_run("delay", **NONE) as killed:
        raise KeyboardInterrupt
    found = here.experiments.show(failed.ref)
    assert (found.status, found.error) == ("failed", "ValueError: no rows")
    assert here.experiments.show(killed.ref).status is RunStatus.KILLED
    with pytest.raises(Conflict, match="is failed"):
        failed.log_metric("loss", 1.0)


def test_plain_runs_nest_only_where_that_is_said(here: Workspace) -> None:
    outer = mw.start_run("delay", **NONE)
    with pytest.raises(Conflict, match="nested=True"):
        mw.start_run("delay", **NONE)
    inner = mw.start_run("delay", nested=True, **NONE)
    mw.end_run()
    mw.log_metric("loss", 1.0)
    mw.end_run("failed", error="too slow")
    mw.end_run()
    assert here.experiments.show(outer.ref).error == "too slow"
    assert here.experiments.show(inner.ref).metrics == {}
    with pytest.raises(Conflict, match="No run is active"):
        mw.log_metric("loss", 1.0)


def test_a_run_is_gone_on_with_by_its_id(here: Workspace) -> None:
    with mw.start_run("delay", **NONE) as first:
        mw.log_metrics({"loss": 0.5})
        mw.log_metrics({"loss": 0.4})
    with mw.start_run("delay", run=first.ref, **NONE) as second:
        assert second.id == first.id
        mw.log_metric("loss", 0.3)
        mw.log_metric("loss", 0.2)
    assert here.experiments.curve(first.ref, "loss").steps == [0, 1, 2, 3]
    assert here.experiments.show(first.ref).status is RunStatus.FINISHED


def test_several_processes_log_to_one_run_whichever_ends_first(script, here: Workspace, told) -> None:
    work = """
        import sys
        with mw.start_run(run={ref!r}, capture=False) as run:
            mw.log_metric({name!r}, 1)
        """
    with mw.start_run("delay", **NONE) as run:
        mw.log_metric("first", 1)
        assert run.flush()
        for name in ("one", "other"):  # each ends the run
            process = script(work.format(ref=str(run.ref), name=name))
            assert process.wait(LONG) == 0, process.stderr.read()
        mw.log_metric("last", 1)
    found = here.experiments.show(run.ref)
    assert found.status is RunStatus.FINISHED
    assert set(found.metrics) == {"first", "one", "other", "last"}
    assert told() == []


def test_who_goes_on_with_a_run_whose_process_was_killed_ends_it(script, here: Workspace) -> None:
    killed = script(
        """
        import os, signal
        run = mw.start_run("delay", capture=False)
        mw.log_metric("loss", 1)
        run.flush()
        print(run.ref, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ref = Ref.parse(killed.stdout.readline().strip())
    killed.wait()
    with mw.start_run(run=ref, **NONE) as run:  # as in a notebook whose kernel was started again
        assert run.flush()
        mw.log_metric("after", 1)
    found = here.experiments.show(ref)
    assert (found.status, set(found.metrics), found.error) == (RunStatus.FINISHED, {"loss", "after"}, "")


def test_what_the_workspace_refuses_is_told_and_the_rest_arrives(here: Workspace, told) -> None:
    with mw.start_run("delay", inputs=["dataset:nowhere@3"], **NONE) as run:
        mw.log_metric("loss", 0.5)
    assert here.experiments.show(run.ref).metrics["loss"].figure == 0.5
    assert any("was not accepted" in text and "nowhere" in text for text in told())


def test_a_name_that_is_a_folder_already_is_told_and_the_rest_arrives(here: Workspace, told) -> None:
    with mw.start_run("delay", **NONE) as run:
        run.log_text("text", "model/readme.txt")
        run.log_text("text", "model")
        run.log_text("text", "after.txt")
    assert any("'model' cannot be a file and hold 'model/readme.txt' as well" in text for text in told())
    assert [each.name for each in here.artifacts.all(run.ref)] == ["after.txt", "model/readme.txt"]


def test_threads_log_to_a_run_by_its_methods_and_each_has_an_active_run_of_its_own(here: Workspace) -> None:
    with mw.start_run("delay", **NONE) as run:
        seen: list[object] = []

        def work(number: int) -> None:
            seen.append(mw.active_run())
            for i in range(300):
                run.log_metric("shared", i)
                run.log_metric(f"own {number}", i, step=i)
            with mw.start_run("delay", **NONE) as other:
                seen.append(mw.active_run() is other)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        with_context = threading.Thread(target=contextvars.copy_context().run, args=(mw.log_metric, "carried", 1.0))
        for thread in [*threads, with_context]:
            thread.start()
        for thread in [*threads, with_context]:
            thread.join()
        assert mw.active_run() is run
    assert sorted(map(str, seen)) == ["None"] * 4 + ["True"] * 4
    assert here.experiments.curve(run.ref, "shared").steps == list(range(1200))
    assert [here.experiments.curve(run.ref, f"own {n}").total for n in range(4)] == [300] * 4
    assert "carried" in here.experiments.show(run.ref).metrics


def test_what_is_read_counts_whatever_path_led_to_the_project(here: Workspace, project: Path, tmp_path: Path) -> None:
    here.datasets.add("flights", pa.table({"delay": [1.0]}))
    (tmp_path / "link").symlink_to(project)
    (project / "code").mkdir()
    for path in (".", "code/..", tmp_path / "link"):
        with mw.start_run("delay", **NONE) as run:
            with mw.connect(path) as workspace:
                workspace.datasets.read("dataset:flights")
            assert run.flush()
        assert here.experiments.show(run.ref).inputs == [Ref.parse("dataset:flights@1")], path


def test_a_process_that_was_forked_off_logs_to_the_same_run(here: Workspace, told) -> None:
    with mw.start_run("delay", **NONE) as run:
        mw.log_metric("loss", 1.0)
        child = os.fork()
        if child == 0:  # as a worker that loads data does
            mw.log_metric("from the child", 2.0)
            mw.end_run()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        mw.log_metric("loss", 0.5)
    found = here.experiments.show(run.ref)
    assert found.status is RunStatus.FINISHED
    assert (found.metrics["from the child"].figure, found.metrics["loss"].step) == (2.0, 1)
    assert told() == [] and list(Path(".modelwright/pending").iterdir()) == []


@pytest.mark.parametrize("mode", ["online", "disabled"])
def test_a_process_that_was_forked_off_may_go_on_with_the_run_by_its_id(here: Workspace, told, mode: str) -> None:
    with mw.start_run("delay", mode=mode, **NONE) as run:
        mw.log_metric("loss", 1.0)
        assert run.flush() or mode == "disabled"  # else what the child says is kept until there is such a run
        child = os.fork()
        if child == 0:  # as a worker does that would do so where processes are spawned
            with mw.start_run(run=run.ref, mode=mode, **NONE):
                mw.log_metric("from the child", 2.0)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(Conflict, match="active here already"):
            mw.start_run(run=run.ref, mode=mode, **NONE)
        mw.log_metric("loss", 0.5)
    assert told() == []
    if mode == "online":
        found = here.experiments.show(run.ref)
        assert found.status is RunStatus.FINISHED
        assert (found.metrics["from the child"].figure, found.metrics["loss"].step) == (2.0, 1)


def test_a_file_that_changes_after_it_was_logged_does_not_change_in_the_run(here: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.bin"
    with mw.start_run("delay", mode="offline", **NONE) as run:
        path.write_bytes(b"first")
        mw.log_artifact(path)
        path.write_bytes(b"other")
        path.unlink()
    with mw.start_run("delay", **NONE) as next_run:  # the next contact delivers what was kept
        assert next_run.flush()
    (artifact,) = here.experiments.show(run.ref).artifacts
    assert here.experiments.blobs.read(artifact.digest) == b"first"


def test_charts_are_kept_in_the_format_of_their_library(here: Workspace) -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = matplotlib.Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4])
    with mw.start_run("delay", **NONE) as run:
        mw.log_figure(figure, "curve")
        mw.log_figure(axes, "axes")  # what the plots of pandas give back
        with pytest.raises(Invalid, match="not a chart"):
            mw.log_figure(object(), "curve")
    kept = here.experiments.show(run.ref).artifacts
    assert sorted(each.name for each in kept) == ["axes.png", "curve.png"]
    assert all(here.experiments.blobs.read(each.digest).startswith(b"\x89PNG") for each in kept)


def test_tables_of_every_sort_are_kept(here: Workspace) -> None:
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2]})
    with mw.start_run("delay", **NONE) as run:
        mw.log_table(pa.table({"x": [1, 2]}), "arrow")
        mw.log_table(frame, "frame.parquet")
        mw.log_table([{"x": 1}, {"x": 2}], "rows")
        mw.log_table({"x": np.array([1, 2])}, "columns")
    found = here.experiments.show(run.ref).artifacts
    tables = [pq.read_table(io.BytesIO(here.experiments.blobs.read(each.digest))) for each in found]
    assert [table.column("x").to_pylist() for table in tables] == [[1, 2]] * 4


def test_where_there_is_no_workspace_that_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no project"):
        mw.start_run("delay")
    with pytest.raises(NotFound, match="no project in"):
        mw.start_run("delay", workspace=tmp_path)


@pytest.mark.parametrize("ref", ["run:01JD0ZK3T8V1M2N3P4Q5R6S7T8", Ref.parse("run:01JD0ZK3T8V1M2N3P4Q5R6S7T8")])
def test_a_part_of_a_run_elsewhere_names_its_parent(here: Workspace, ref: Ref | str) -> None:
    with mw.start_run("delay", parent=ref, **NONE) as run:
        assert run.parent == "01JD0ZK3T8V1M2N3P4Q5R6S7T8"
    assert here.experiments.show(run.ref).parent == "01JD0ZK3T8V1M2N3P4Q5R6S7T8"


def test_half_characters_as_file_names_hold_that_are_not_in_utf_8_disturb_no_training(here: Workspace) -> None:
    odd = os.fsdecode(b"caf\xe9")
    with pytest.raises(ValueError, match="caf"), mw.start_run("delay", name=odd, reason=odd, **NONE) as run:
        mw.log_params({"path": odd, "paths": [odd, {odd: Path(odd)}]})
        mw.set_tag("path", odd)
        mw.log_text(odd, "a.txt")
        mw.log_dict({"path": odd}, "a.json")
        for refused in (lambda: mw.log_metric(odd, 1.0), lambda: mw.set_tag(odd, "x"), lambda: mw.log_param("a\0b", 1)):
            with pytest.raises(Invalid, match="half a character"):
                refused()
        raise ValueError(odd)
    found, told = here.experiments.show(run.ref), "caf\\udce9"
    assert (found.status, found.name, found.error) == (RunStatus.FAILED, told, f"ValueError: {told}")
    assert found.params == {"path": told, "paths": [told, {told: told}]} and found.tags["path"] == told
    assert here.experiments.blobs.read(found.artifacts[1].digest).decode() == told


def test_a_command_with_half_characters_is_captured(project: Path, here: Workspace) -> None:
    code = "import modelwright as mw\nwith mw.start_run('delay', system_metrics=False) as run: print(run.ref)"
    done = subprocess.run([sys.executable, "-c", code, b"caf\xe9.csv"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert here.experiments.show(Ref.parse(done.stdout.strip())).capture.command[-1] == "caf\\udce9.csv"
