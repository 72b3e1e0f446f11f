"""`mw data` for folders of files: in, out, listed, and how they stand to a version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelwright.cli.options import AsJson, RefArgument, Where, named, parse_ref, workspace
from modelwright.cli.output import aside, counted, print_json, say, short, table, when
from modelwright.cli.progress import folder_size, progress
from modelwright.core.config import folder_indexes
from modelwright.core.errors import NotFound
from modelwright.core.folders import Indexes, Standing, glance, real
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.datasets.linked import Linked

SHOWN: Final = 100  # files that are listed to a person

Patterns = Annotated[
    list[str] | None, typer.Argument(metavar="PATH...", help="Only these files, folders or patterns ('*.png').")
]
Verify = Annotated[bool, typer.Option("--verify", help="Read every file, also those that look as they did before.")]


def holds_files(path: Path) -> bool:
    """Whether a path that is added is kept as files: a folder, or a file that is no CSV and no Parquet."""
    from modelwright.datasets.records import CSV, PARQUET

    return path.is_dir() or (path.is_file() and path.suffix.lower() not in CSV + PARQUET)


def add_files(
    name: str,
    source: str,
    *,
    verify: bool,
    link: bool,
    inputs: list[Ref],
    about: Mapping[str, Any],
    where: str | None,
    as_json: bool,
) -> None:
    """What `mw data add` does with a folder, or a file of any kind."""
    found: list[Linked] = []
    known = Indexes(folder_indexes(where)).load(real(Path(source)))
    total = folder_size(Path(source)) if Path(source).is_dir() and sys.stderr.isatty() else None
    with workspace(where) as rooms, progress(f"adding {name}", total, bytes_=True) as told:
        version = rooms.datasets.add_files(
            name, source, verify=verify, link=link, inputs=inputs, told=told, linked=found.append, **about
        )
    same = known.ref == str(version.ref)  # it was that version when it was looked at last, and still is
    if as_json:
        print_json({"version": version, "as_before": same, **({"linked": found[0]} if found else {})})
    else:
        new = ", as before" if same else f", of which {size(version.stored)} had to be stored" if version.stored else ""
        say(f"{version.ref}: {counted(version.files, 'file')}, {size(version.bytes)}{new}")
        if same and (about.get("description") or about.get("tags")):
            aside("It is there already, so description and tags stay as they were.")
        for each in found:
            _tell_linked(each)
        if known.chosen:
            aside(
                f"Of {known.ref} only {', '.join(known.chosen)} was checked out here: what else that holds, this does not."
            )


def _tell_linked(found: Linked) -> None:
    """What became of files that were to be linked, and what that means for whoever has them."""
    if found.linked:
        say(
            f"{counted(found.linked, 'file')} linked and read-only from now on, {size(found.bytes)}: a change of one would "
            "change what is stored. To work on it, put a copy in its place."
        )
    if found.cloned:
        say(f"{counted(found.cloned, 'file')} shared with the store, {size(found.bytes)}: nothing was copied.")
    if found.copied:
        others = f", as {counted(found.copied - 1, 'other file')}" if found.copied > 1 else ""
        say(f"{found.first} was copied{others}: {found.why}.")


def log(
    ref: Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name, or its ref.")],
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many versions.")] = 50,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """List the versions of a dataset, newest first: what each holds, what it cost, from what, when and by whom."""
    with workspace(where) as rooms:
        page = rooms.datasets.versions(Ref(Kind.DATASET, named(ref, Kind.DATASET)), Filter(limit=limit))
    if not page.items:
        raise NotFound(
            f"There is no dataset named {named(ref, Kind.DATASET)!r}.", mend="See what there is: mw list dataset"
        )
    if as_json:
        print_json(page)
        return
    rows = [
        [
            f"@{each.ref.version}",
            counted(each.rows, "row") if each.is_table else counted(each.files, "file"),
            size(each.bytes),
            "" if each.stored is None else size(each.stored),
            each.source,
            when(each.created_at),
            each.created_by,
        ]
        for each in page.items
    ]
    columns = ["version", "holds", "size", "stored for it", "from", "made", "by"]
    table(columns, rows, right=("holds", "size", "stored for it"))
    if page.next:
        aside(f"There are more: --limit {2 * limit}")


def files(ref: RefArgument, patterns: Patterns = None, where: Where = None, as_json: AsJson = False) -> None:
    """List the files of a version, all or some."""
    with workspace(where) as rooms:
        found = rooms.datasets.files(parse_ref(ref, Kind.DATASET), patterns or [])
    if as_json:
        print_json(found)
    else:
        table(["file", "size", "digest"], [[f.path, size(f.size), short(f.digest)] for f in found], right=("size",))


def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that was added or checked out.")],
    ref: Annotated[
        str | None, typer.Argument(metavar="REF", help="The version to compare with; by default the one it came from.")
    ] = None,
    verify: Verify = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Say how a folder stands to a version of files: what was added, changed or removed there.

    Files are told apart by size, time and inode, and read only where that does not suffice. A folder that is as it was is
    told by what was remembered when it was added or checked out, without a look at the record.
    """
    wanted = parse_ref(ref, Kind.DATASET) if ref else None
    found = None if verify else _glance(folder, wanted, where)
    if found is None:
        with workspace(where) as rooms, progress(f"looking at {folder}") as told:
            found = rooms.datasets.status(folder, wanted, verify=verify, told=told)
    if as_json:
        print_json(found)
        return
    rows = [[what, path] for what in ("added", "changed", "removed") for path in getattr(found, what)]
    if rows:
        table(["", "file"], rows[:SHOWN])
    if len(rows) > SHOWN:
        aside(f"{len(rows) - SHOWN:,} more: --json has them all.")
    say(found.told)


def _glance(folder: Path, ref: Ref | None, where: str | None) -> Standing | None:
    """How a folder stands to the version that it is of, where that needs no workspace: by what is remembered here."""
    index = Indexes(folder_indexes(where)).load(real(folder))
    return None if ref is not None and str(ref) != index.ref else glance(index)


def checkout(
    ref: RefArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder; it is made if it is not there.")],
    patterns: Patterns = None,
    copy: Annotated[bool, typer.Option("--copy", help="Share nothing with other folders.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Share small files, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over what was changed there.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring a folder to a version of files: what is there already stays, what an earlier version put there goes.

    What somebody changed is never written over or removed, unless --force says so. Large files share their blocks with a
    folder beside the workspace where the file system can, else they are read-only links to it; with --copy they are not,
    and with --link small files are as well, which is quicker from the second checkout on.
    """
    parsed = parse_ref(ref, Kind.DATASET)
    with workspace(where) as rooms:
        total = rooms.datasets.show(parsed).bytes if sys.stderr.isatty() else None
        with progress(f"checking out {parsed}", total, bytes_=True) as told:
            done = rooms.datasets.checkout(parsed, folder, patterns or [], copy=copy, link=link, force=force, told=told)
    if as_json:
        print_json(done)
        return
    counts = {name: getattr(done, name) for name in ("written", "cloned", "linked", "removed", "kept")}
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    say(f"{done.folder} is {done.ref}: {said}")


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {"log": log, "files": files, "status": status, "checkout": checkout}
