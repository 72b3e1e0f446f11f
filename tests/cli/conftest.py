"""Commands run in this process on a project that `mw init` made and whose pipeline has run once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelwright.cli.entry import run as run_command
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, open_workspace


class Ran(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error as JSON on the error stream."""
        return json.loads(self.err)["error"]


Mw = Callable[..., Ran]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of eighty columns, no workspace from outside, and its own places for credentials and caches."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MODELWRIGHT_WORKSPACE", raising=False)


@pytest.fixture
def mw(capsys: pytest.CaptureFixture[str]) -> Mw:
    """Run a command: `mw("list", "model", "-w", folder)`."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run_command([str(each) for each in arguments])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project after its first `mw run train`."""
    folder = tmp_path_factory.mktemp("cli") / "parcels"
    assert run_command(["init", str(folder)]) == 0
    assert run_command(["run", "train", "-w", str(folder)]) == 0
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return shutil.copytree(trained, tmp_path / "parcels")


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, project: Path) -> Iterator[str]:
    """The same project as a folder, and behind a server."""
    if request.param == "folder":
        yield str(project)
        return
    with open_workspace(project) as here, serving(here) as url:
        yield url


@pytest.fixture
def guarded(prepared: Path) -> Iterator[tuple[str, str]]:
    """A server that wants to know who asks: its address and the first admin's set-up token."""
    settings = Settings(server=ServerSettings(authentication="required"))
    with open_workspace(prepared, settings=settings) as here, serving(here) as url:
        yield url, here.access.first_admin().token
