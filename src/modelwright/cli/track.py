"""`mw sync`: what runs have left on this machine, delivered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import AsJson, Where, Yes, confirm, parse_ref, workspace
from modelwright.cli.output import print_json, say, size, table
from modelwright.cli.progress import progress
from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.refs import Kind

if TYPE_CHECKING:
    from modelwright.tracking.syncing import Pending


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sync")(sync)


def sync(
    list_: Annotated[bool, typer.Option("--list", help="Only show what waits.")] = False,
    any_address: Annotated[bool, typer.Option("--any", help="With -w: also what was meant for another workspace.")] = False,
    discard: Annotated[
        str | None, typer.Option(metavar="RUN", help="Throw away what waits of a run.", show_default=False)
    ] = None,
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Deliver what runs have logged on this machine and could not send: after offline mode, an outage, a kill -9.

    Looks in the project around the working directory (or the one that -w names) and in the user's own .modelwright; each
    run goes to the workspace it was started for. A run whose process is gone is marked as killed. The exit code is 8 if
    something still waits, 4 if the workspace refused an entry.
    """
    from modelwright.tracking import spool, syncing

    remote = where is not None and where.startswith(("http://", "https://"))
    folder = Path.cwd() if where is None or remote else Path(where).absolute()
    folders = spool.pending_folders(folder)
    if discard is not None:
        ref = parse_ref(discard, Kind.RUN)
        confirm(f"Throw away what waits of {ref}?", yes=yes)
        count = syncing.discard(folders, ref)
        print_json({"discarded": count}) if as_json else say(f"{ref}: {count} thrown away")
        return
    if list_:
        found = [each for _, each in syncing.pending(folders)]
    else:
        to = None if where is None else where if remote else str(folder)
        total, done = sum(each.waiting for _, each in syncing.pending(folders)), 0

        with progress("delivering", total, bytes_=True) as told:

            def moved(count: int) -> None:
                nonlocal done
                done += count
                told(min(done, total))

            found = syncing.sync(folders, workspace, to=to, any_address=any_address, told=moved)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if not list_:
        _judge(found)


def _tell(found: list[Pending]) -> None:
    if not found:
        say("Nothing waits here.")
        return
    rows = [[each.run, each.experiment, each.name, each.state.value, size(each.waiting), each.delivered] for each in found]
    table(["run", "experiment", "name", "state", "waiting", "delivered"], rows, right=("waiting", "delivered"))
    for each in found:
        for refusal in each.refused:
            say(f"  {each.run}, entry {refusal.seq} refused: {refusal.message}", style="yellow")


def _judge(found: list[Pending]) -> None:
    failed = [each for each in found if each.error]
    if failed:
        first = failed[0]
        raise Unavailable(
            f"{len(failed)} of {len(found)} could not be delivered and keep waiting. {first.run}: {first.error}",
            details={"runs": [str(each.run) for each in failed]},
        )
    if refused := [each for each in found if each.refused]:
        raise Conflict(
            f"Entries of {len(refused)} runs were refused; all others were delivered.",
            details={"runs": [str(each.run) for each in refused]},
        )
