"""A project of its own to start runs in, as a script does; and scripts in processes of their own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.client import connect
from modelwright.tracking import active_run, end_run
from modelwright.workspace import Workspace
from tests.waiting import LONG

Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, no workspace from outside; and no run that is left over."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    monkeypatch.delenv("MODELWRIGHT_WORKSPACE", raising=False)
    monkeypatch.delenv("MODELWRIGHT_MODE", raising=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    yield
    while active_run() is not None:
        end_run()


@pytest.fixture
def project(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and the working directory in it."""
    settings = f'[workspace]\nname = "test"\n\n[tracking]\nsystem_metrics = false\npatience = {LONG}\n'
    (prepared / "modelwright.toml").write_text(settings)
    monkeypatch.chdir(prepared)
    return prepared


@pytest.fixture
def here(project: Path) -> Iterator[Workspace]:
    """The project's workspace, to see what has arrived."""
    with connect(project) as workspace:
        yield workspace


@pytest.fixture
def script(project: Path) -> Iterator[Script]:
    """Start a script in the project: `script("...", MODELWRIGHT_MODE="offline")`."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import modelwright as mw\n" + textwrap.dedent(text)],
            cwd=project,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was said to the user."""
    caplog.set_level(logging.WARNING, logger="modelwright")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "modelwright"]
