"""Runs within runs, as a tree: however they were found, and whatever their tags say."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.cli.entry import run as command
from modelwright.core.refs import Ref
from modelwright.experiments import Run, RunStatus
from modelwright.experiments.nesting import OUTERMOST, nested
from modelwright.experiments.records import PARENT_TAG
from modelwright.workspace import Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(identity: str, parent: str | None = None) -> Run:
    return Run(
        id=identity,
        experiment="x",
        experiment_id=1,
        name=f"run {identity}",
        status=RunStatus.FINISHED,
        started_at=NOW,
        created_by="ada",
        tags={PARENT_TAG: parent} if parent else {},
    )


def told(found: list[Run], others: Sequence[Run] = ()) -> list[str]:
    """Each line as it would be indented; in brackets what was not found."""
    by_id = {run.id: run for run in others}
    lines = nested(found, lambda ids: [by_id[each] for each in ids if each in by_id])
    return ["." * line.depth + (line.run.id if line.found else f"({line.run.id})") for line in lines]


def test_children_follow_their_parents_in_the_order_of_the_list() -> None:
    assert told([made("c2", "p"), made("q"), made("c1", "p"), made("g", "c1"), made("p")]) == [
        "p", ".c2", ".c1", "..g", "q",
    ]  # fmt: skip


def test_a_parent_that_was_not_found_is_there_for_the_sake_of_its_children() -> None:
    others = [made("p", "top"), made("top"), made("unasked")]
    assert told([made("c", "p"), made("q"), made("d", "p")], others) == ["(top)", ".(p)", "..c", "..d", "q"]


def test_a_chain_of_runs_may_be_deeper_than_calls_can_be() -> None:
    chain = [made(f"{number}", f"{number - 1}" if number else None) for number in range(1500)]
    assert told(chain)[-1] == "." * 1499 + "1499"


@pytest.mark.parametrize("parent", ["gone", "not an id; DROP", "me"])
def test_a_run_whose_parent_nobody_can_see_stands_outermost(parent: str) -> None:
    assert told([made("me", parent)]) == ["me"]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 12))), max_size=10, unique_by=lambda e: e[0])
)
def test_every_run_that_was_found_comes_once_whatever_circles_the_tags_make(pairs: list[tuple[int, int | None]]) -> None:
    found = [made(str(each), None if parent is None else str(parent)) for each, parent in pairs]
    lines = nested(found, lambda ids: [])
    assert sorted(line.run.id for line in lines) == sorted(run.id for run in found)
    for before, line in zip([None, *lines], lines, strict=False):
        assert line.depth <= (0 if before is None else before.depth + 1)
    for place, line in enumerate(lines):
        if line.depth:
            above = next(each for each in reversed(lines[:place]) if each.depth == line.depth - 1)
            assert above.run.id == line.run.parent


def sweep(workspace: Workspace) -> tuple[Ref, list[Ref]]:
    """A run with three in it, of which the last has another in it."""
    outer = workspace.experiments.start("delay", name="sweep")
    inner = []
    for depth in (4, 5, 6):
        run = workspace.experiments.start("delay", name=f"depth {depth}", tags={PARENT_TAG: outer.id, "depth": str(depth)})
        inner.append(run.ref)
    fold = workspace.experiments.start("delay", name="fold", tags={PARENT_TAG: inner[-1].name})
    return outer.ref, [*inner, fold.ref]


def test_runs_that_were_searched_for_are_a_tree_through_every_door(workspace: Workspace) -> None:
    outer, inner = sweep(workspace)
    found = workspace.experiments.search("tags.depth = '5' OR run_name = 'fold'")
    lines = workspace.experiments.tree(found.items)
    assert [(line.depth, line.run.name, line.found, line.within) for line in lines] == [
        (0, "sweep", False, 2),
        (1, "depth 6", False, 1),
        (2, "fold", True, 0),
        (1, "depth 5", True, 0),
    ]
    assert [run.ref for run in workspace.experiments.search(OUTERMOST).items] == [outer]
    assert len(workspace.experiments.tree(workspace.experiments.search().items)) == 1 + len(inner)


def test_the_command_indents_what_is_nested(
    embedded: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    sweep(embedded)
    assert embedded.home is not None
    (embedded.home.project / "modelwright.toml").touch()
    place = ["-w", str(embedded.home.project)]
    capsys.readouterr()
    assert command(["runs", "delay", "--filter", "tags.depth = '5' OR run_name = 'fold'", *place]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    ids = [(line, re.search(r"01[0-9A-Z]{24}", line)) for line in lines]
    starts = [line[: found.start()].rstrip() for line, found in ids if found]
    assert starts == ["(sweep)", "    (depth 6)", "        fold", "    depth 5"]
    assert command(["runs", "--outermost", "--filter", "run_name LIKE '%e%'", *place]) == 0
    assert "depth" not in capsys.readouterr().out
    assert command(["runs", "delay", "--flat", "--json", *place]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["depth"] for each in shown["items"]] == [0] * 5
