"""`mw sync`: what runs have left on this machine, delivered. `mw reproduce`: a past run, run again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import AsJson, Reason, RefArgument, Where, Yes, confirm, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say, section, table, when
from modelwright.cli.progress import progress
from modelwright.core.errors import Conflict, Invalid, Refused, Unavailable
from modelwright.core.refs import Kind
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.experiments.records import Run
    from modelwright.experiments.reproduction.records import Reproduction, Row
    from modelwright.tracking.syncing import Pending
    from modelwright.workspace import Workspace

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sync")(sync)
    app.command("reproduce")(reproduce)
    app.command("end")(end)


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


def end(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Runs that are said to run still.", show_default=False)
    ] = None,
    silent: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Every run not heard of for so long: 36h, 7d, 4w.", show_default=False),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="With --silent: only of this one, by name or title.", show_default=False)
    ] = None,
    as_: Annotated[str, typer.Option("--as", metavar="STATUS", help="killed, failed or finished.")] = "killed",
    reason: Reason = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """End runs that their own process will not end any more: it was killed, or its machine is gone.

    A run ends when it was last heard of, at its newest figure, so that its duration says something. One that was not
    dead after all can go on: what it logs with modelwright is taken, and experiments.resume opens it again.
    """
    from modelwright.experiments.records import ENDED, RunStatus

    if as_ not in {each.value for each in ENDED}:
        raise Invalid(f"A run does not end as {as_!r}.", mend="Say --as killed, failed or finished.")
    if bool(runs) == (silent is not None):
        raise Invalid(
            "It is not said which runs are meant.", mend="Name runs, or say how long none was heard of: --silent 7d"
        )
    if experiment is not None and silent is None:
        raise Invalid("--experiment narrows what --silent finds.", mend="Say --silent, or name the runs alone.")
    with workspace(where) as rooms:
        if silent is None:
            found = [
                rooms.experiments.show(parse_ref(each if ":" in each else f"run:{each}", Kind.RUN)) for each in runs or []
            ]
        else:
            found = _silent(rooms, _lasting(silent), experiment)
            if found:
                _list(found)
                confirm(f"{'1 run ends' if len(found) == 1 else f'{len(found)} runs end'} as {as_}.", yes=yes)
        ended = [
            rooms.experiments.finish(each.ref, status=RunStatus(as_), ended_at=each.heard_at, reason=reason)
            for each in found
        ]
    if as_json:
        print_json(ended)
        return
    for each in ended:
        say(f"{each.ref} is {each.status.value}; it was last heard of at {when(each.ended_at)}.")
    if not ended:
        say("No run was silent for so long.")


def _lasting(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 6 and unit in UNITS and int(number)):
        raise Invalid(f"{text!r} is no length of time.", mend="Write a number and h, d or w: 36h, 7d, 4w.")
    return int(number) * UNITS[unit]


def _silent(rooms: Workspace, least: timedelta, experiment: str | None) -> list[Run]:
    """The runs that are said to run and of which nothing was heard for so long, the newest first."""
    from modelwright.cli.kinds.base import time_of
    from modelwright.cli.options import experiment_of
    from modelwright.core.names import path_for
    from modelwright.core.paging import Filter, every

    among = None if experiment is None else path_for(experiment_of(experiment))
    before = time_of(rooms) - least
    running = every(lambda where: rooms.experiments.list(where, experiment=among), Filter(state="running"))
    return [run for run in running if run.heard_at < before]


def _list(runs: Sequence[Run]) -> None:
    for run in runs:
        aside(f"{run.ref}  {run.name}, of {run.experiment_title or run.experiment}: last heard of at {when(run.heard_at)}")


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
