"""`mw data` for whole versions: merged, sent elsewhere, written in other formats, and let go of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelwright.cli.options import AsJson, Reason, Where, named, parse_ref, workspace
from modelwright.cli.output import aside, facts, print_json, say, section, short
from modelwright.cli.progress import progress
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Kind

if TYPE_CHECKING:
    from modelwright.datasets import DatasetMerge, MergeConflict

SHOWN: Final = 50  # conflicts that are told to a person


def merge(
    ours: Annotated[str, typer.Argument(metavar="OURS", help="The version to bring something into.")],
    theirs: Annotated[str, typer.Argument(metavar="THEIRS", help="The version whose changes are brought.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="REF", help="What both came from; by default what their parents say.", show_default=False),
    ] = None,
    into: Annotated[
        str, typer.Option(metavar="NAME", help="The dataset that the result is a version of; by default that of OURS.")
    ] = "",
    take_ours: Annotated[bool, typer.Option("--ours", help="Where both changed the same, take ours.")] = False,
    take_theirs: Annotated[bool, typer.Option("--theirs", help="Where both changed the same, take theirs.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it would bring, and where both conflict.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring what changed from the common ancestor to THEIRS into OURS: rows by their key, files by their path.

    The result is a version whose lineage names both. Where both changed the same cell, row or file, each in its own way,
    the conflicts are listed, nothing is made, and the exit code is 4; --ours or --theirs settles them.
    """
    if take_ours and take_theirs:
        raise Invalid("Conflicts are settled by --ours or by --theirs, not by both.")
    settle = "ours" if take_ours else "theirs" if take_theirs else ""
    one, other = parse_ref(ours, Kind.DATASET), parse_ref(theirs, Kind.DATASET)
    beginning = parse_ref(base, Kind.DATASET) if base else None
    with workspace(where) as rooms, progress(f"merging {one} and {other}"):
        name = named(into, Kind.DATASET) if into else ""
        found = rooms.datasets.merge(one, other, base=beginning, into=name, settle=settle, plan=plan, reason=reason)
    if as_json:
        print_json(found)
    else:
        _tell_merge(found, plan=plan)
    if found.conflicting and not found.settled:
        raise typer.Exit(Conflict.exit_code)


def _tell_merge(found: DatasetMerge, *, plan: bool) -> None:
    if found.note:
        say(found.note)
        return
    facts(
        f"{found.theirs} into {found.ours}",
        {
            "both came from": found.base,
            "added": found.added,
            "removed": found.removed,
            "changed": found.changed,
            "changed in": [f"{name} ({count:,})" for name, count in found.changed_by_column.items()],
            "new columns": found.columns_added,
            "gone columns": found.columns_removed,
            "conflicts": found.conflicting,
        },
    )
    section(
        ["where", "column", "what", "before", "ours", "theirs"],
        [_conflict(each) for each in found.conflicts[:SHOWN]],
    )
    if found.conflicting > SHOWN:
        aside(f"{found.conflicting - SHOWN:,} more: --json has the first {len(found.conflicts)}.")
    if found.version is not None:
        settled = f", {found.settled} where they conflict" if found.conflicting else ""
        say(f"{found.version} holds both{settled}.")
    elif not plan:
        say("Nothing was made: --ours or --theirs settles the conflicts.", style="red")


def _conflict(each: MergeConflict) -> list[object]:
    which = each.path or ", ".join(f"{name}={value}" for name, value in each.key.items())
    if each.hidden:
        return [which, each.column, each.what, "(personal)", "(personal)", "(personal)"]
    sides = [short(str(v)) if each.path and v else v for v in (each.base, each.ours, each.theirs)]
    return [which, each.column, each.what, *sides]


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {"merge": merge}
