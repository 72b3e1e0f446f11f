"""A past run is run again: its code to the last uncommitted line, its data, its packages; and the outcome is evidence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import modelwright as mw
from modelwright.cli.entry import run as run_command
from modelwright.client import connect
from modelwright.core.errors import Corrupt, Gone, NotFound, Refused, Unavailable
from modelwright.core.refs import Ref
from modelwright.experiments import Capture, Run
from modelwright.experiments.reproduction import records as reproduction
from modelwright.store import Verdict
from modelwright.testing import serving
from modelwright.tracking import environments
from modelwright.tracking.reproducing import reproduce
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace

pytestmark = pytest.mark.slow
TRAIN = """
import sys
import time

import modelwright as mw

SLOPE = 1.0
workspace = mw.connect(".." if "--by-path" in sys.argv else None)
rows = workspace.datasets.read("dataset:flights").to_pydict()["delay"]
if "--warm-up" in sys.argv:
    with mw.start_run("warm-up", capture=False):
        pass
with mw.start_run("delay", system_metrics=False) as run:
    mw.log_param("slope", SLOPE)
    for step in range(3):
        mw.log_metric("loss", sum(rows) * SLOPE / (step + 1))
    mw.log_text(f"{len(rows)} rows", "about.txt")
    if "--clock" in sys.argv:
        mw.log_metric("seconds", time.time() - 1_700_000_000)
    if "--stamp" in sys.argv:
        mw.log_text(str(time.time()), "stamp.txt")
print("trained", run.ref)
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(project: Path, here: Workspace) -> Path:
    """A project in Git with a training script that has an uncommitted change, and a version of data."""
    git(project, "init", "-q")
    (project / ".gitignore").write_text(".modelwright/\n")
    (project / "code").mkdir()
    (project / "code" / "train.py").write_text(TRAIN)
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    (project / "code" / "train.py").write_text(TRAIN.replace("SLOPE = 1.0", "SLOPE = 2.0"))
    here.datasets.add("flights", pa.table({"delay": [1.0, 2.0, 3.0]}))
    return project


def train(repository: Path, *options: str) -> Ref:
    done = subprocess.run(
        [sys.executable, "train.py", *options], cwd=repository / "code", env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return Ref.parse(done.stdout.split()[-1])


def test_what_was_changed_since_does_not_matter_and_the_outcome_is_evidence(repository: Path, here: Workspace) -> None:
    ref = train(repository, "--warm-up")
    (repository / "code" / "train.py").write_text("raise SystemExit('other code')")
    here.datasets.add("flights", pa.table({"delay": [100.0, 200.0]}))
    found = reproduce(here, ref, use_current=True)
    assert found.verdict is Verdict.PASS, (found.summary, found.rows)
    assert {row.name: row.after for row in found.rows}["loss"] == "4"
    again = here.experiments.show(found.report.again)
    assert again.tags["reproduces"] == ref.name and again.inputs == [Ref.parse("dataset:flights@1")]
    (piece,) = here.reproductions.list(ref)
    assert (piece.verdict, piece.inputs, piece.figures["metrics"]) == (Verdict.PASS, [again.ref], 1)
    assert piece.subject_digest == here.experiments.show(ref).digest
    assert subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True).stdout.count(b"\n") == 1


def test_a_script_that_names_its_project_by_path_finds_the_workspace_of_the_run(repository: Path, here: Workspace) -> None:
    ref = train(repository, "--by-path")
    found = reproduce(here, ref, use_current=True)
    assert found.verdict is Verdict.PASS, (found.summary, found.rows)
    assert here.experiments.show(found.report.again).inputs == [Ref.parse("dataset:flights@1")]


def test_the_command_tells_a_difference_by_its_exit_code(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = train(repository, "--clock")
    assert run_command(["reproduce", str(ref), "--use-current"]) == Refused.exit_code
    printed = capsys.readouterr()
    assert "metric seconds" in printed.out and "trained run:" in printed.err


def test_another_file_is_a_warning_and_a_model_made_from_the_run_gets_the_evidence_too(
    repository: Path, here: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from sklearn.linear_model import LinearRegression

    ref = train(repository, "--clock", "--stamp")
    table = pa.table({"x": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(table.to_pandas(), [0.0, 1.0, 2.0])
    model = here.models.log("delay", fitted, example=table, run=ref)
    assert run_command(["reproduce", str(ref), "--use-current", "--tolerance", "0.01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "warn"
    assert next((row["name"], row["verdict"]) for row in found["rows"]) == ("stamp.txt", "warn")
    (piece,) = here.record.evidence(model.ref, "reproduction")
    assert piece.verdict is Verdict.WARN and len(found["evidence"]) == 2


def test_what_cannot_be_run_again_says_why(repository: Path, here: Workspace, tmp_path: Path) -> None:
    ref = train(repository)
    with pytest.raises(Refused, match="made no run"):
        reproduce(here, ref, use_current=True, command=["python", "-c", "print('nothing')"])
    with pytest.raises(NotFound, match="no Git repository"):
        reproduce(here, ref, use_current=True, folder=tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    with pytest.raises(NotFound, match="no commit"):
        reproduce(here, ref, use_current=True, folder=other)
    with mw.start_run("delay", folder=tmp_path, system_metrics=False) as outside:
        pass
    with pytest.raises(Refused, match="outside a Git repository"):
        reproduce(here, outside.ref, use_current=True)


def test_an_environment_gets_just_the_packages_of_the_run_and_one_that_no_index_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "wheels" / "quokka-1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("quokka.py", "SIZE = 54\n")
        file.writestr("quokka-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: quokka\nVersion: 1.2\n")
        file.writestr("quokka-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("quokka-1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    packages = environments.parse("quokka==1.2\npip==1.0\nmodelwright==0.0.0\n")  # which no index is asked for
    python = environments.build(tmp_path / "environment", packages, "")
    code = "import quokka, modelwright, importlib.util as u; print(quokka.SIZE, modelwright.__file__, u.find_spec('numpy'))"
    size, where, numpy = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.split()
    assert (size, where, numpy) == ("54", mw.__file__, "None")
    assert environments.own_difference(packages)["modelwright"][0] == "0.0.0" and not environments.own_difference({})
    installed = tmp_path / "site-packages" / "modelwright"  # as pip leaves it, from wherever it came
    shutil.copytree(Path(mw.__file__).parent, installed, ignore=shutil.ignore_patterns("__pycache__"))
    (installed.parent / "modelwright-0.0.0.dist-info").mkdir()
    (installed.parent / "modelwright-0.0.0.dist-info" / "METADATA").write_text("Name: modelwright\nVersion: 0.0.0\n")
    site = tmp_path / "site"
    site.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(mw, "__file__", str(installed / "__init__.py"))
        environments._bring_own(site)
    code = "import modelwright, importlib.metadata as m; print(modelwright.__file__, m.version('modelwright'))"
    alone = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    where, version = subprocess.run(alone, capture_output=True, text=True).stdout.split()
    assert Path(where).is_relative_to(site) and version == "0.0.0"
    with pytest.raises(Unavailable, match=r"cannot be installed: pip finds no quokka==9\.9\. Make the packages"):
        environments.build(tmp_path / "environment", {"quokka": "9.9"}, "")
    assert environments.differences({"a": "1", "b": "2", "pip": "1"}, {"a": "1", "b": "3"}) == {"b": ["2", "3"]}


def test_runs_are_compared_by_their_figures_and_files() -> None:
    def run(**fields: object) -> Run:
        plain = {"id": "a", "experiment": "e", "experiment_id": 1, "name": "n", "status": "finished", "created_by": "me"}
        return _convert({**plain, "started_at": "2026-01-01T00:00:00Z", **fields})

    def metric(value: object, step: int = 0) -> dict[str, object]:
        return {"name": "m", "value": value, "step": step, "time": "2026-01-01T00:00:00Z"}

    def verdict(before: object, after: object, tolerance: float = 1e-9) -> Verdict:
        (row,) = reproduction.compare(run(metrics={"m": before}), run(metrics={"m": after}), tolerance=tolerance)
        return row.verdict

    assert verdict(metric(1.0), metric(1.0)) is verdict(metric("NaN"), metric("NaN")) is Verdict.PASS
    assert verdict(metric("Infinity"), metric("Infinity")) is Verdict.PASS
    assert verdict(metric(1.0), metric(1.0 + 1e-12)) is Verdict.PASS
    assert verdict(metric(1.0), metric(1.1), tolerance=0.1) is Verdict.PASS
    assert verdict(metric(1e308), metric(-1e308), tolerance=0.5) is Verdict.FAIL
    for other in (metric(1.1), metric("NaN"), metric("Infinity"), metric(1.0, step=3)):
        assert verdict(metric(1.0), other) is Verdict.FAIL
    (missing,) = reproduction.compare(run(params={"depth": 6}), run(), tolerance=0)
    assert missing.verdict is Verdict.FAIL
    assert reproduction.compare(run(metrics={"system/cpu": metric(1.0)}), run(), tolerance=0) == []


def _convert(fields: dict[str, object]) -> Run:
    from modelwright.core.wire import convert

    made: Run = convert(fields, Run)
    return made


def test_what_was_captured_and_is_lost_is_named(repository: Path, here: Workspace, tmp_path: Path) -> None:
    ref = train(repository)
    capture = here.experiments.show(ref).capture
    with pytest.raises(NotFound, match="There is no folder"):
        reproduce(here, ref, use_current=True, folder=tmp_path / "none")
    for digest, what in ((capture.packages, "list of packages"), (capture.diff, "uncommitted changes")):
        assert here.home is not None and digest is not None
        path = here.home.folder / "objects" / digest[:2] / digest
        content = path.read_bytes()
        path.write_bytes(b"other")
        with pytest.raises(Corrupt, match=f"The {what} of {ref}, captured with it, are damaged") as refused:
            reproduce(here, ref, use_current=True)
        assert "mw restore" in refused.value.mend
        path.unlink()
        with pytest.raises(NotFound, match=f"The {what} of {ref}, captured with it, are lost"):
            reproduce(here, ref, use_current=True)
        if what == "list of packages":
            path.write_bytes(content)


def test_a_version_that_went_by_retention_is_named_before_anything_is_built(prepared: Path) -> None:
    settings = Settings(
        workspace=WorkspaceSettings(clock="simulated", starts="2026-01-01T00:00:00Z"), retention={"grace": 0.0}
    )
    with open_workspace(prepared, settings=settings) as old:
        data = old.datasets.add("flights", pa.table({"delay": [1.0]})).ref
        capture = Capture(commit="a" * 40, command=["python", "train.py"])
        run = old.experiments.start("delay", inputs=[data], capture=capture).ref
        old.experiments.finish(run)
        old.retention.declare("short", "30d", ["datasets:flights"], reason="a rule", newest=True)
        old.workspace.advance(old.workspace.status().now + timedelta(days=40))
        assert old.retention.carry_out()
        with pytest.raises(Gone, match=f"{run} cannot be done again without {data}, which it read.*class short"):
            reproduce(old, run, use_current=True)


def test_what_was_not_as_it_had_been_is_told_where_figures_differ_too(
    repository: Path, here: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = train(repository)
    code = "import modelwright as mw\nwith mw.start_run('delay', system_metrics=False): pass\nraise SystemExit(3)"
    assert run_command(["reproduce", str(ref), "--use-current", "--", "python", "-c", code]) == Refused.exit_code
    assert "Besides: the command ended with 3." in " ".join(capsys.readouterr().out.split())
    (piece, *_) = here.reproductions.list(ref)
    assert piece.summary.endswith("Besides: the command ended with 3.")


def test_changes_that_do_not_fit_their_commit_are_told_as_such(repository: Path, here: Workspace) -> None:
    commit = here.experiments.show(train(repository)).capture.commit
    patch = here.experiments.blobs.put(b"--- a/code/train.py\n+++ b/code/train.py\n@@ -1 +1 @@\n-never there\n+x\n")
    run = here.experiments.start("delay", capture=Capture(commit=commit, diff=patch, command=["python", "train.py"])).ref
    here.experiments.finish(run)
    with pytest.raises(Corrupt, match=f"do not fit its commit {commit[:12]}"):
        reproduce(here, run, use_current=True)
    assert subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True).stdout.count(b"\n") == 1


REGISTER = """
import random
import sys

import pyarrow as pa
from sklearn.linear_model import LinearRegression

import modelwright as mw

workspace = mw.connect()
rows = pa.table({"x": [0.0, 1.0, 2.0]})
fitted = LinearRegression().fit(rows.to_pandas(), [0.0, 1.0, 2.0])
with mw.start_run("delay", system_metrics=False) as run:
    mw.log_metric("loss", 1.0)
    linked = {} if "--unlinked" in sys.argv else {"run": run.ref}
    for name in ("delay", "delay", "other"):
        if "--chance" in sys.argv:
            fitted.coef_ = fitted.coef_ + random.random()
        version = workspace.models.log(name, fitted, example=rows, **linked)
        assert len(workspace.models.load(version.ref).predict(rows)["prediction"]) == 3
        version = workspace.models.tag(version.ref, {"by": "the script"})
        workspace.models.alias(version.ref, "newest")
        fitted.coef_ = fitted.coef_ * 2
print("trained", run.ref)
"""


@pytest.mark.parametrize(
    ("door", "option"),
    [
        pytest.param("embedded", "--unlinked", marks=pytest.mark.thorough),
        ("http", "--linked"),
        ("embedded", "--chance"),
    ],
)
def test_a_model_that_is_made_again_is_held_against_the_first_and_not_registered(
    repository: Path, here: Workspace, door: str, option: str
) -> None:
    (repository / "code" / "train.py").write_text(REGISTER)
    ref = train(repository, option)
    here.models.alias(Ref.parse("model:delay@1"), "newest")
    before = [here.registry.show(Ref.parse(f"model:{name}")) for name in ("delay", "other")]
    with ExitStack() as stack:
        rooms = here
        if door == "http":
            rooms = stack.enter_context(connect(stack.enter_context(serving(here))))
        found = reproduce(rooms, ref, use_current=True, folder=repository)
    verdict = Verdict.WARN if option == "--chance" else Verdict.PASS
    assert found.verdict is verdict, (found.summary, found.rows)
    assert ", 3 models" in found.summary
    models = [(row.name, row.verdict) for row in found.rows if row.part == "model"]
    assert models == [(f"model:{each}", verdict) for each in ("delay@1", "delay@2", "other@1")]
    assert [here.registry.show(Ref.parse(f"model:{name}")) for name in ("delay", "other")] == before


def test_a_model_whose_version_is_gone_is_not_made_anew(repository: Path, here: Workspace) -> None:
    (repository / "code" / "train.py").write_text(REGISTER)
    ref = train(repository)
    for number in (1, 2):
        version = Ref.parse(f"model:delay@{number}")
        for alias in here.models.show(version).aliases:
            here.models.drop_alias(version.whole, alias)
        here.models.delete(version, reason="gone")
    found = reproduce(here, ref, use_current=True)
    models = [(row.name, row.before, row.verdict) for row in found.rows if row.part == "model" and not row.before]
    assert models == [("model:delay", "", "warn")] and found.verdict is Verdict.WARN, (found.summary, found.rows)
    assert here.registry.show(Ref.parse("model:delay")).latest == []
