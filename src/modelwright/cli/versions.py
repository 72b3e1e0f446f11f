"""`mw data` for whole versions: merged, sent elsewhere, written in other formats, and let go of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelwright.cli.options import AsJson, Reason, RefArgument, Where, Yes, confirm, named, parse_ref, workspace
from modelwright.cli.output import aside, facts, print_json, say, section, short, table
from modelwright.cli.progress import folder_size, progress
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.datasets import DatasetMerge, Datasets, MergeConflict
    from modelwright.datasets.records import Keeping

STEP: Final = 10_000  # objects that are let go of at once
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


def export(
    ref: RefArgument,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new file (.parquet, .csv, .arrow) or folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="parquet, csv, arrow, parts, delta, iceberg, folder, croissant", show_default=False
        ),
    ] = "",
    masked: Annotated[bool, typer.Option("--masked", help="Mask whatever is masked for anybody.")] = False,
    license_: Annotated[str, typer.Option("--license", help="For Croissant: its SPDX address.")] = "",
    url: Annotated[str, typer.Option(help="For Croissant: where the data are described.")] = "",
    creator: Annotated[str, typer.Option(help="For Croissant: who made them.")] = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write a version for others: rows in any of these formats, files as a folder, either with Croissant.

    The format follows the target's suffix; a folder gets the Parquet files of a table, or the files of a version. Columns
    that you may not read in clear are masked. Croissant needs a license, said here or as a tag.
    """
    parsed = parse_ref(ref, Kind.DATASET)
    if str(target) == "-":
        raise Invalid("Versions are exported to files.", mend="Name a file, such as rows.csv; mw data head prints rows.")
    about = {"license": license_, "url": url, "creator": creator}
    with workspace(where) as rooms, progress(f"writing {parsed}"):
        version = rooms.datasets.show(parsed)
        written = rooms.datasets.export(version.ref, target, form, masked=masked, about=about)
    if as_json:
        print_json({"version": version.ref, "path": str(written)})
    else:
        say(f"{version.ref} is {target}, {size(folder_size(written) if written.is_dir() else written.stat().st_size)}.")


def alias(
    ref: Annotated[str, typer.Argument(metavar="REF", help="The version.")],
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as gold: dataset:flights@gold is then that version.")],
    drop: Annotated[bool, typer.Option("--drop", help="Take the alias away from the dataset.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version, or take it away."""
    parsed = parse_ref(ref, Kind.DATASET)
    with workspace(where) as rooms:
        change = rooms.datasets.drop_alias if drop else rooms.datasets.alias
        found = change(parsed, name, reason=reason)
    if as_json:
        print_json(found)
    else:
        say(f"{found.ref} is {'no longer ' if drop else ''}{found.ref.whole}@{name}.")


def push(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A version; by default the latest of the dataset.")],
    to: Annotated[
        str, typer.Argument(metavar="TO", help="A project folder, http://..., or a depot: a folder, s3://bucket/prefix.")
    ],
    into: Annotated[str, typer.Option(metavar="NAME", help="The dataset's name there; by default the same.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Without the versions that it was made from.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring a version, and those that it was made from, to another workspace, server, or depot.

    Only chunks that are not there travel; what is there is left alone. One that was stopped goes on when it is started
    again. Checks, aliases and tags that were set later do not travel.
    """
    _move(ref, to, into=into, alone=alone, where=where, as_json=as_json, back=False)


def pull(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A version there; by default the latest of the dataset.")],
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A project folder, http://..., or a depot: a folder, s3://bucket/prefix.")
    ],
    into: Annotated[str, typer.Option(metavar="NAME", help="The dataset's name here; by default the same.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Without the versions that it was made from.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring a version, and those that it was made from, from another workspace, server, or depot to here.

    Only chunks that are not here travel; what is here is left alone. One that was stopped goes on when it is started again.
    """
    _move(ref, source, into=into, alone=alone, where=where, as_json=as_json, back=True)


def _move(ref: str, other: str, *, into: str, alone: bool, where: str | None, as_json: bool, back: bool) -> None:
    parsed = parse_ref(ref, Kind.DATASET) if ":" in ref else Ref(Kind.DATASET, ref)
    name = named(into, Kind.DATASET) if into else ""
    with workspace(where) as rooms, _end(other) as end, progress(f"bringing {parsed}") as told:
        carry = rooms.datasets.pull if back else rooms.datasets.push
        done = carry(parsed, end, into=name, alone=alone, told=told)
    if as_json:
        print_json(done)
        return
    there = f"{done.target} {'here' if back else f'in {other}'}"
    if not done.versions:
        say(f"{done.source} is {there} already.")
    else:
        before = f", {done.same:,} were there" if done.same else ""
        say(
            f"{done.source} is {there}: {_new(done.versions)}, {size(done.bytes)},"
            f" of which {size(done.sent)} travelled{before}."
        )


def gc(
    ref: Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name, or its ref.")],
    last: Annotated[int, typer.Option("--keep", metavar="N", help="The newest so many versions stay.")] = 10,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", help="Only objects that were stored longer ago.")
    ] = 24.0,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would go, and what keeps the rest.")] = False,
    reason: Reason = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Delete old versions of a dataset that nothing uses, and the content that only they had; --plan only shows them.

    What stays: the last --keep versions, what an alias points at, and what a run, a model or anything else was made from.
    """
    thing = Ref(Kind.DATASET, named(ref, Kind.DATASET))
    with workspace(where) as rooms:
        found = rooms.datasets.prune(thing, last=last, plan=True)
        if not plan and found.gone:
            confirm(f"To go for good: {_versions(found.gone)} of {thing}.", yes=yes)
            with progress("letting go"):
                found = rooms.datasets.prune(thing, last=last, reason=reason)
                steps = [found.objects[at : at + STEP] for at in range(0, len(found.objects), STEP)]
                freed = sum(rooms.storage.remove(each, grace=older_than * 3600, reason=reason).size for each in steps)
    if as_json:
        print_json(found)
        return
    rows = [[str(each.ref), size(each.bytes), "goes", ""] for each in found.gone]
    rows += [[str(each.ref), size(each.bytes), "stays", ", ".join(each.reasons)] for each in found.kept]
    table(["version", "size", "", "because it is"], rows, right=("size",))
    if not found.gone:
        say("Nothing goes.")
    elif plan:
        say(f"To go: {_versions(found.gone)}, and {size(found.size)} that no other version of it needs.")
    else:
        say(f"Gone: {_versions(found.gone)}, and {size(freed)} that no other version of it needs.")
        if freed < found.size:
            aside("The rest is too young to go, or something else needs it: mw gc looks again.")


def _new(versions: int) -> str:
    return "1 new version" if versions == 1 else f"{versions:,} new versions"


def _versions(gone: Sequence[Keeping]) -> str:
    return "1 version" if len(gone) == 1 else f"{len(gone)} versions"


@contextmanager
def _end(other: str) -> Iterator[Datasets | str]:
    """A workspace that is open while the block runs, or the address of a depot."""
    from modelwright.core.config import HOME, PROJECT_FILE

    folder = Path(other)
    if not other.startswith(("http://", "https://")) and not any((folder / name).exists() for name in (PROJECT_FILE, HOME)):
        yield other
        return
    with workspace(other) as rooms:
        yield rooms.datasets


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


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "merge": merge,
    "export": export,
    "alias": alias,
    "push": push,
    "pull": pull,
    "gc": gc,
}
