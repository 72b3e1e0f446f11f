"""Pipelines by themselves, embedded on SQLite, and a project folder to write steps into."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.principals import operating_system_user
from modelwright.experiments import Experiments
from modelwright.pipelines import Pipeline, Pipelines, load_pipelines
from modelwright.pipelines.worker import ExecutionResult
from modelwright.store import Database, Embedded
from modelwright.store.objects import Objects

START = datetime(2013, 7, 1, tzinfo=UTC)


class Yes(NamedTuple):
    allow: bool = True
    visible: bool = True
    rules: Sequence[str] = ("test",)


class Everything:
    def decide(self, *_: Any) -> Yes:
        return Yes()

    def readable(self, *_: Any) -> None:
        return None

    def denied(self, *_: Any) -> None:
        raise AssertionError("nothing is denied here")


@pytest.fixture
def caller(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Embedded]:
    file = shutil.copyfile(migrated_sqlite, tmp_path / "workspace.db")
    database = Database(f"sqlite:///{file}", ManualClock(START))
    yield Embedded(database, Objects.open(tmp_path / "objects"), Everything(), operating_system_user())
    database.dispose()


@pytest.fixture
def lease_clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def pipelines(caller: Embedded, lease_clock: ManualClock) -> Pipelines:
    return Pipelines(caller, experiments=Experiments(caller), lease_clock=lease_clock, workspace=lambda: "the workspace")


class Project:
    """A project's folder. Steps can write to `trace`, which counts how often each has really run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def pipeline(self, name: str = "train") -> Pipeline[..., Any]:
        return load_pipelines(self.root / "pipeline.py")[name]

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "steps")


Run = Callable[..., ExecutionResult]


@pytest.fixture
def run(pipelines: Pipelines, project: Project) -> Run:
    """Load the project's pipeline anew and run it."""

    def run_once(params: dict[str, Any] | None = None, *, name: str = "train", **options: Any) -> ExecutionResult:
        return pipelines.run(project.pipeline(name), params, root=project.root, **options)

    return run_once


def states(result: ExecutionResult) -> dict[str, str]:
    return {step.key: step.state.value for step in result.steps}
