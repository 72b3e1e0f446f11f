"""Work on a folder that a process beside began: the same as without it, and done without it where it fails."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.datasets import ahead
from modelwright.datasets.folderwork import Here

COMMAND = """
import os, sys
import modelwright.datasets.ahead as ahead
from modelwright.cli import entry

spoil = sys.argv.pop(1)
os.getloadavg = lambda: (0.0, 0.0, 0.0)  # whatever else the machine does
done, begin, here = [], ahead.begin, ahead.Beside._mine
ahead.Beside._mine = lambda self: done.append("alone") or here(self)


def begun(*args, **more):
    begin(*args, **more)
    done.append("begun" if ahead._begun else "nothing")
    if spoil == "killed" and ahead._begun:
        os.kill(ahead._begun._process, 9)
    if spoil == "mistaken" and ahead._begun:
        ahead._begun.home = ahead._begun.home.parent


ahead.begin = begun
import atexit
atexit.register(lambda: sys.stdout.write(" ".join(["", *done, "\\n"])))
entry.main()
"""
needs_fork = pytest.mark.skipif(
    not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2, reason="nothing is begun beside here"
)


def fill(folder: Path, salt: int, count: int = 900) -> None:
    made = random.Random(salt)
    for number in range(count):
        path = folder / f"{number % 9}" / f"{number:04}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(made.randbytes(64))
        os.utime(path, ns=(10**18 + salt, 10**18 + salt))


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mw(project: Path, *arguments: str, spoil: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, spoil, "data", *arguments],
        cwd=project, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@needs_fork
@pytest.mark.parametrize("spoil", ["", "killed", "mistaken"])
def test_versions_come_and_go_whatever_becomes_of_the_process_beside(tmp_path, spoil, thorough):
    (tmp_path / "modelwright.toml").touch()
    data, out = tmp_path / "data", tmp_path / "out"
    fill(data, 1)
    first = held(data)
    said = mw(tmp_path, "add", "data", "data", spoil=spoil)
    assert "dataset:data@1: 900 files" in said
    assert said.split("\n")[1].split() == {"": ["begun"], "killed": ["begun", "alone"], "mistaken": ["begun"]}[spoil]
    if spoil == "mistaken":  # taken for another workspace's: it is left, and what follows is the same again
        return
    fill(data, 2, 20)
    second = held(data)
    assert "dataset:data@2: 900 files" in mw(tmp_path, "add", "data", "data", spoil=spoil)
    assert "20 written, 880 kept" in mw(tmp_path, "checkout", "dataset:data@1", "data", spoil=spoil)
    assert held(data) == first
    if spoil and not thorough:  # one command of each kind has done without the process; `thorough` goes on to the end
        return
    assert "900 written" in mw(tmp_path, "checkout", "--copy", "dataset:data@2", "out", spoil=spoil)
    assert held(out) == second
    assert "out is dataset:data@2." in mw(tmp_path, "status", "out")
    (out / "0/0000.bin").write_bytes(b"mine")
    assert "conflict" in mw(tmp_path, "checkout", "dataset:data@1", "out", spoil=spoil)
    assert (out / "0/0000.bin").read_bytes() == b"mine"
    fill(data, 3, 5)  # made from the first version, though the second is the newest
    assert "dataset:data@3" in mw(tmp_path, "add", "data", "data", spoil=spoil)
    assert "dataset:data@1" in mw(tmp_path, "show", "dataset:data@3", "--json")


@needs_fork
def test_a_mistake_in_the_folder_is_told_by_the_command(tmp_path):
    (tmp_path / "modelwright.toml").touch()
    fill(tmp_path / "data", 1, 3)
    (tmp_path / "data/link").symlink_to("/etc")
    said = mw(tmp_path, "add", "data", "data")
    assert "symbolic link" in said and "begun alone" in said
    assert "not-found" in mw(tmp_path, "show", "dataset:data")


@needs_fork
def test_nothing_is_begun_where_objects_lie_elsewhere_or_little_is_remembered(tmp_path):
    (tmp_path / "modelwright.toml").write_text(f'[workspace]\nobjects = "{tmp_path / "elsewhere"}"\n')
    fill(tmp_path / "data", 1, 30)
    assert "dataset:data@1: 30 files" in mw(tmp_path, "add", "data", "data")
    assert not list((tmp_path / ".modelwright").glob("objects/*"))
    assert "nothing" in mw(tmp_path, "add", "data", "data")


def test_who_embeds_the_program_begins_nothing(embedded, tmp_path):
    work = embedded.datasets._work(tmp_path)
    assert isinstance(work, Here)
    assert ahead._begun is None


@needs_fork
def test_the_process_beside_ends_with_the_command(tmp_path):
    (tmp_path / "modelwright.toml").touch()
    fill(tmp_path / "data", 1, 40)
    code = COMMAND.replace("entry.main()", "ahead.begin(__import__('pathlib').Path('data'), ref=None)\n"
                           "print(ahead._begun._process, flush=True)\nos.kill(os.getpid(), 9)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, ""], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    beside = int(done.stdout.split()[0])
    for _ in range(200):
        if not Path(f"/proc/{beside}").exists() or "Z" in Path(f"/proc/{beside}/stat").read_text().split(")")[1][:3]:
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("it is still there")
