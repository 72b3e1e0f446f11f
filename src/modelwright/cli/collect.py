"""`gc`: what nothing refers to goes, here and in places that versions were pushed to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.explain import add_commands
from modelwright.cli.options import AsJson, Reason, Where, Yes, confirm, workspace
from modelwright.cli.output import aside, counted, print_json, say, table, when
from modelwright.cli.progress import progress
from modelwright.core.errors import NotFound
from modelwright.core.sizes import size
from modelwright.core.wire import to_plain

if TYPE_CHECKING:
    from modelwright.datasets.depot import Depot
    from modelwright.datasets.packs import SparsePacks
    from modelwright.experiments.artifacts import LeftUpload
    from modelwright.store.storage import Unreachable


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, {"gc": gc})


def gc(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would go, and why.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", help="Only what was stored longer ago.")
    ] = 24.0,
    depot: Annotated[
        str, typer.Option("--depot", metavar="PLACE", help="In a place that versions were pushed to: a folder, or s3://...")
    ] = "",
    reason: Reason = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Drop objects that nothing refers to; --plan only shows them.

    An object stays while a digest in the database leads to it, be it through another object, and while it is younger than
    --older-than: whoever stored it may be about to refer to it. It is safe while others work, as long as nobody takes
    longer than that between storing and referring. Uploads in parts of which nothing was heard for two days are forgotten,
    and files that a killed process had begun to store go after a day. Packs of chunks of which versions need less than
    half are put anew first: the old ones go in a later run, once they are older than that again. In a depot goes what no
    version there needs, as of pushes that were killed.
    """
    from modelwright.datasets.packs import Repacked

    grace = older_than * 3600
    with workspace(where) as rooms:
        if depot:
            if "://" not in depot and not Path(depot).is_dir():
                raise NotFound(f"There is no folder {depot}.", mend="Name the place that mw data push was given.")
            _gc_depot(rooms.datasets.depot(depot), grace, plan=plan, yes=yes, as_json=as_json)
            return
        with progress("looking at what is held"):
            found, sparse = rooms.storage.unreachable(grace=grace), rooms.packs.sparse(grace=grace)
            uploads = rooms.artifacts.left()
        if plan:
            _tell_plan(found, sparse, uploads, as_json)
            return
        if uploads:
            _tell_uploads(uploads)
            confirm(f"{_uploads(len(uploads), 'is', 'are')} forgotten.", yes=yes)
            rooms.artifacts.forget_left(reason=reason)
            found = rooms.storage.unreachable(grace=grace)
        if found.count:
            confirm(f"{found.count} objects ({size(found.size)}) go for good.", yes=yes)
        with progress("putting packs anew"):
            anew = rooms.packs.repack(grace=grace, reason=reason) if sparse.packs else Repacked()
        with progress("letting go"):
            gone = rooms.storage.collect(grace=grace, reason=reason)
    if as_json:
        print_json({**to_plain(gone), "repacked": to_plain(anew), "uploads": to_plain(uploads)})
    else:
        if anew.packs:
            said = f"{_packs(anew.packs)} put anew: {size(anew.written)}, needed by versions."
            say(f"{said} The old ones, {size(anew.freed)}, go once they are older than {older_than:g} hours.")
        spared = f" {gone.spared} are needed by now and stayed." if gone.spared else ""
        say(f"{gone.count} objects went, {size(gone.size)}.{spared}")
        if gone.unfinished:
            say(f"{_unfinished(gone.unfinished)} went, too.")


def _gc_depot(depot: Depot, grace: float, *, plan: bool, yes: bool, as_json: bool) -> None:
    if not depot.names():
        raise NotFound(
            f"No version was ever pushed to {depot.address}.", mend="Name the place that mw data push was given."
        )
    with progress("looking at what is held"):
        found = depot.unreachable(grace=grace)
    if plan:
        _tell_plan(found, None, [], as_json)
        return
    if found.count:
        confirm(f"{counted(found.count, 'object')} ({size(found.size)}) of {depot.address} go for good.", yes=yes)
    with progress("letting go"):
        gone = depot.collect(grace=grace)
    if as_json:
        print_json(gone)
        return
    say(f"{counted(gone.count, 'object')} went, {size(gone.size)}.")
    if gone.unfinished:
        say(f"{_unfinished(gone.unfinished)} went, too.")


def _packs(count: int) -> str:
    return "1 pack" if count == 1 else f"{count:,} packs"


def _uploads(count: int, one: str, many: str) -> str:
    return f"1 upload that was left {one}" if count == 1 else f"{count:,} uploads that were left {many}"


def _unfinished(count: int) -> str:
    """Files that a killed process was writing."""
    return "1 file that a killed process had begun" if count == 1 else f"{count:,} files that killed processes had begun"


def _tell_uploads(uploads: Sequence[LeftUpload]) -> None:
    rows = [[each.name, each.ref, when(each.heard_at), each.parts, size(each.size)] for each in uploads]
    table(["upload", "of", "last heard", "parts", "size"], rows, right=("parts", "size"))


def _tell_plan(found: Unreachable, sparse: SparsePacks | None, uploads: Sequence[LeftUpload], as_json: bool) -> None:
    """`sparse` is None of a depot, where nothing is put anew."""
    if as_json:
        more = {} if sparse is None else {"sparse": to_plain(sparse), "uploads": to_plain(uploads)}
        print_json({**to_plain(found), **more})
        return
    if uploads:
        _tell_uploads(uploads)
        say(f"{_uploads(len(uploads), 'would', 'would')} be forgotten, after two days of silence; then the parts can go.")
    if found.unfinished:
        say(f"{_unfinished(found.unfinished)} would go: {size(found.unfinished_size)}.")
    if found.objects:
        table(
            ["object", "size", "stored"],
            [[each.digest, size(each.size), when(datetime.fromtimestamp(each.at, UTC))] for each in found.objects],
        )
        say(f"{counted(found.count, 'object')} would go, {size(found.size)}: {found.why}.")
    elif not (uploads or found.unfinished):
        say("Nothing would go.")
    if sparse is not None and sparse.packs:
        rows = [[each.digest, size(each.size), size(each.live), each.versions] for each in sparse.packs]
        table(["pack", "size", "needed", "by versions"], rows)
        say(f"{_packs(len(rows))} to put anew: {size(sparse.live)} written, {size(sparse.dead)} free after a later run.")
    aside(f"{found.kept} objects are kept; {found.young} more are too young to tell.")
