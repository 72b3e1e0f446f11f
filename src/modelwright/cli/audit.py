"""`audit`: the ledger is read, verified, exported and signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_group, carries_out
from modelwright.cli.options import (
    Action,
    Actor,
    After,
    AsJson,
    Limit,
    Since,
    Until,
    Where,
    Yes,
    chosen_events,
    confirm,
    workspace,
)
from modelwright.cli.output import COLOURS, aside, facts, print_json, say, section, tell_events, when
from modelwright.cli.progress import Telling, Told, progress
from modelwright.core.errors import Conflict, Corrupt, NotFound
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.store import Record
    from modelwright.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the group `audit`."""
    add_group(
        app,
        "audit",
        "The ledger: read, verify, export and sign it.",
        {
            "events": events,
            "verify": verify,
            "export": export,
            "checkpoint": checkpoint,
            "proof": proof,
            "rotate-key": rotate_key,
        },
    )


@carries_out("record.events")
def events(
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    narrowed = chosen_events(since, until, actor, action, limit, after)
    with workspace(where) as rooms:
        page = rooms.record.events(narrowed)
    if as_json:
        print_json(page)
        return
    tell_events(page)


def verify(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept elsewhere."),
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="A verifier key that you trust; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail where the end is not signed.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole ledger and recompute it here; every edit, gap, reordering or fork is named.

    Exit code 7 where something is wrong. Checkpoints that were kept elsewhere find a missing end, or a history that was
    rewritten as a whole.
    """
    outside = [_file(path) for path in checkpoints or []]
    with workspace(where) as rooms, progress("reading events, twice", 2 * rooms.record.head().size) as told:
        report = _told_record(rooms, told).verify(outside=outside, pinned=keys or [], strict=strict)
    found = [finding._asdict() for finding in report.findings]
    if as_json:
        print_json({"size": report.size, "root": report.root.hex(), "checkpoints": report.checkpoints, "findings": found})
    else:
        facts("The ledger", {"events": report.size, "root": report.root.hex(), "checkpoints": report.checkpoints})
        rows = [[f.kind, f"{f.seq}" if f.last <= f.seq else f"{f.seq} to {f.last}", f.detail] for f in report.findings]
        section(["what", "events", "what was seen"], rows)
        if not found:
            say("It is whole: every event gives the root, and every checkpoint fits.", style=COLOURS["pass"])
    if found:
        raise typer.Exit(Corrupt.exit_code)


def export(
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write the ledger as a zip that anybody can verify with the verify.py in it, and nothing else."""
    if file.exists():
        raise Conflict(f"{file} is there already.", mend="Name a new file.")
    with workspace(where) as rooms:
        head = rooms.record.head()
        with progress("writing events", head.size) as told:
            written = _told_record(rooms, told).export(file)
    if as_json:
        print_json({"file": str(written), "size": head.size, "root": head.root})
    else:
        say(f"{written}: {head.size} events, {size(written.stat().st_size)}.")
        aside(f"To verify it: unzip {written} verify.py && python verify.py {written}")


@carries_out("record.checkpoint")
def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="Also write it to this file, to keep elsewhere.", show_default=False)
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        sealed = rooms.record.checkpoint()
    if out is not None:
        out.write_text(sealed.note, encoding="utf-8")
    if as_json:
        print_json(sealed)
    else:
        say(f"{sealed.size} events are sealed, at {when(sealed.at)}:")
        typer.echo(sealed.note, nl=False)


@carries_out("record.proof")
def proof(
    event: Annotated[int, typer.Argument(help="The event's number.")], where: Where = None, as_json: AsJson = False
) -> None:
    with workspace(where) as rooms:
        found = rooms.record.proof(event)
    if as_json:
        print_json(found)
        return
    facts(f"event {found.seq} of {found.size}", {"root": found.root, "sealed": "yes" if found.checkpoint else "not yet"})
    typer.echo(found.event)
    for step in found.path:
        say(f"  {step}", style="dim")


@carries_out("record.rotate_key")
def rotate_key(
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    confirm("Checkpoints are signed with another key from now on.", yes=yes)
    with workspace(where) as rooms:
        sealed = rooms.record.rotate_key(reason)
    if as_json:
        print_json(sealed)
    else:
        say(f"A new key signs from event {sealed.size} on.")


def _told_record(rooms: Workspace, told: Told) -> Record:
    """The record over a caller that counts the events that were read."""
    from modelwright.store import Record

    read = 0

    def count(operation: str, result: Any) -> None:
        nonlocal read
        if operation == "record/export_events":
            read += len(result.events)
            told(read)

    return Record(Telling(rooms.caller, count), ledger=rooms.ledger)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
