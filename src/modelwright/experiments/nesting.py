"""Runs within runs: a list of them as a tree. Pure but for who is asked for runs that the list does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from modelwright.experiments.records import PARENT_TAG, Run

OUTERMOST: Final = f"tags.`{PARENT_TAG}` IS NULL"  # the clause of a search for runs that are nested in none
LEVELS: Final = 20  # that are looked up above a run
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")  # what is no id is no run's, whatever the tag says


class NestedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a tree: how deep it lies, how many lie directly in it, and whether it was looked for."""

    run: Run
    depth: int = 0
    within: int = 0  # of those that are in the tree
    found: bool = True  # False: it is here for the sake of runs that are nested in it


def nested(found: Sequence[Run], ask: Callable[[Sequence[str]], Sequence[Run]]) -> list[NestedRun]:
    """Runs in their order, each in the one that it is nested in, which comes before it whether it was found or not.

    `ask` gives runs by their ids, of those that whoever asks may see: a run whose parent is none of them stands outermost,
    and so does the first of a circle.
    """
    known = {run.id: run for run in found}
    for _ in range(LEVELS):
        missing = {
            run.parent for run in known.values() if run.parent and run.parent not in known and _ID.fullmatch(run.parent)
        }
        further = {run.id: run for run in ask(sorted(missing))} if missing else {}
        if not further:
            break
        known |= further
    below: dict[str | None, list[str]] = {}
    placed: dict[str, None] = {}
    for run in found:
        for each in reversed(_upwards(run, known)):
            if each.id not in placed:
                placed[each.id] = None
                below.setdefault(_place(each, placed), []).append(each.id)
    return _walk(below, known, {run.id for run in found})


def _upwards(run: Run, known: dict[str, Run]) -> list[Run]:
    """A run and those that it lies in, to the outermost, none of them twice."""
    way, at = {run.id: run}, run
    while at.parent in known and at.parent not in way:
        at = known[at.parent]
        way[at.id] = at
    return list(way.values())


def _place(run: Run, placed: Collection[str]) -> str | None:
    return run.parent if run.parent in placed and run.parent != run.id else None


def _walk(below: dict[str | None, list[str]], known: dict[str, Run], found: Collection[str]) -> list[NestedRun]:
    """From the outermost inwards; however deep a chain of runs is."""
    told = []
    ahead = [(each, 0) for each in reversed(below.get(None, []))]
    while ahead:
        identity, depth = ahead.pop()
        inner = below.get(identity, [])
        told.append(NestedRun(run=known[identity], depth=depth, within=len(inner), found=identity in found))
        ahead += [(each, depth + 1) for each in reversed(inner)]
    return told
