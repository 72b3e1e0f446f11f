"""What counts as the code of a step."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright.pipelines.fingerprint import Sources, Unreadable
from modelwright.pipelines.loading import load_module, load_pipelines
from modelwright.pipelines.records import key_of

BASE = """
    import helpers
    from modelwright import pipeline, step

    LIMIT = 3
    TABLE = {"a": 1}

    def inner(x):
        return x + LIMIT

    def unused(x):
        return x

    @step
    def work(x: int) -> int:
        return inner(x) + helpers.f(x)

    @pipeline
    def train():
        return work(1)
"""


def key(project: Any, name: str = "work") -> str:
    module = load_module(project.root / "pipeline.py")
    step = getattr(module, name)
    return key_of(Sources(project.root).components(step.function, step.files))


def names(project: Any, name: str = "work") -> set[str]:
    step = getattr(load_module(project.root / "pipeline.py"), name)
    return {str(each) for each in Sources(project.root).components(step.function, step.files)}


@pytest.fixture
def base(project: Any) -> Any:
    project.write("helpers.py", "def f(x):\n    return x\n")
    project.write("pipeline.py", BASE)
    return project


def test_the_components_have_names_that_people_know(base: Any) -> None:
    assert names(base) == {"code of work", "code of inner", "code of LIMIT", "code of module helpers.py", "python python"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipeline.py", "return inner(x) +", "return inner(x) -"),
        ("pipeline.py", "return x + LIMIT", "return x - LIMIT"),
        ("pipeline.py", "LIMIT = 3", "LIMIT = 4"),
        ("pipeline.py", "LIMIT = 3", "LIMIT = 3\nLIMIT += 1"),
        ("pipeline.py", "LIMIT = 3", "LIMIT = 3\nprint"),
        ("helpers.py", "return x", "return x + 0"),
        ("helpers.py", "def f(x):", "HIDDEN = 1\ndef f(x):"),
    ],
)
def test_a_change_that_may_matter_changes_the_key(base: Any, file: str, old: str, new: str) -> None:
    before = key(base)
    base.change(file, old, new)
    assert key(base) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def unused(x):\n        return x", "def unused(x):\n        return -x"),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 2}'),
        ("LIMIT = 3", "LIMIT = 3  # at most"),
        ("@step\n", "@step(retries=3)\n"),
        ("return work(1)", "return work(2)"),
        ("return inner(x)", "return (\n            inner(x))"[:0] or "return inner( x )"),
    ],
)
def test_a_change_that_cannot_matter_does_not(project: Any, old: str, new: str) -> None:
    project.write("helpers.py", "def f(x):\n    return x\n")
    project.write("pipeline.py", BASE)
    before = key(project)
    assert old in BASE
    project.write("pipeline.py", BASE.replace(old, new))
    assert key(project) == before


def test_imports_are_followed_however_they_are_written(project: Any) -> None:
    project.write("pkg/__init__.py", "from .shared import S\n")
    project.write("pkg/shared.py", "S = 1\n")
    project.write("pkg/deep/__init__.py", "")
    project.write("pkg/deep/leaf.py", "from ..shared import S\n")
    project.write("late.py", "import pkg.deep.leaf\n")
    project.write("dynamic.py", "D = 1\n")
    project.write("star.py", "T = 1\n")
    project.write(
        "pipeline.py",
        """
        import importlib
        from star import *
        from modelwright import step

        @step
        def work() -> int:
            from late import pkg
            return importlib.import_module("dynamic").D
        """,
    )
    files = {name.removeprefix("code of module ") for name in names(project) if name.startswith("code of module")}
    expected = {"late.py", "dynamic.py", "star.py"}
    assert files == expected | {"pkg/__init__.py", "pkg/shared.py", "pkg/deep/__init__.py", "pkg/deep/leaf.py"}


def test_the_version_of_an_installed_package_counts(project: Any) -> None:
    project.write(
        "pipeline.py",
        """
        import json
        import numpy as np
        from modelwright import step

        @step
        def work() -> float:
            return float(np.pi)
        """,
    )
    assert "package numpy" in names(project) and not any("json" in name for name in names(project))


def test_a_registering_decorator_counts_for_every_step(project: Any) -> None:
    text = """
        from modelwright import step

        ALL = []

        def register(f):
            ALL.append(f)
            return f

        @register
        def one(x):
            return x

        @step
        def work() -> int:
            return sum(f(1) for f in ALL)
        """
    project.write("pipeline.py", text)
    before = key(project)
    project.change("pipeline.py", "return x", "return x + 1")
    assert key(project) != before


def test_what_a_name_holds_counts_where_its_code_does_not_say(project: Any, tmp_path: Any) -> None:
    (tmp_path / "setting").write_text("1")
    project.write(
        "pipeline.py",
        f"""
        from pathlib import Path
        from modelwright import step

        RATE = float(Path({str(tmp_path / "setting")!r}).read_text())

        @step
        def work() -> float:
            return RATE
        """,
    )
    before = key(project)
    (tmp_path / "setting").write_text("2")
    assert key(project) != before


def test_declared_files_count(project: Any) -> None:
    project.write("limits.toml", "a = 1")
    project.write(
        "pipeline.py", 'from modelwright import step\n\n@step(files=["limits.toml"])\ndef work() -> int:\n    return 1\n'
    )
    before = key(project)
    project.write("limits.toml", "a = 2")
    assert key(project) != before


def test_code_without_a_file_is_not_vouched_for(project: Any) -> None:
    namespace: dict[str, Any] = {}
    exec("def made_up():\n    return 1\n", namespace)
    with pytest.raises(Unreadable):
        Sources(project.root).components(namespace["made_up"])


def test_projects_with_modules_of_one_name_do_not_mix(tmp_path: Any) -> None:
    found = []
    for number in (1, 2):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "helpers.py").write_text(f"VALUE = {number}\n")
        (root / "pipeline.py").write_text(
            "from helpers import VALUE\nfrom modelwright import pipeline, step\n\n"
            "@step\ndef work() -> int:\n    return VALUE\n\n@pipeline\ndef train():\n    return work()\n"
        )
        found.append(load_pipelines(root / "pipeline.py")["train"])
    assert [each() for each in found] == [1, 2]
