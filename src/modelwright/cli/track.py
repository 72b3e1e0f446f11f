"""`mw sync`: what runs have left on this machine, delivered. `mw reproduce`: a past run, run again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import AsJson, Reason, RefArgument, Where, Yes, confirm, parse_ref, workspace
from modelwright.cli.output import print_json, say, section, table
from modelwright.cli.progress import progress
from modelwright.core.errors import Conflict, Refused, Unavailable
from modelwright.core.refs import Kind
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.experiments.reproduction.records import Reproduction, Row
    from modelwright.tracking.syncing import Pending


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sync")(sync)
    app.command("reproduce")(reproduce)


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


def reproduce(
    ref: RefArgument,
    command: Annotated[
        list[str] | None, typer.Argument(help="The command, in place of the captured one; after --.", show_default=False)
    ] = None,
    use_current: Annotated[
        bool, typer.Option("--use-current", help="Run with the packages that are here, and say which differ.")
    ] = False,
    tolerance: Annotated[float, typer.Option(help="How far two figures may be apart, relative to the larger.")] = 1e-9,
    repository: Annotated[
        Path | None, typer.Option(help="A clone of the run's repository; by default the one here.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show what is the same, too.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Run a past run again as it was, compare metrics and artifacts, and put the verdict on the record as evidence.

    Checks out the captured commit in a temporary worktree, applies the uncommitted changes, builds an environment of the
    captured packages, reads the same versions of data, and runs the captured command. The exit code is 0 if all is the same
    or only a warning remains, 10 if a figure or a parameter differs or the command made no run.
    """
    from modelwright.store import Verdict
    from modelwright.tracking.reproducing import Step
    from modelwright.tracking.reproducing import reproduce as run_again

    steps = list(Step)
    with workspace(where) as rooms, progress("reproducing", len(steps)) as bar:
        found = run_again(
            rooms,
            parse_ref(ref, Kind.RUN),
            command=command or [],
            use_current=use_current,
            tolerance=tolerance,
            folder=repository,
            output=sys.stderr,
            told=lambda step: bar(steps.index(step)),
            reason=reason,
        )
    if as_json:
        print_json(found)
    else:
        _tell_reproduction(found, everything=everything)
    if found.verdict is Verdict.FAIL:
        raise typer.Exit(Refused.exit_code)


def _tell_reproduction(found: Reproduction, *, everything: bool) -> None:
    from modelwright.store import Verdict

    report = found.report
    shown = [row for row in found.rows if everything or row.verdict is not Verdict.PASS]
    say(f"{report.original} again as {report.again}: {found.verdict}", style="bold")
    say(found.summary)
    section(
        ["what", "name", "then", "now", "apart", "verdict"],
        [[r.part, r.name, _brief(r, r.before), _brief(r, r.after), r.apart, r.verdict.value] for r in shown],
        right=("then", "now", "apart"),
    )
    section(["package", "then", "now"], [[name, *versions] for name, versions in report.environment.items()])


def _brief(row: Row, text: str) -> str:
    return text[:12] if row.part.value == "artifact" else text[:40]


def _tell(found: list[Pending]) -> None:
    if not found:
        say("Nothing waits here.")
        return
    rows = [[each.run, each.experiment, each.state.value, size(each.waiting), each.delivered] for each in found]
    columns = ["run", "experiment", "state", "waiting", "delivered"]
    table(columns, rows, right=("waiting", "delivered"), copied=("run",))
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
