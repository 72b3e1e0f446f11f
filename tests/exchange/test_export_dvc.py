"""Datasets as a project of DVC: read back by our own reader, by git, and by DVC itself where that is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.cli.entry import run
from modelwright.core.errors import Conflict, NotFound
from modelwright.exchange.bringing_dvc import BringingDvc
from modelwright.exchange.dvc import Project
from modelwright.exchange.exporting_dvc import ExportingDvc


@pytest.fixture
def history(embedded, tmp_path: Path):
    """Two versions of pictures and two of a table, made by turns; one name leads through another."""
    pictures = tmp_path / "pictures"
    (pictures / "deep").mkdir(parents=True)
    (pictures / "a.txt").write_text("one\r\n")
    (pictures / "deep" / "ü b.txt").write_text("two")
    embedded.datasets.add_files("zoo/pictures", pictures, description="The first ones")
    embedded.datasets.add("zoo", pa.table({"id": [1, 2]}), key="id")
    (pictures / "a.txt").write_text("changed")
    embedded.datasets.add_files("zoo/pictures", pictures, tags={"git.at": "2031-02-03T04:05:06+00:00", "git.author": "Bo"})
    embedded.datasets.add("zoo", pa.table({"id": [1, 2, 3]}))
    return embedded


def export(rooms, folder: Path, *names: str):
    return ExportingDvc(rooms.datasets, folder, names=names).run(source="here")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def test_what_was_written_comes_back_as_it_was(history, tmp_path):
    out = tmp_path / "out"
    done = export(history, out)
    assert done.agrees and done.added == {"versions": 4}
    for path in (out / ".dvc" / "cache" / "files" / "md5").rglob("*"):
        if path.is_file():
            name = path.parent.name + path.name.removesuffix(".dir")
            assert hashlib.md5(path.read_bytes()).hexdigest() == name

    found = BringingDvc(Project(out), history.datasets, under="back").run(target="here")
    assert found.agrees and found.added == {"versions": 4}
    before, after = history.datasets.history("dataset:zoo/pictures"), history.datasets.history("dataset:back/zoo/pictures")
    assert [each.content for each in after] == [each.content for each in before]
    assert [each.description for each in after] == ["Version 2 of zoo/pictures", "The first ones"]
    (table, _) = history.datasets.history("dataset:back/zoo.all")
    with history.datasets.open(table.ref, "000000.parquet") as file:
        assert pq.read_table(file)["id"].to_pylist() == [1, 2, 3]


def test_each_version_is_a_commit_with_its_time_author_and_tag(history, tmp_path):
    out = tmp_path / "out"
    export(history, out, "zoo/pictures")
    assert git(out, "tag", "--list").split() == ["zoo/pictures@1", "zoo/pictures@2"]
    assert git(out, "log", "-1", "--format=%an|%aI|%cI|%b", "zoo/pictures@2").startswith("Bo|2031-02-03T04:05:06")
    version = history.datasets.show("dataset:zoo/pictures@1")
    said = git(out, "log", "-1", "--format=%s|%an|%at|%b", "zoo/pictures@1")
    assert said.startswith(f"The first ones|{version.created_by}|{int(version.created_at.timestamp())}|")
    assert f"Digest: {version.digest}" in said
    assert git(out, "status", "--porcelain") == ""


def test_an_export_goes_on_where_it_was_and_writes_nothing_over(history, tmp_path):
    out = tmp_path / "out"
    export(history, out, "zoo/pictures")
    head = git(out, "rev-parse", "HEAD")
    again = export(history, out, "zoo/pictures")
    assert (again.agrees, again.added, again.same) == (True, {"versions": 0}, {"versions": 2})
    assert git(out, "rev-parse", "HEAD") == head
    (tmp_path / "pictures" / "new").write_text("3")
    history.datasets.add_files("zoo/pictures", tmp_path / "pictures")
    assert export(history, out, "zoo/pictures").added == {"versions": 1}
    with pytest.raises(Conflict, match="other things in it"):
        export(history, tmp_path / "pictures")


def test_a_dataset_that_is_not_there_is_told_and_nothing_is_begun(history, tmp_path):
    with pytest.raises(NotFound, match="There is no dataset named 'zo'"):
        export(history, tmp_path / "out", "zoo", "zo")
    assert not (tmp_path / "out").exists()


def test_the_command_counts_both_sides_of_an_export(history, tmp_path, capsys):
    (Path(history.address) / "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    assert run(["export", "dvc", str(tmp_path / "out"), "zoo/pictures", "-w", history.address]) == 0
    said = capsys.readouterr().out
    assert "versions" in said and "pass" in said


@pytest.mark.skipif(shutil.which("dvc") is None, reason="DVC is no dependency of ours: pip install --group peers")
def test_dvc_itself_checks_every_version_out(history, tmp_path):
    out = tmp_path / "out"
    export(history, out)

    def dvc(*arguments: str) -> str:
        environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
        return subprocess.run(
            ["dvc", *arguments], cwd=out, env=environment, check=True, capture_output=True, text=True
        ).stdout

    dvc("checkout")
    assert "up to date" in dvc("status")
    assert (out / "zoo" / "pictures" / "a.txt").read_text() == "changed"
    assert pq.read_table(out / "zoo.all" / "000000.parquet")["id"].to_pylist() == [1, 2, 3]
    git(out, "checkout", "-q", "zoo/pictures@1")
    dvc("checkout")
    assert (out / "zoo" / "pictures" / "a.txt").read_bytes() == b"one\r\n"
    assert not (out / "zoo.all").exists()
