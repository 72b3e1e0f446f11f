"""Projects of DVC brought over: written here in DVC's own formats, and by DVC itself where that is installed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from modelwright.cli.entry import run
from modelwright.core.errors import Invalid
from modelwright.exchange.bringing_dvc import BringingDvc
from modelwright.exchange.dvc import Project


class Making:
    """A project of DVC that is being written, with git."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / ".dvc" / "cache" / "files" / "md5"
        (root / ".dvc").mkdir(parents=True)
        (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
        self.git("init", "-q")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *who, "-C", str(self.root), *arguments], check=True, capture_output=True)

    def commit(self, subject: str) -> None:
        self.git("add", "-A", "--", ".", ":!.dvc/cache", ":!elsewhere")
        self.git("commit", "-qm", subject)

    def put(self, content: bytes, suffix: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + suffix
        (self.cache / md5[:2]).mkdir(parents=True, exist_ok=True)
        (self.cache / md5[:2] / md5[2:]).write_bytes(content)
        return md5

    def folder(self, files: dict[str, bytes]) -> str:
        listed = [{"md5": self.put(content), "relpath": path} for path, content in sorted(files.items())]
        return self.put(json.dumps(listed).encode(), ".dir")

    def add(self, path: str, md5: str, **more: str) -> None:
        file = self.root / f"{path}.dvc"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump({"outs": [{"md5": md5, "hash": "md5", "path": file.stem} | more]}))


@pytest.fixture
def making(tmp_path: Path) -> Making:
    """Two states of a folder and one of a file, in two commits."""
    made = Making(tmp_path / "theirs")
    made.add("data/pics", made.folder({"a.txt": b"one", "deep/b.txt": b"two"}))
    made.add("data/t.csv", made.put(b"x,y\n"))
    made.commit("First pictures")
    made.add("data/pics", made.folder({"a.txt": b"one", "c.txt": b"three"}))
    made.commit("Another")
    return made


def bring(rooms, making: Making, **more):
    return BringingDvc(Project(making.root), rooms.datasets, **more).run(target="here")


def test_each_state_of_each_path_becomes_a_version_once(workspace, making, tmp_path):
    found = bring(workspace, making, under="old")
    assert found.agrees
    assert {line.what: line.here for line in found.check} == {"datasets": 2, "versions": 3, "files": 5, "bytes": 18}
    newest, first = workspace.datasets.history("dataset:old/data/pics")
    assert (first.description, newest.description, newest.parent) == ("First pictures", "Another", first.ref)
    assert (first.tags["git.author"], first.tags["dvc.path"], first.source) == ("Ada", "data/pics", "DVC: data/pics")
    assert [each.path for each in workspace.datasets.files(first.ref)] == ["a.txt", "deep/b.txt"]
    workspace.datasets.checkout(newest.ref, tmp_path / "out")
    assert (tmp_path / "out" / "c.txt").read_bytes() == b"three"
    again = bring(workspace, making, under="old")
    assert (again.added, again.same, again.agrees) == ({"versions": 0}, {"versions": 3}, True)
    making.add("data/t.csv", making.put(b"x,y\n1,2\n"))
    making.commit("A row")
    assert bring(workspace, making, under="old").added == {"versions": 1}


def test_a_state_of_a_side_branch_counts_though_the_merge_kept_nothing_of_it(embedded, making):
    making.git("branch", "main-line")
    making.git("checkout", "-q", "-b", "side", "HEAD~1")
    making.add("data/pics", making.folder({"side.txt": b"four"}))
    making.commit("On a side")
    making.git("checkout", "-q", "main-line")
    making.git("merge", "-q", "-s", "ours", "side", "-m", "Merged")
    found = bring(embedded, making)
    assert found.agrees
    said = [each.description for each in embedded.datasets.history("dataset:data/pics")]
    assert sorted(said) == ["Another", "First pictures", "On a side"]


def test_what_the_cache_lacks_is_named_and_counted(embedded, making):
    lost = hashlib.md5(b"three").hexdigest()
    (making.cache / lost[:2] / lost[2:]).unlink()
    found = bring(embedded, making)
    assert not found.agrees
    assert {line.what: (line.there, line.here) for line in found.check}["versions"] == (3, 2)
    assert "1 file is not in the cache" in found.notes[0]
    making.put(b"three")
    assert bring(embedded, making).agrees


def test_a_file_that_is_not_what_its_name_says_is_not_taken(embedded, making):
    spoilt = hashlib.md5(b"two").hexdigest()
    (making.cache / spoilt[:2] / spoilt[2:]).write_bytes(b"2wo")
    found = bring(embedded, making)
    assert "deep/b.txt should have the MD5" in found.notes[0]
    assert [each.description for each in embedded.datasets.history("dataset:data/pics")] == ["Another"]


def test_stages_a_cache_elsewhere_and_the_older_layout_are_read(embedded, making):
    making.cache = making.root / "elsewhere"
    (making.root / ".dvc" / "config").write_text("[core]\n[cache]\n    dir = ../elsewhere\n")
    model = making.put(b"a\r\nmodel")
    outs = [{"path": "out/model.bin", "md5": model}, {"path": "../../etc/passwd", "md5": model}]
    (making.root / "dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": {"train": {"cmd": "x", "outs": outs}}})
    )
    found = bring(embedded, making)
    assert [str(each.ref) for each in embedded.datasets.history("dataset:out/model.bin")] == ["dataset:out/model.bin@1"]
    assert embedded.datasets.open("dataset:out/model.bin", "model.bin").read() == b"a\r\nmodel"
    assert {line.what: (line.there, line.here) for line in found.check}["datasets"] == (3, 1)


def test_stages_that_work_in_folders_of_their_own_are_not_mixed(embedded, making):
    stages = {
        "one": {"wdir": "a", "cmd": "x", "outs": ["x.csv"]},
        "two": {"wdir": "b", "cmd": "x", "outs": ["x.csv"]},
        "each": {"foreach": ["p", "q"], "do": {"wdir": "of/${item}", "cmd": "x", "outs": ["x.csv"]}},
        "odd": {"wdir": "${where.ever}", "cmd": "x", "outs": ["x.csv"]},
    }
    locked = {
        name: {"cmd": "x", "outs": [{"path": "x.csv", "hash": "md5", "md5": making.put(name.encode())}]}
        for name in ("one", "two", "each@p", "each@q", "odd")
    }
    (making.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (making.root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))
    making.commit("Stages")
    bring(embedded, making)
    for name, content in {"a": "one", "b": "two", "of/p": "each@p", "of/q": "each@q", "odd": "odd"}.items():
        assert embedded.datasets.open(f"dataset:{name}/x.csv@1", "x.csv").read() == content.encode()


def test_a_project_without_git_is_what_lies_there(embedded, making):
    shutil.rmtree(making.root / ".git")
    assert bring(embedded, making).added == {"versions": 2}


def test_a_dry_run_brings_nothing(embedded, making):
    assert bring(embedded, making, dry_run=True).added == {"versions": 3}
    assert embedded.datasets.history("dataset:data/pics") == []


def test_two_paths_of_one_name_are_not_mixed(embedded, making):
    making.add("data/p q", making.put(b"1"))
    making.add("data/p!q", making.put(b"2"))
    making.commit("Strange names")
    with pytest.raises(Invalid, match="would both be dataset:data/p-q"):
        bring(embedded, making)


def test_the_command_counts_both_sides(embedded, making, capsys):
    (Path(embedded.address) / "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    assert run(["import", "dvc", str(making.root), "-w", embedded.address]) == 0
    assert "versions" in capsys.readouterr().out
    assert run(["import", "dvc", str(making.root / "data"), "-w", embedded.address]) == 2
    assert "no project of DVC" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("dvc") is None, reason="DVC is no dependency of ours: pip install --group peers")
def test_what_dvc_itself_wrote_comes_over(embedded, tmp_path):
    root = tmp_path / "real"
    (root / "pics").mkdir(parents=True)
    (root / "pics" / "a.txt").write_text("one\n")
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}

    def dvc(*arguments: str) -> None:
        subprocess.run(["dvc", *arguments, "-q"], cwd=root, env=environment, check=True, capture_output=True)

    dvc("init", "--no-scm")
    dvc("add", "pics")
    (root / "dvc.yaml").write_text("stages:\n  s:\n    cmd: cp pics/a.txt out.txt\n    deps: [pics]\n    outs: [out.txt]\n")
    dvc("repro")
    found = BringingDvc(Project(root), embedded.datasets).run(target="here")
    assert found.agrees
    assert found.added == {"versions": 2}
    assert embedded.datasets.open("dataset:out.txt", "out.txt").read() == b"one\n"
