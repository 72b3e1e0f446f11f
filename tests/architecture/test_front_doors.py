"""A room enters another by its front door, its records or its errors. The store is the floor that all rooms stand on: its
modules are open to them, as docs/house.md says; and whoever composes the house (workspace, server, CLI) knows its parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[2] / "src" / "modelwright"
ROOMS = {
    "policy", "serving", "datasets", "experiments", "models", "evaluation", "deployments", "features", "monitoring",
    "pipelines", "governance", "traces", "webhooks", "openlineage",
}  # fmt: skip
OPEN = {"records", "errors"}
KNOWN = {("pipelines", "experiments.capturing")}  # the environment of a run, captured in the worker's process


def entered(room: str) -> Iterator[str]:
    """The inner modules of other rooms that a room imports."""
    for path in (HOUSE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    _, _, inside = name.partition("modelwright.")
                    other, _, module = inside.partition(".")
                    is_module = (HOUSE / other / f"{module.replace('.', '/')}.py").is_file() if module else False
                    if other in ROOMS - {room} and is_module and module not in OPEN:
                        yield inside


def test_rooms_enter_each_other_by_the_front_door() -> None:
    found = {(room, inside) for room in ROOMS for inside in entered(room)}
    assert found == KNOWN
